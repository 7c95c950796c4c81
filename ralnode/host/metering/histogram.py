"""A histogram with fixed buckets, as Prometheus counts them: bounded in memory, cheap to add to."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate
from typing import Final

from ralnode.api import Metric
from ralnode.host.metering.table import sample

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds: from a commit to an NVMe to a disk that had to spin up."""


class Histogram:
    """Single-threaded: observe on the event loop."""

    def __init__(self, name: str, **labels: str) -> None:
        self._name = name
        self._labels = labels
        self._counts = [0] * (len(SECONDS) + 1)
        self._sum = 0.0

    def observe(self, seconds: float) -> None:
        self._counts[bisect_left(SECONDS, seconds)] += 1
        self._sum += seconds

    def samples(self) -> Iterator[Metric]:
        """Cumulative buckets in ascending order, then sum and count."""
        bounds = [*(f"{bound:g}" for bound in SECONDS), "+Inf"]
        for bound, count in zip(bounds, accumulate(self._counts), strict=True):
            yield sample(self._name, count, "_bucket", **self._labels, le=bound)
        yield sample(self._name, self._sum, "_sum", **self._labels)
        yield sample(self._name, sum(self._counts), "_count", **self._labels)
