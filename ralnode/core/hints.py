"""Addresses where somebody said that a node is: when to try each. Bounded. Pure."""

from __future__ import annotations

from collections.abc import Container
from typing import Final

from ralnode.api import Address

_HINTS_MAX: Final = 1000
_RETRY_SECONDS: Final = 10.0
_FAILURES_MAX: Final = 4
"""An address that does not answer is tried again after 1, 2, 4 and 8 s: who starts together with its peer must not wait for
the next report of it. Then it is forgotten until it is reported again."""
_NEVER: Final = float("inf")


class Hints:
    """`next_at` is exact after each call; addresses that are being tried do not count for it."""

    def __init__(self, in_flight: Container[object]) -> None:
        self._in_flight = in_flight
        self._at: dict[Address, float] = {}
        """When to try it (again); inf once it turned out to be myself."""
        self._failures: dict[Address, int] = {}
        """In a row."""
        self.next_at = _NEVER

    def hinted(self, address: Address, now_seconds: float) -> None:
        """New addresses are tried at once, known ones at most every ten seconds."""
        if address not in self._at and len(self._at) >= _HINTS_MAX:
            oldest = next(iter(self._at))
            del self._at[oldest]
            self._failures.pop(oldest, None)
        if address in self._failures:
            self._at[address] = min(now_seconds, self._at[address])
        self._at.setdefault(address, now_seconds)
        self._rearm()

    def due(self, now_seconds: float) -> list[Address]:
        """Those to be tried now; their next turn is later."""
        due = [address for address, at in self._at.items() if at <= now_seconds and address not in self._in_flight]
        for address in due:
            self._at[address] = now_seconds + _RETRY_SECONDS
        self._rearm()
        return due

    def answered(self, address: Address, now_seconds: float, *, is_me: bool) -> None:
        self._at[address] = _NEVER if is_me else now_seconds + _RETRY_SECONDS
        self._failures.pop(address, None)
        self._rearm()

    def failed(self, address: Address, now_seconds: float) -> None:
        failures = self._failures.pop(address, 0)
        if failures < _FAILURES_MAX and address in self._at:
            self._failures[address] = failures + 1
            self._at[address] = now_seconds + 2**failures
        else:
            self._at.pop(address, None)
        self._rearm()

    def _rearm(self) -> None:
        waiting = (at for address, at in self._at.items() if address not in self._in_flight)
        self.next_at = min(waiting, default=_NEVER)
