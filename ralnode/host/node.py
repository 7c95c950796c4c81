"""The life of a node: open → READY → run until told to stop → close in reverse. One object per node, no globals.

Storage, transport and the core loop are essential: when one fails, the node ends with its error. Discovery, gateways and
pages are started again by themselves. A failure before READY ends the start with its exit code.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack

from ralnode.api import EventLine
from ralnode.host.building import check_options
from ralnode.host.choose import Chosen, check_tables, choose
from ralnode.host.config import Config
from ralnode.host.dispatch import LEVELS
from ralnode.host.facade import Facade
from ralnode.host.logs import logger
from ralnode.host.notify import Notifier
from ralnode.host.opening import Given, Opening
from ralnode.host.operations import Operations
from ralnode.host.parts import clock
from ralnode.host.plugins import PluginSet
from ralnode.host.rolenames import WITHOUT


class Node:
    """`run` once. `request_stop` may be called on the event loop at any time, also while the node starts."""

    def __init__(
        self,
        config: Config,
        plugins: PluginSet,
        environ: Mapping[str, str],
        extras: Callable[[Operations, AsyncExitStack], Awaitable[None]] | None = None,
    ) -> None:
        """`extras` opens what belongs to the process rather than the node (control socket, seeding), last before READY."""
        self.facade = Facade()
        self.stopping = asyncio.Event()
        """Set from the first reason to stop on."""
        self._config = config
        self._plugins = plugins
        self._environ = environ
        self._extras = extras
        self._log = logger("node")
        self._notifier = Notifier(environ)
        self._failure: BaseException | None = None
        self._opening: Opening | None = None

    def request_stop(self) -> None:
        """Again is harmless."""
        self.stopping.set()

    async def run(self) -> None:
        """Returns after a clean stop. Raises RalnodeError when the node could not start or an essential part failed."""
        for refused in self._plugins.refused:
            self._log.warning("plugin %s (%s) was refused: %s", refused.name, refused.origin, refused.reason)
        if not self._plugins.plugins and not self._plugins.missing:
            self._say_no_plugins()
            return
        chosen = choose(self._plugins, self._config)
        check_options(self._plugins, self._config)
        for warning in (*self._config.warnings, *check_tables(self._plugins, self._config)):
            self._log.warning("%s", warning)
        async with AsyncExitStack() as stack:
            await self._until_stopped(self._open(stack, chosen))
            if not self.stopping.is_set():
                self._notifier.ready()
            await self.stopping.wait()
            self._notifier.stopping()
        if self._failure is not None:
            raise self._failure

    async def _open(self, stack: AsyncExitStack, chosen: Chosen) -> None:
        given = Given(
            config=self._config,
            plugins=self._plugins,
            chosen=chosen,
            environ=self._environ,
            facade=self.facade,
            notifier=self._notifier,
            say=self._say,
            fail=self._fail,
            stop=self.request_stop,
            log=self._log,
        )
        self._opening = Opening(given, stack)
        operations = await self._opening.run()
        if self._extras is not None:
            await self._extras(operations, stack)

    async def _until_stopped(self, opening: Awaitable[None]) -> None:
        """A stop that comes while the node opens ends the opening; what is open already is closed."""
        task, stopped = asyncio.ensure_future(opening), asyncio.ensure_future(self.stopping.wait())
        patience = asyncio.ensure_future(self._notifier.ask_for_patience())
        try:
            await asyncio.wait([task, stopped], return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
            patience.cancel()
            if not task.done():
                task.cancel()
                await asyncio.wait([task])
        if not task.cancelled():
            task.result()

    def _say_no_plugins(self) -> None:
        self._notifier.ready()
        self._log.warning("this node has no plugin, so there is nothing that it can do:")
        for role, lack in WITHOUT.items():
            self._log.warning("without a %s %s", role, lack)
        self._log.warning("stopping; nothing was changed. See `ralnode plugins` for what was refused and why")
        self._notifier.stopping()

    def _fail(self, error: BaseException) -> None:
        """The first failure counts; those that follow are its consequences."""
        if self._failure is None:
            self._failure = error
            self._log.debug("where it failed", exc_info=error)
        self.stopping.set()

    def _say(self, level: str, text: str) -> None:
        """A line for the event log that does not come from the engine."""
        self._log.log(LEVELS[level], "%s", text)
        if self._opening is not None and self._opening.operations is not None:
            self._opening.operations.engine.events.append(EventLine(clock().unix_ms, level, text))
