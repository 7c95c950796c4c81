"""Tells the engine how full the disk is: soon after something was stored, and now and then in any case."""

from __future__ import annotations

import asyncio

from ralnode.api import Storage
from ralnode.core.events import UsageMeasured
from ralnode.host.bounds import USAGE_SECONDS_MAX, USAGE_SECONDS_MIN
from ralnode.host.inbox import Inbox


class UsageWatch:
    """`changed` may be called as often as one likes."""

    def __init__(self, storage: Storage, inbox: Inbox) -> None:
        self._storage = storage
        self._inbox = inbox
        self._news = asyncio.Event()

    def changed(self) -> None:
        self._news.set()

    async def run(self, seconds_min: float = USAGE_SECONDS_MIN, seconds_max: float = USAGE_SECONDS_MAX) -> None:
        """Returns never."""
        while True:
            await asyncio.sleep(seconds_min)
            try:
                async with asyncio.timeout(max(0.0, seconds_max - seconds_min)):
                    await self._news.wait()
            except TimeoutError:
                pass
            self._news.clear()
            await self._inbox.put(UsageMeasured(self._storage.usage()))
