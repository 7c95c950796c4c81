"""Hybrid logical clock: 48 bits of wall-clock milliseconds and a 16-bit counter in one integer.

Later in the sense of cause and effect is always larger, and the value stays near the wall time. Wall clocks alone
lose updates when they jump (Kulkarni et al. 2014, "Logical Physical Clocks"). No clock is read here: time is handed in.
"""

from __future__ import annotations

from typing import Final

from ralnode.api.limits import CLOCK_AHEAD_MS_MAX

COUNTER_BITS: Final = 16
CLOCK_MAX: Final = (1 << 64) - 1


def clock_at(unix_ms: int) -> int:
    """The smallest clock value of that millisecond."""
    return max(0, unix_ms) << COUNTER_BITS


def unix_ms_of(clock: int) -> int:
    return clock >> COUNTER_BITS


def is_too_far_ahead(clock: int, now_ms: int) -> bool:
    return unix_ms_of(clock) > now_ms + CLOCK_AHEAD_MS_MAX


class HybridClock:
    """Stamps this node's records. `last` is the largest value given out or observed."""

    __slots__ = ("last",)

    last: int

    def __init__(self, last: int = 0) -> None:
        self.last = last

    def tick(self, now_ms: int) -> int:
        """A value larger than every one before; the counter overflows into the milliseconds.

        If this machine's own clock had run far ahead and was set back, it starts anew from `now_ms`: values that
        every peer refuses are of no use.
        """
        if is_too_far_ahead(self.last, now_ms):
            self.last = clock_at(now_ms)
        self.last = max(self.last + 1, clock_at(now_ms))
        return self.last

    def observe(self, remote: int, now_ms: int) -> bool:
        """Takes note of a peer's value. False, and nothing changed, if it is too far ahead of the wall clock."""
        if is_too_far_ahead(remote, now_ms):
            return False
        self.last = max(self.last, remote)
        return True
