"""The optional services of a node, discovery, gateways and pages: started, watched, stopped together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from ralnode.api import Hint
from ralnode.host.bounds import SERVICES_STOP_SECONDS
from ralnode.host.building import Named, Roles
from ralnode.host.closing import bounded
from ralnode.host.supervise import ServiceState, Supervised, guarded_start
from ralnode.host.tasks import Tasks


class OptionalServices:
    """`states` is for the status and /metrics."""

    def __init__(self, roles: Roles, tasks: Tasks, log: logging.Logger) -> None:
        self.states: list[ServiceState] = []
        self._roles = roles
        self._tasks = tasks
        self._log = log

    async def start(self, report: Callable[[Hint], None], transport_port: int) -> None:
        """A page or gateway whose port is taken ends the start: its owner has to know. Discovery does not: it only hints,
        and a machine without multicast must still come up."""
        for found in self._roles.discovery:
            self._supervise(found, partial(found.service.start, report, transport_port), started=False)
        for each in (*self._roles.gateway, *self._roles.ui):
            await guarded_start(f"the {each.name}", each.service.start())
            self._supervise(each, each.service.start, started=True)

    @property
    def page_url(self) -> str:
        """Of the first page; empty without one."""
        return self._roles.ui[0].service.url if self._roles.ui else ""

    async def stop(self) -> None:
        """First the watching, or a service that stops would be taken for one that failed."""
        await bounded("the supervision", self._tasks.close, SERVICES_STOP_SECONDS / 2, self._log)
        services: list[Named[Any]] = [*self._roles.discovery, *self._roles.gateway, *self._roles.ui]
        await asyncio.gather(
            *(bounded(f"the {e.name}", e.service.stop, SERVICES_STOP_SECONDS / 2, self._log) for e in services)
        )

    def _supervise(self, found: Named[Any], start: Callable[[], Awaitable[None]], *, started: bool) -> None:
        state = ServiceState(found.name, is_running=started)
        self.states.append(state)
        self._tasks.spawn(found.name, Supervised(found.service, start, state, self._log).run())
