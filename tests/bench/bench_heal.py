"""Bytes fetched when one of six nodes dies, against the lower bound (what it held), in the simulator, over several seeds."""

from __future__ import annotations

import statistics

from pairs import Figure, report

from ralnode.api.limits import MIB
from ralnode.testing.simulation import Cluster, NodeSpec
from ralnode.testing.world import Parts
from ralnode_gossip_swim import NullCipher, Swim, SwimOptions
from ralnode_planner_rendezvous import RendezvousPlanner

CAPACITIES_MIB = (400, 400, 800, 800, 1600, 3200)
LEAVES = 800


def ratio(seed: int, victim: str) -> float:
    parts = Parts(lambda context: Swim(context, SwimOptions(), NullCipher), lambda context: RendezvousPlanner())
    cluster = Cluster(seed, [NodeSpec(capacity * MIB) for capacity in CAPACITIES_MIB], parts)
    cluster.run(15)
    source = cluster.add_source("n0", LEAVES, linked=True)
    assert source is not None
    cluster.settle()
    node = cluster[victim]
    lost = len(node.mind.holding(node.id, source.root).owned)
    counters = cluster.world.counters
    before = counters["blocks_fetched"] + counters["blocks_copied"]
    cluster.crash(victim)
    cluster.settle()
    return float((counters["blocks_fetched"] + counters["blocks_copied"] - before) / lost)


def main() -> int:
    ratios = [ratio(seed, f"n{1 + seed % 5}") for seed in range(1, 8)]
    detail = f"{len(ratios)} deaths, {min(ratios):.3f} to {max(ratios):.3f}"
    what = "bytes fetched when one of 6 nodes dies ÷ the lower bound"
    return report([Figure(what, statistics.median(ratios), "×", 1.05, at_least=False, detail=detail)])


if __name__ == "__main__":
    raise SystemExit(main())
