"""Measures what only time tells: rates of traffic per peer, and the longest that the event loop was held up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from ralnode.api import NodeId

Traffic: TypeAlias = Mapping[NodeId, tuple[int, int]]
"""Bytes (received from, sent to) each peer since the start."""

SAMPLE_SECONDS: Final = 1.0
_SMOOTHING: Final = 0.5
"""Weight of the newest second, so that a figure on a page does not flicker."""


class Rates:
    """`run` samples; `per_node` and `loop_lag_seconds_max` are read by the status. `late` is told every second how late the
    event loop came to this timer."""

    def __init__(
        self,
        me: NodeId,
        traffic: Callable[[], Traffic],
        clock: Callable[[], float] = time.monotonic,
        *,
        late: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        self.loop_lag_seconds_max = 0.0
        """Since the start."""
        self._me = me
        self._traffic = traffic
        self._late = late
        self._clock = clock
        self._before: Traffic = {}
        self._at = clock()
        self._rates: dict[NodeId, tuple[float, float]] = {}

    @property
    def per_node(self) -> Mapping[NodeId, tuple[float, float]]:
        """Bytes per second (received, sent); under my own id the sums."""
        received = sum(rate[0] for rate in self._rates.values())
        sent = sum(rate[1] for rate in self._rates.values())
        return {**self._rates, self._me: (received, sent)}

    async def run(self) -> None:
        """Returns never."""
        while True:
            began = self._clock()
            await asyncio.sleep(SAMPLE_SECONDS)
            late = max(0.0, self._clock() - began - SAMPLE_SECONDS)
            self.loop_lag_seconds_max = max(self.loop_lag_seconds_max, late)
            self._late(late)
            self.sample()

    def sample(self) -> None:
        now, traffic = self._clock(), dict(self._traffic())
        passed = max(1e-6, now - self._at)
        for node, total in traffic.items():
            before, rate = self._before.get(node, (0, 0)), self._rates.get(node, (0.0, 0.0))
            fresh = [(new - old) / passed for new, old in zip(total, before, strict=True)]
            smooth = [old + _SMOOTHING * (new - old) for new, old in zip(fresh, rate, strict=True)]
            self._rates[node] = (_settled(smooth[0]), _settled(smooth[1]))
        self._before, self._at = traffic, now


def _settled(rate: float) -> float:
    """Below a byte a second it is silence, not a tail of the smoothing."""
    return rate if rate >= 1.0 else 0.0
