"""Lifeguard's local health: how far this node should doubt itself before it doubts others."""

from __future__ import annotations


class LocalHealth:
    """0 is healthy. Missed nacks, refuted suspicions and late ticks raise it, answered probes lower it."""

    __slots__ = ("_max", "score")

    def __init__(self, factor_max: int) -> None:
        self._max = factor_max - 1
        self.score = 0

    def change(self, by: int) -> None:
        self.score = min(self._max, max(0, self.score + by))

    @property
    def factor(self) -> int:
        """Stretches the probe interval and timeout."""
        return self.score + 1
