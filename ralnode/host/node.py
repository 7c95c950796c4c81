"""The life of a node: open → READY → run until told to stop → close in reverse. One object per node, no globals.

Storage, transport and the core loop are essential: when one fails, the node ends with its error. Discovery, gateways and
pages are started again by themselves. A failure before READY ends the start with its exit code.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

from ralnode.api import Address, EventLine, Hint, NodeId, Settings, UnavailableError
from ralnode.core.engine import Engine
from ralnode.core.events import NodeChanged, PeerHinted, Stopping
from ralnode.host.addresses import addresses_of
from ralnode.host.assembly import Surroundings, Works, assemble, surroundings
from ralnode.host.blockfinder import BlockFinder
from ralnode.host.bounds import (
    ADDRESS_SECONDS,
    GOODBYE_SECONDS,
    SERVICES_STOP_SECONDS,
    STORE_STOP_SECONDS,
    TASKS_STOP_SECONDS,
    TRANSPORT_STOP_SECONDS,
)
from ralnode.host.building import Named, build_roles, check_options
from ralnode.host.choose import Chosen, check_tables, choose
from ralnode.host.closing import bounded
from ralnode.host.commands import Origin, answer, dispatch
from ralnode.host.config import Config
from ralnode.host.dagindex import DagIndex
from ralnode.host.datadir import DataDir
from ralnode.host.dispatch import LEVELS
from ralnode.host.facade import Facade, Open
from ralnode.host.founding import engine_options, info_of, settings_of
from ralnode.host.identity import open_identity
from ralnode.host.joining import find_join_code
from ralnode.host.keeping import LostBlocks
from ralnode.host.logs import logger
from ralnode.host.notify import Notifier
from ralnode.host.operations import Operations, Setup
from ralnode.host.parts import clock
from ralnode.host.peerservice import PeerAnswers
from ralnode.host.plugins import PluginSet
from ralnode.host.rates import Rates
from ralnode.host.reading import Reader
from ralnode.host.rolenames import WITHOUT
from ralnode.host.supervise import Optional, ServiceState, guarded_start, run_essential
from ralnode.host.tasks import Tasks


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
        self._config = config
        self._plugins = plugins
        self._environ = environ
        self._extras = extras
        self._log = logger("node")
        self._notifier = Notifier(environ)
        self.stopping = asyncio.Event()
        """Set from the first reason to stop on."""
        self._failure: BaseException | None = None
        self._core = Tasks(self._fail)
        self._optional = Tasks(self._fail)
        self._states: list[ServiceState] = []
        self._operations: Operations | None = None

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

    def _say_no_plugins(self) -> None:
        self._notifier.ready()
        self._log.warning("this node has no plugin, so there is nothing that it can do:")
        for role, lack in WITHOUT.items():
            self._log.warning("without a %s %s", role, lack)
        self._log.warning("stopping; nothing was changed. See `ralnode plugins` for what was refused and why")
        self._notifier.stopping()

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

    def _fail(self, error: BaseException) -> None:
        """The first failure counts; those that follow are its consequences."""
        if self._failure is None:
            self._failure = error
            self._log.debug("where it failed", exc_info=error)
        self.stopping.set()

    def _say(self, level: str, text: str) -> None:
        """A line for the event log that does not come from the engine."""
        self._log.log(LEVELS[level], "%s", text)
        if self._operations is not None:
            self._operations.engine.events.append(EventLine(clock().unix_ms, level, text))

    # --- opening, each step with its closing ------------------------------------------------------------------------

    async def _open(self, stack: AsyncExitStack, chosen: Chosen) -> None:
        node = self._config.node
        assert node.data_dir is not None, "config.load fills it in"
        data = stack.enter_context(DataDir(node.data_dir))
        code = find_join_code(node, self._environ)
        identity = open_identity(data.path, code.secret if code else None)
        settings = settings_of(
            node, data.path, data.declared_capacity(node.capacity_bytes), code.addresses if code else ()
        )
        roles = build_roles(chosen, self._config, settings, identity, self.facade, data.next_boot_nonce())
        setup = Setup(self._config, self._plugins, chosen, data, identity, roles)
        dag = DagIndex(roles.storage)
        around = surroundings(roles.storage, roles.transport, dag, self._say, self._fail, self._log)

        lost = LostBlocks()
        self._close_later(stack, "the block store", roles.storage.close, STORE_STOP_SECONDS)
        await guarded_start("the block store", roles.storage.open(lost.add))
        self._close_later(stack, "the gossip socket", around.udp.close, TASKS_STOP_SECONDS)
        await around.udp.open(settings.listen_host, settings.gossip_port)
        self._close_later(stack, "the running tasks", around.tasks.close, TASKS_STOP_SECONDS)
        self._close_later(stack, "the core", self._core.close, TASKS_STOP_SECONDS)

        works, operations = await self._open_core(stack, setup, around, settings, lost)
        self._close_later(stack, "the optional services", lambda: self._stop_optional(setup), SERVICES_STOP_SECONDS)
        await self._open_optional(setup, around, works)
        if self._extras is not None:
            await self._extras(operations, stack)

    async def _open_core(
        self, stack: AsyncExitStack, setup: Setup, around: Surroundings, settings: Settings, lost: LostBlocks
    ) -> tuple[Works, Operations]:
        """Transport first, since its port stands in this node's record; the engine answers as soon as it runs."""
        transport = setup.roles.transport
        service = PeerAnswers(around.exchanges, around.storage, around.dag, self._answer_command)
        self._close_later(stack, "the transport", transport.stop, TRANSPORT_STOP_SECONDS)
        await guarded_start("the transport", transport.start(service))
        engine = self._make_engine(setup, settings, transport.port, around.udp.port)
        works = assemble(around, engine, setup.roles.planner)
        rates = Rates(setup.identity.id, transport.traffic)
        operations = Operations(setup, around, works, rates, self._states, self.facade, self.request_stop)
        saved = await around.storage.load_state(b"catalogue/")
        works.dispatcher.carry_out(engine.start(saved, around.storage.usage(), clock()))
        self._operations = operations
        self.facade.opened(self._open_facade(operations, works))
        stack.callback(operations.ingest.close)
        self._close_later(stack, "the verification", operations.verify_job.stop, TASKS_STOP_SECONDS)
        self._close_later(stack, "the last words", lambda: self._say_goodbye(around, works), GOODBYE_SECONDS)
        self._run_core(around, works, rates, operations, lost)
        self._hint(setup, around)
        return works, operations

    def _open_facade(self, operations: Operations, works: Works) -> Open:
        finder = BlockFinder(operations.storage, operations.transport, works.engine, operations.dag)
        return Open(
            engine=works.engine,
            storage=operations.storage,
            finder=finder,
            status=operations.status,
            metrics=operations.metrics,
            open=Reader(finder, works.engine).open,
            command=lambda name, params, to: dispatch(operations, name, params, to, Origin.PAGE),
            change_count=lambda: works.shell.change_count,
        )

    def _make_engine(self, setup: Setup, settings: Settings, transport_port: int, gossip_port: int) -> Engine:
        node = self._config.node
        addresses = addresses_of(settings.listen_host, transport_port, node.announce)
        me = info_of(setup.identity.id, settings, addresses, gossip_port)
        options = engine_options(node, setup.roles.planner)
        dice = random.Random(secrets.randbits(64))
        listening = Address(settings.listen_host, gossip_port)
        return Engine(me, setup.identity, setup.roles.gossip, options, dice, listening)

    def _run_core(
        self, around: Surroundings, works: Works, rates: Rates, operations: Operations, lost: LostBlocks
    ) -> None:
        essential = {
            "saving": works.saver.run(works.dispatcher.carry_out_saved),
            "core loop": works.shell.run(),
            "transport": around.transport.wait(),
            "gossip socket": around.udp.wait(),
            "disk usage": around.usage.run(),
            "lost blocks": works.keeping.watch(lost),
            "rates": rates.run(),
            "addresses": operations.watch_addresses(ADDRESS_SECONDS),
        }
        for name, work in essential.items():
            self._core.spawn(name, run_essential(name, work))
        self._core.spawn("watchdog", self._notifier.watch(lambda: around.storage.load_state(b"node/")))
        self._core.spawn("status line", self._notifier.tell(lambda: operations.status().sentence))

    async def _answer_command(self, peer: NodeId, body: bytes) -> bytes:
        if self._operations is None:
            raise UnavailableError("this node is still starting; try again in a moment")
        return await answer(self._operations, peer, body)

    def _hint(self, setup: Setup, around: Surroundings) -> None:
        for address in setup.data.hints():
            around.inbox.offer(PeerHinted(address, "remembered"))

    # --- optional services ------------------------------------------------------------------------------------------

    async def _open_optional(self, setup: Setup, around: Surroundings, works: Works) -> None:
        """A page or gateway whose port is taken ends the start: its owner has to know. Discovery does not: it only hints,
        and a machine without multicast must still come up."""
        roles = setup.roles

        def report(hint: Hint) -> None:
            around.inbox.offer(PeerHinted(hint.address, hint.origin))

        for found in roles.discovery:
            self._supervise(found, partial(found.service.start, report, around.transport.port), started=False)
        for each in (*roles.gateway, *roles.ui):
            await guarded_start(f"the {each.name}", each.service.start())
            self._supervise(each, each.service.start, started=True)
        for page in roles.ui[:1]:
            works.shell.turn([NodeChanged(page_url=page.service.url)])

    def _supervise(self, found: Named[Any], start: Callable[[], Awaitable[None]], *, started: bool) -> None:
        state = ServiceState(found.name, is_running=started)
        self._states.append(state)
        self._optional.spawn(found.name, Optional(found.service, start, state, self._log).run())

    async def _stop_optional(self, setup: Setup) -> None:
        services: list[Named[Any]] = [*setup.roles.discovery, *setup.roles.gateway, *setup.roles.ui]
        await bounded("the supervision", self._optional.close, SERVICES_STOP_SECONDS / 2, self._log)
        await asyncio.gather(
            *(bounded(f"the {each.name}", each.service.stop, SERVICES_STOP_SECONDS / 2, self._log) for each in services)
        )

    # --- closing ----------------------------------------------------------------------------------------------------

    def _close_later(
        self, stack: AsyncExitStack, name: str, step: Callable[[], Awaitable[object]], seconds: float
    ) -> None:
        stack.push_async_callback(bounded, name, step, seconds, self._log)

    async def _say_goodbye(self, around: Surroundings, works: Works) -> None:
        """The engine's last effects go out, and all its state is durable."""
        works.dispatcher.carry_out(works.engine.handle(Stopping(), clock()))
        await works.saver.flush()
