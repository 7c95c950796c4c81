"""What the benchmarks share: pairs run in turn, medians of ratios, one table.

A figure is a `Figure`: what was measured, the median, its bar, and which side of the bar is good. A ratio is the median
of pairs A/B, A and B run one after the other in the same call, so that it holds when the machine's speed drifts.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Figure:
    what: str
    value: float
    unit: str
    """`×` for a ratio."""
    bar: float | None
    at_least: bool
    """Whether the value must be at least the bar (else at most)."""
    detail: str = ""

    @property
    def holds(self) -> bool:
        if self.bar is None:
            return True
        return self.value >= self.bar if self.at_least else self.value <= self.bar


def seconds(action: Callable[[], object]) -> float:
    before = time.perf_counter()
    action()
    return time.perf_counter() - before


def speed_ratio(
    what: str, ours: Callable[[], object], theirs: Callable[[], object], bar: float, *, pairs: int = 5, detail: str = ""
) -> Figure:
    """How many times as fast as `theirs` we are: the median of time(theirs) / time(ours) over the pairs, one warm-up."""
    ours(), theirs()
    timed = [(seconds(ours), seconds(theirs)) for _ in range(pairs)]
    ratios = sorted(b / a for a, b in timed)
    median_ours, median_theirs = (statistics.median(column) for column in zip(*timed, strict=True))
    shown = f"{median_ours:.2f} s against {median_theirs:.2f} s; ratios {ratios[0]:.2f} to {ratios[-1]:.2f}"
    return Figure(
        what, statistics.median(ratios), "×", bar, at_least=True, detail="; ".join(filter(None, (shown, detail)))
    )


def report(figures: Sequence[Figure], argv: Sequence[str] | None = None) -> int:
    """Prints the table, or JSON with --json. 0 if every bar holds."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true")
    arguments, _rest = parser.parse_known_args(argv)
    if arguments.json:
        json.dump([asdict(figure) | {"holds": figure.holds} for figure in figures], sys.stdout)
        print()
    else:
        print_table(figures)
    return 0 if all(figure.holds for figure in figures) else 1


def print_table(figures: Sequence[Figure]) -> None:
    width = max((len(figure.what) for figure in figures), default=0)
    for figure in figures:
        bar = "" if figure.bar is None else f"{'≥' if figure.at_least else '≤'} {figure.bar:g}"
        verdict = "" if figure.bar is None else ("holds" if figure.holds else "MISSED")
        print(f"{figure.what:<{width}}  {figure.value:>10.3f} {figure.unit:<4} {bar:<8} {verdict:<7} {figure.detail}")
