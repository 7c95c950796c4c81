"""`Verified`: which blocks were hashed a short while ago, so that what is read over and over is not hashed over and over.

Bounded in time and in number; it forgets everything with the process. Only for records in our own segments: nobody else
writes there, and a record never changes its place without getting another one. Used by several threads at once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from ralnode.api import BlockKey
from ralnode_storage_sqlite.index import Place

_COUNT_MAX: Final = 16_384
"""Of one generation. Two of them take about 3 MiB, and stand for 32 GiB of blocks of 1 MiB."""


class Verified:
    """Remembers for at least half of `seconds` and at most the whole (less when much is read); 0 remembers nothing."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._half_seconds = seconds / 2
        self._clock = clock
        self._turns_at = clock() + self._half_seconds
        self._new: set[int] = set()
        self._old: set[int] = set()
        self._lock = threading.Lock()

    def add(self, key: BlockKey, place: Place) -> None:
        if self._half_seconds <= 0:
            return
        with self._lock:
            self._turn_if_due()
            self._new.add(hash((key, place)))
            if len(self._new) >= _COUNT_MAX:
                self._turn()

    def has(self, key: BlockKey, place: Place) -> bool:
        """By 64 bits of a keyed hash of both (Python seeds it for each process)."""
        with self._lock:
            self._turn_if_due()
            mark = hash((key, place))
            return mark in self._new or mark in self._old

    def _turn_if_due(self) -> None:
        if (now := self._clock()) >= self._turns_at:
            if now >= self._turns_at + self._half_seconds:
                self._new = set()
            self._turn()

    def _turn(self) -> None:
        self._old, self._new = self._new, set()
        self._turns_at = self._clock() + self._half_seconds
