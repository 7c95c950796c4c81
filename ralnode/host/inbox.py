"""The bounded queue in front of the engine. Datagrams are dropped when it is full, everybody else waits for room."""

from __future__ import annotations

import asyncio
from collections import deque

from ralnode.api.limits import EVENT_QUEUE_MAX
from ralnode.core.events import Event
from ralnode.host.bounds import BATCH_EVENTS_MAX


class Inbox:
    """Many producers on the event loop, one consumer (the core loop)."""

    def __init__(self, size_max: int = EVENT_QUEUE_MAX) -> None:
        self.dropped_count = 0
        self._size_max = size_max
        self._events: deque[Event] = deque()
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    def __len__(self) -> int:
        return len(self._events)

    def offer(self, event: Event) -> bool:
        """Takes the event unless the queue is full; says whether it did."""
        if len(self._events) >= self._size_max:
            self.dropped_count += 1
            return False
        self._events.append(event)
        self._news.set()
        return True

    async def put(self, event: Event) -> None:
        """Waits for room."""
        while len(self._events) >= self._size_max:
            self._room.clear()
            await self._room.wait()
        self._events.append(event)
        self._news.set()

    async def take(self, wait_seconds: float) -> list[Event]:
        """The next events in their order; empty when none came within `wait_seconds`."""
        if not self._events:
            await self._wait(wait_seconds)
        batch = [self._events.popleft() for _ in range(min(len(self._events), BATCH_EVENTS_MAX))]
        self._room.set()
        return batch

    async def _wait(self, wait_seconds: float) -> None:
        """A timer that sets the event costs a tenth of `wait_for`, and this runs for every datagram."""
        self._news.clear()
        timer = asyncio.get_running_loop().call_later(wait_seconds, self._news.set)
        try:
            await self._news.wait()
        finally:
            timer.cancel()
