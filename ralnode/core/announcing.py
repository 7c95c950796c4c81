"""When to bring this node's record up to date and when to spread how far its state has got. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ralnode.api import Instant, NodeInfo, Usage, Versions, limits

_NEVER: Final = float("inf")
_USED_HYSTERESIS_BYTES: Final = 64 * limits.MIB
"""The record follows the bytes used only in steps of this or a 64th of the capacity."""
_DISK_STEPS: Final = 64
"""Free bytes of the disk are told in steps of this part of it: others write there all the time."""
_PATIENT_FROM_NODES: Final = 50
"""Each news is asked for by everybody: with more nodes than this each has news the more rarely."""


class Announcing:
    """Two timers: the record at most every few seconds, news of versions at most every second, more rarely in a large
    cluster. A delay that is asked for is kept."""

    def __init__(
        self, record_interval_seconds: float, announce_interval_seconds: float, count_nodes: Callable[[], int]
    ) -> None:
        self.record_at = _NEVER
        self._announce_at = _NEVER
        self._record_interval_seconds = record_interval_seconds
        self._announce_interval_seconds = announce_interval_seconds
        self._announced = Versions(0, 0)
        self._count_nodes = count_nodes

    @property
    def wake_at(self) -> float:
        return min(self.record_at, self._announce_at)

    @property
    def _patience(self) -> float:
        return max(1.0, self._count_nodes() / _PATIENT_FROM_NODES)

    def record_soon(self, now: Instant, delay_seconds: float | None = None) -> None:
        delay = self._record_interval_seconds * self._patience if delay_seconds is None else delay_seconds
        self.record_at = min(self.record_at, now.seconds + delay)

    def record_done(self) -> None:
        self.record_at = _NEVER

    def announce_soon(self, now: Instant, delay_seconds: float | None = None) -> None:
        delay = self._announce_interval_seconds * self._patience if delay_seconds is None else delay_seconds
        self._announce_at = min(self._announce_at, now.seconds + delay)

    def is_due(self, versions: Versions, now: Instant) -> bool:
        """Whether to announce these now; counts as done."""
        if now.seconds < self._announce_at:
            return False
        self._announce_at = _NEVER
        news = versions != self._announced
        self._announced = versions
        return news

    def is_worth_telling(self, told: NodeInfo, usage: Usage) -> bool:
        moved = abs(usage.used_bytes - told.used_bytes)
        step = min(_USED_HYSTERESIS_BYTES, usage.capacity_bytes // 64)
        return moved > step or told_free_bytes(told, usage) != told.disk_free_bytes


def told_free_bytes(told: NodeInfo, usage: Usage) -> int:
    """What the record says of the disk's free bytes: as before until they have moved by a 64th of the disk."""
    moved = abs(usage.disk_free_bytes - told.disk_free_bytes)
    return usage.disk_free_bytes if moved > usage.disk_total_bytes // _DISK_STEPS else told.disk_free_bytes
