"""Deadlines by key, in one heap. Arming a key again moves it; the clock is the caller's."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from heapq import heapify, heappop, heappush
from math import inf
from typing import TypeAlias


class Alarm(IntEnum):
    """What a timer is for."""

    PROBE = 0
    """The probe interval ends, the next begins."""
    DIRECT = 1
    """The ping has had no answer: ask others."""
    GOSSIP = 2
    RELAY = 3
    """Of one indirect probe carried for somebody, by its number."""
    SUSPICION = 4
    """Of one suspect, by its id."""
    FORGET = 5
    """Of one dead node, by its id."""


Key: TypeAlias = tuple[Alarm, int | bytes]


class Timers:
    """Stale heap entries are skipped when they surface and swept when they are most of the heap."""

    __slots__ = ("_count", "_due", "_heap")

    def __init__(self) -> None:
        self._due: dict[Key, tuple[float, int]] = {}
        self._heap: list[tuple[float, int, Key]] = []
        self._count = 0

    def arm(self, key: Key, at: float) -> None:
        self._count += 1
        self._due[key] = (at, self._count)
        heappush(self._heap, (at, self._count, key))
        if len(self._heap) > 4 * len(self._due) + 64:
            self._sweep()

    def cancel(self, key: Key) -> None:
        self._due.pop(key, None)

    def __contains__(self, key: Key) -> bool:
        return key in self._due

    @property
    def next_at(self) -> float:
        """When the first is due; inf when none is armed."""
        heap, due = self._heap, self._due
        while heap:
            at, number, key = heap[0]
            if due.get(key) == (at, number):
                return at
            heappop(heap)
        return inf

    def pop(self, now_seconds: float) -> Key | None:
        """The first one that is due, disarmed; None when none is."""
        if self.next_at > now_seconds:
            return None
        key = heappop(self._heap)[2]
        del self._due[key]
        return key

    def postpone(self, seconds: float, concerns: Callable[[Key], bool]) -> None:
        """Moves those timers on by so much; their order stays."""
        self._due = {k: (at + seconds if concerns(k) else at, number) for k, (at, number) in self._due.items()}
        self._sweep()

    def _sweep(self) -> None:
        self._heap = [(at, number, key) for key, (at, number) in self._due.items()]
        heapify(self._heap)
