"""Tells the engine how full the disk is: soon after something was stored, and now and then in any case."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from ralnode.api import Storage
from ralnode.core.events import UsageMeasured
from ralnode.host.bounds import USAGE_SECONDS_MAX, USAGE_SECONDS_MIN
from ralnode.host.inbox import Inbox


class UsageWatch:
    """`changed` may be called as often as one likes. `at_rest` is awaited at each look without changes."""

    def __init__(self, storage: Storage, inbox: Inbox, at_rest: Callable[[], Awaitable[None]]) -> None:
        self._storage = storage
        self._inbox = inbox
        self._at_rest = at_rest
        self._news = asyncio.Event()

    def changed(self) -> None:
        self._news.set()

    async def run(self, seconds_min: float = USAGE_SECONDS_MIN, seconds_max: float = USAGE_SECONDS_MAX) -> None:
        """Returns never."""
        while True:
            await asyncio.sleep(seconds_min)
            is_busy = await self._changed_within(max(0.0, seconds_max - seconds_min))
            await self._inbox.put(UsageMeasured(self._storage.usage()))
            if not is_busy:
                await self._at_rest()

    async def _changed_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()
        is_changed = self._news.is_set()
        self._news.clear()
        return is_changed
