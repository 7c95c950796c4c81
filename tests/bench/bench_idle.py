"""An idle node's processor time: engine and gossip of clusters of 6, 50 and 200 nodes with nothing to do, in the simulator.

Counts what happens inside `Engine.handle` only, in processor seconds, so neither the simulator's own work nor what else
the machine is doing counts. Packets are encrypted as in a real cluster; the transport's work is not in it, and no source
is in the catalogue.
`bench_idle.py [--nodes COUNT …]`.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from pairs import Figure, report

from ralnode.api import Instant
from ralnode.api.limits import GIB
from ralnode.core.events import Effect, Event
from ralnode.testing.simulated_node import SimulatedNode
from ralnode.testing.simulation import Cluster, NodeSpec
from ralnode.testing.world import Parts
from ralnode_gossip_swim import Swim, SwimOptions
from ralnode_planner_rendezvous import RendezvousPlanner

PARTS = Parts(lambda context: Swim(context, SwimOptions()), lambda _context: RendezvousPlanner())
MEETING_SECONDS = 30
IDLE_SECONDS = 30
BARS_MS: dict[int, float] = {6: 1.0, 50: 2.0, 200: 5.0}
"""Of processor time per second and node."""


class Meter:
    """Stands in front of an engine's `handle`."""

    def __init__(self) -> None:
        self.event_count = 0
        self.seconds = 0.0

    def watch(self, node: SimulatedNode) -> None:
        handle = node.mind.handle

        def timed(event: Event, now: Instant) -> list[Effect]:
            before = time.thread_time()
            effects = handle(event, now)
            self.seconds += time.thread_time() - before
            self.event_count += 1
            return effects

        node.mind.handle = timed  # type: ignore[method-assign]


def idle(count: int) -> list[Figure]:
    cluster = Cluster(1, [NodeSpec(GIB)] * count, PARTS)
    cluster.run(MEETING_SECONDS)
    meter = Meter()
    for node in cluster.up():
        meter.watch(node)
    exchanges = cluster.world.counters["exchanges"]
    cluster.run(IDLE_SECONDS)
    exchanges = cluster.world.counters["exchanges"] - exchanges
    node_seconds = count * IDLE_SECONDS
    detail = f"{exchanges / node_seconds:.2f} exchanges begun a second and node"
    share_ms = 1000 * meter.seconds / node_seconds
    bar = BARS_MS.get(count)
    return [
        Figure(f"{count} nodes: processor time of an idle node", share_ms, "ms/s", bar, at_least=False, detail=detail),
        Figure(f"{count} nodes: events of an idle node", meter.event_count / node_seconds, "1/s", None, at_least=False),
        Figure(f"{count} nodes: one event", 1e6 * meter.seconds / meter.event_count, "µs", None, at_least=False),
    ]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, nargs="*", default=sorted(BARS_MS))
    arguments, rest = parser.parse_known_args(argv)
    return report([figure for count in arguments.nodes for figure in idle(count)], rest)


if __name__ == "__main__":
    sys.exit(main())
