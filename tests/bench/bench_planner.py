"""The default planner: ten million blocks on 6, 50 and 1,000 nodes, its memory, and what a death moves.

Each plan runs in turn with a plain NumPy pass that only hashes the same ten million numbers once per node (6 times), so
that the ratio holds when the machine's speed drifts. NumPy's element-wise work uses no threads, so the processor seconds
that are shown are those of one core, whatever else the machine is doing.
"""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from pairs import Figure, report

from ralnode.api import View
from ralnode.testing.planner_measures import Movement, plans_everywhere
from ralnode.testing.planner_views import make_source, make_view
from ralnode_planner_rendezvous import RendezvousPlanner

SHARES = [1, 1, 2, 4, 4, 8]
BLOCKS = 10_000_000
PLANNER = RendezvousPlanner()


def hashing(blocks: int, times: int = len(SHARES)) -> Callable[[], None]:
    """The baseline: the finaliser of MurmurHash3 over that many numbers, in pieces that stay in the cache."""
    numbers = np.arange(blocks, dtype=np.uint64)

    def run() -> None:
        for salt in range(times):
            for start in range(0, blocks, 1 << 16):
                value = numbers[start : start + (1 << 16)] ^ np.uint64(salt)
                value ^= value >> np.uint64(33)
                value *= np.uint64(0xFF51AFD7ED558CCD)
                value ^= value >> np.uint64(33)
                value *= np.uint64(0xC4CEB9FE1A85EC53)
                value ^= value >> np.uint64(33)

    return run


def core_seconds(action: Callable[[], object]) -> float:
    before = time.process_time()
    action()
    return time.process_time() - before


def memory() -> Figure:
    """Measured first, since the system only tells the highest figure so far."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    PLANNER.plan(make_view(SHARES, [make_source(1, BLOCKS)], 3.0))
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return Figure("peak memory of planning 10M blocks, above idle", grown, "MiB", 300.0, at_least=False)


def plans(pairs: int = 5) -> list[Figure]:
    figures = []
    baseline = hashing(BLOCKS)
    for nodes, bar, rounds in ((6, 3.0, pairs), (50, 7.0, 3), (1000, None, 1)):
        shares = SHARES if nodes == 6 else [1 + number % 9 for number in range(nodes)]
        view = make_view(shares, [make_source(1, BLOCKS)], 3.0)
        timed = [(core_seconds(lambda view=view: PLANNER.plan(view)), core_seconds(baseline)) for _ in range(rounds)]
        ratio = statistics.median(ours / theirs for ours, theirs in timed)
        middle = statistics.median(ours for ours, _ in timed)
        hashed = statistics.median(theirs for _, theirs in timed)
        shown = f"{ratio:.1f} times the {hashed:.2f} s of hashing 10M numbers 6 times in plain NumPy"
        figures.append(
            Figure(f"plan for 10M blocks on {nodes} nodes, one core", middle, "s", bar, at_least=False, detail=shown)
        )
    return figures


def death() -> Figure:
    """The worst of 3 catalogues, each losing each of its six nodes, with room for the copies to be made again."""
    ratios = [_lost(seed, dead) for seed in range(3) for dead in range(len(SHARES))]
    shown = f"{min(ratios):.4f} to {max(ratios):.4f} over {len(ratios)} deaths"
    return Figure(
        "bytes moved when one of 6 nodes dies ÷ lower bound", max(ratios), "×", 1.05, at_least=False, detail=shown
    )


def _lost(seed: int, dead: int) -> float:
    before = make_view(SHARES, [make_source(10 * seed + n, 5000) for n in range(4)], 4.2)
    after: View = replace(before, nodes=tuple(node for at, node in enumerate(before.nodes) if at != dead))
    return Movement.between(after, plans_everywhere(PLANNER, before), plans_everywhere(PLANNER, after)).ratio


def main() -> int:
    return report([memory(), *plans(), death()])


if __name__ == "__main__":
    sys.exit(main())
