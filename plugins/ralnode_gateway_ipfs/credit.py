"""How much control traffic an HTTP/2 client may still cause: pings, settings, resets and the like cost, what it takes earns.

Against floods of frames that are cheap to send (CVE-2019-9512, -9515, -9518, CVE-2023-44487 "rapid reset"). Pure.
"""

from __future__ import annotations

from typing import Final

CREDIT_MAX: Final = 2_000.0
CREDIT_PER_SECOND: Final = 200.0
FRAME_COST: Final = 1.0
RESET_COST: Final = 4.0
"""Each has made us begin an answer: 500 at once and 50 a second are let through. A browser that seeks makes a few."""
ANSWER_EARNS: Final = 4.0
SENT_BYTES_PER_CREDIT: Final = 4096
"""Readers open their window in steps of 8 KiB or more."""


class Credit:
    def __init__(self, now_seconds: float) -> None:
        self._left = CREDIT_MAX
        self._at_seconds = now_seconds

    def spend(self, cost: float, now_seconds: float) -> bool:
        """False: it has gone too far."""
        self.earn(max(0.0, now_seconds - self._at_seconds) * CREDIT_PER_SECOND)
        self._at_seconds = now_seconds
        self._left -= cost
        return self._left >= 0

    def earn(self, gain: float) -> None:
        self._left = min(CREDIT_MAX, self._left + gain)
