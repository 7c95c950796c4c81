"""Runs services: an essential one that fails ends the node, an optional one is started again with growing delays."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from ralnode.api import LocalError, RalnodeError
from ralnode.host.bounds import RESTART_DELAYS_SECONDS, STEADY_SECONDS


class Service(Protocol):
    async def wait(self) -> None:
        """Returns never; raises when the service fails."""
        ...

    async def stop(self) -> None: ...


@dataclass(slots=True)
class ServiceState:
    """For the status and /metrics."""

    name: str
    is_running: bool = True
    restart_count: int = 0
    reason: str = ""
    """Why it is down, or was last."""


async def guarded_start(name: str, start: Awaitable[None]) -> None:
    """Raises a RalnodeError that names the service, whatever the plugin raised."""
    try:
        await start
    except RalnodeError:
        raise
    except Exception as error:
        raise LocalError(f"cannot start {name}: {type(error).__name__}: {error}. Nothing was changed") from error


async def run_essential(name: str, work: Awaitable[None]) -> None:
    """Raises a RalnodeError that names the service, also when it ends without one: it has no business ending."""
    try:
        await work
    except RalnodeError:
        raise
    except Exception as error:
        raise LocalError(f"{name} failed: {type(error).__name__}: {error}") from error
    raise LocalError(f"{name} ended by itself")


class Supervised:
    """One optional service, already started or not. `start` is called for every restart."""

    def __init__(
        self,
        service: Service,
        start: Callable[[], Awaitable[None]],
        state: ServiceState,
        log: logging.Logger,
        delays_seconds: Sequence[float] = RESTART_DELAYS_SECONDS,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._service = service
        self._start = start
        self._state = state
        self._log = log
        self._delays_seconds = delays_seconds
        self._sleep = sleep
        self._failures = 0

    async def run(self) -> None:
        """Returns never, whatever the service does. Cancellation stops nothing but this watching."""
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                if not self._state.is_running:
                    await self._start()
                    self._state.is_running = True
                await self._service.wait()
                self._state.reason = "it ended by itself"
            except Exception as error:  # a plugin may raise anything; the node does not depend on it
                self._state.reason = str(error) or type(error).__name__
                self._log.debug("service %s failed", self._state.name, exc_info=True)
            if loop.time() - began > STEADY_SECONDS:
                self._failures = 0
            await self._rest()

    async def _rest(self) -> None:
        delay = self._delays_seconds[min(self._failures, len(self._delays_seconds) - 1)]
        self._failures += 1
        self._state.is_running = False
        self._state.restart_count += 1
        self._log.warning("%s is down: %s; starting it again in %.0f s", self._state.name, self._state.reason, delay)
        with suppress(Exception):
            await self._service.stop()
        await self._sleep(delay)
