"""Reports known addresses at intervals. No IO of its own: names are resolved by the transport that dials."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from ralnode.api import Address, ConfigError, Context, Hint


@dataclass(frozen=True, slots=True)
class StaticOptions:
    """`[discovery.static]`."""

    peers: tuple[str, ...] = ()
    """More addresses, as `host:port`, beside `[node] known_peers`."""
    interval_seconds: float = 15.0
    """Between two reports; each is spread by ± 20 %."""


class StaticDiscovery:
    """`Discovery` of ralnode.api."""

    def __init__(self, context: Context, options: StaticOptions) -> None:
        if options.interval_seconds <= 0:
            raise ConfigError("[discovery.static] interval_seconds must be more than 0")
        self._addresses = tuple(dict.fromkeys((*context.settings.known_peers, *map(_address, options.peers))))
        self._interval_seconds = options.interval_seconds
        self._random = context.random
        self._task: asyncio.Task[None] | None = None

    async def start(self, report: Callable[[Hint], None], transport_port: int) -> None:
        self._task = asyncio.create_task(self._report(report), name="static discovery")

    async def wait(self) -> None:
        assert self._task is not None
        await asyncio.shield(self._task)

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _report(self, report: Callable[[Hint], None]) -> None:
        while True:
            for address in self._addresses:
                report(Hint(address, "static"))
            await asyncio.sleep(self._interval_seconds * (0.8 + 0.4 * self._random.random()))


def _address(text: str) -> Address:
    try:
        return Address.parse(text)
    except ValueError as error:
        raise ConfigError(f"[discovery.static] peers: {error}; write it like 192.168.1.10:10090") from error
