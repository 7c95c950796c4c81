"""`Verified`: which records were hashed a short while ago, when they were stored or read, so that what was just added is
passed on, and what is read over and over is read, without hashing it each time.

Bounded in time and in number; it forgets everything with the process. Only for records in our own segments: nobody else
writes there, and a place never holds another record. It may come to hold none (reclaim.py punches holes): that is told
here first, so whoever asks `has` after it has read was in time. Used by several threads at once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Final

from ralnode_storage_sqlite.index import Place

_COUNT_MAX: Final = 16_384
"""Of one generation. Two of them take about 2 MiB, and stand for 32 GiB of blocks of 1 MiB."""
_OFFSET_BITS: Final = 48


class Verified:
    """Remembers for at least half of `seconds` and at most the whole (less when much is read); 0 remembers nothing."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._half_seconds = seconds / 2
        self._clock = clock
        self._turns_at = clock() + self._half_seconds
        self._new: set[int] = set()
        self._old: set[int] = set()
        self._epoch = 0
        self._lock = threading.Lock()

    @property
    def epoch(self) -> int:
        """Take it before you look a place up; see `add`."""
        return self._epoch

    def add(self, places: Iterable[Place], epoch: int) -> None:
        """Nothing if anything was forgotten since `epoch`: it may be one of these."""
        with self._lock:
            if epoch != self._epoch or self._half_seconds <= 0:
                return
            self._turn_if_due()
            for place in places:
                self._new.add(_mark(place))
                if len(self._new) >= _COUNT_MAX:
                    self._turn()

    def has(self, place: Place) -> bool:
        """Ask after reading."""
        with self._lock:
            self._turn_if_due()
            mark = _mark(place)
            return mark in self._new or mark in self._old

    def forget(self, places: Iterable[Place]) -> None:
        """Before what they hold is given up."""
        with self._lock:
            self._epoch += 1
            for mark in map(_mark, places):
                self._new.discard(mark)
                self._old.discard(mark)

    def _turn_if_due(self) -> None:
        if (now := self._clock()) >= self._turns_at:
            if now >= self._turns_at + self._half_seconds:
                self._new = set()
            self._turn()

    def _turn(self) -> None:
        self._old, self._new = self._new, set()
        self._turns_at = self._clock() + self._half_seconds


def _mark(place: Place) -> int:
    """A set of whole numbers takes half the memory of a set of places."""
    return place.file << _OFFSET_BITS | place.offset
