"""Reports the configured addresses again and again. Names are not resolved here: the transport does that when it dials."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from ralnode.api import Context, Hint
from ralnode_discovery_static.options import StaticOptions

ORIGIN: Final = "static"


class StaticDiscovery:
    """The `Discovery` role. With no peers configured it idles."""

    def __init__(self, context: Context, options: StaticOptions) -> None:
        known = (*context.settings.known_peers, *options.addresses())
        self._hints = [Hint(address, ORIGIN) for address in dict.fromkeys(known)]
        self._options = options
        self._random = context.random
        self._task: asyncio.Task[None] | None = None

    async def start(self, report: Callable[[Hint], None], transport_port: int) -> None:
        self._task = asyncio.create_task(self._report_again_and_again(report), name="discovery_static")

    async def wait(self) -> None:
        if self._task is not None:
            await self._task

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _report_again_and_again(self, report: Callable[[Hint], None]) -> None:
        jitter = self._options.jitter_share
        while True:
            for hint in self._hints:
                report(hint)
            await asyncio.sleep(self._options.interval_seconds * self._random.uniform(1 - jitter, 1 + jitter))
