"""Opens a node part by part, each with its closing pushed on a stack: data directory, store, gossip socket, transport, core,
optional services. What to do when one fails, and when to stop, is node.py's business.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

from ralnode.api import Address, Hint, NodeId, Settings, UnavailableError
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
from ralnode.host.building import build_roles
from ralnode.host.choose import Chosen
from ralnode.host.closing import bounded
from ralnode.host.commands import Origin, answer, dispatch
from ralnode.host.config import Config
from ralnode.host.contributing import Contributions
from ralnode.host.dagindex import DagIndex
from ralnode.host.datadir import DataDir
from ralnode.host.facade import Facade, Open
from ralnode.host.folderbook import FolderBook
from ralnode.host.founding import engine_options, info_of, settings_of
from ralnode.host.identity import open_identity
from ralnode.host.joining import find_join_code
from ralnode.host.keeping import LostBlocks
from ralnode.host.metering.meters import Meters
from ralnode.host.notify import Notifier
from ralnode.host.operations import Measured, Operations, Setup
from ralnode.host.optional import OptionalServices
from ralnode.host.parts import clock
from ralnode.host.peerservice import PeerAnswers
from ralnode.host.plugins import PluginSet
from ralnode.host.rates import Rates
from ralnode.host.reading import Reader
from ralnode.host.storeprobe import StoreProbe
from ralnode.host.supervise import guarded_start, run_essential
from ralnode.host.tasks import Tasks


@dataclass(frozen=True, slots=True)
class Given:
    """What a node is opened with. `fail` is called with what ends it later, `stop` when a command asks for it."""

    config: Config
    plugins: PluginSet
    chosen: Chosen
    environ: Mapping[str, str]
    facade: Facade
    notifier: Notifier
    say: Callable[[str, str], None]
    fail: Callable[[BaseException], None]
    stop: Callable[[], None]
    log: logging.Logger


class Opening:
    """`run` once. `operations` is there as soon as commands can be answered."""

    def __init__(self, given: Given, stack: AsyncExitStack) -> None:
        self.operations: Operations | None = None
        self._given = given
        self._stack = stack
        self._core = Tasks(given.fail)

    async def run(self) -> Operations:
        """Raises RalnodeError; what is open by then is closed with the stack."""
        given = self._given
        setup, settings = self._prepare()
        roles, meters = setup.roles, Meters(setup.roles.storage)
        dag = DagIndex(meters.storage)
        around = surroundings(meters.storage, roles.transport, dag, given.say, given.fail, given.log)
        optional = OptionalServices(roles, Tasks(given.fail), given.log)
        lost = LostBlocks()
        self._close_later("the block store", roles.storage.close, STORE_STOP_SECONDS)
        await guarded_start("the block store", around.storage.open(lost.add))
        self._close_later("the gossip socket", around.udp.close, TASKS_STOP_SECONDS)
        await around.udp.open(settings.listen_host, settings.gossip_port)
        self._close_later("the running tasks", around.tasks.close, TASKS_STOP_SECONDS)
        self._close_later("the core", self._core.close, TASKS_STOP_SECONDS)
        works = await self._open_transport(setup, settings, around, meters)
        operations = await self._open_core(setup, around, works, meters, optional, lost)
        self._close_later("the optional services", optional.stop, SERVICES_STOP_SECONDS)
        await self._open_optional(optional, around, works)
        await operations.tell_gateways()
        return operations

    # --- what can be made without opening anything but the data directory -------------------------------------------

    def _prepare(self) -> tuple[Setup, Settings]:
        given, node = self._given, self._given.config.node
        assert node.data_dir is not None, "config.load fills it in"
        book = FolderBook.of(node.data_dir, given.environ)
        book.check()
        data = self._stack.enter_context(DataDir(node.data_dir))
        code = find_join_code(node, given.environ)
        identity = open_identity(data.path, code.secret if code else None)
        book.note(identity.id)
        capacity_bytes = data.declared_capacity(node.capacity_bytes)
        settings = settings_of(node, data.path, capacity_bytes, code.addresses if code else ())
        roles = build_roles(
            given.chosen,
            given.config,
            settings,
            identity,
            given.facade,
            data.next_boot_nonce(),
            given.notifier.progress,
        )
        return Setup(given.config, given.plugins, given.chosen, data, identity, roles), settings

    def _make_engine(self, setup: Setup, settings: Settings, gossip_port: int) -> Engine:
        node, roles = self._given.config.node, setup.roles
        addresses = addresses_of(settings.listen_host, roles.transport.port, node.announce)
        me = replace(info_of(setup.identity.id, settings, addresses, gossip_port), draining=setup.data.is_draining())
        dice = random.Random(secrets.randbits(64))
        listening = Address(settings.listen_host, gossip_port)
        return Engine(me, setup.identity, roles.gossip, engine_options(node, roles.planner), dice, listening)

    # --- what opens -------------------------------------------------------------------------------------------------

    async def _open_transport(self, setup: Setup, settings: Settings, around: Surroundings, meters: Meters) -> Works:
        """Before the engine is made, since the port that was bound stands in this node's record. What peers ask meanwhile
        waits in the inbox."""
        service = PeerAnswers(around.exchanges, around.storage, around.dag, self._answer_command, meters)
        self._close_later("the transport", around.transport.stop, TRANSPORT_STOP_SECONDS)
        await guarded_start("the transport", around.transport.start(service))
        return assemble(around, self._make_engine(setup, settings, around.udp.port), setup.roles.planner, meters)

    async def _open_core(
        self,
        setup: Setup,
        around: Surroundings,
        works: Works,
        meters: Meters,
        optional: OptionalServices,
        lost: LostBlocks,
    ) -> Operations:
        rates = Rates(setup.identity.id, around.transport.traffic, late=meters.loop_lag.observe)
        measured = Measured(meters, rates, optional.states)
        operations = Operations(setup, around, works, measured, self._given.facade, self._given.stop)
        saved = await around.storage.load_state(b"catalogue/")
        works.dispatcher.carry_out(works.engine.start(saved, around.storage.usage(), clock()))
        self.operations = operations
        self._given.facade.opened(_speaking_for(operations, works))
        self._stack.callback(operations.ingest.close)
        self._close_later("the verification", operations.verify_job.stop, TASKS_STOP_SECONDS)
        self._close_later("the leftovers", operations.leftovers.stop, TASKS_STOP_SECONDS)
        self._close_later("the last words", lambda: _say_goodbye(works), GOODBYE_SECONDS)
        self._run(around, works, rates, operations, lost)
        for address in setup.data.hints():
            around.inbox.offer(PeerHinted(address, "remembered"))
        return operations

    async def _open_optional(self, optional: OptionalServices, around: Surroundings, works: Works) -> None:
        def report(hint: Hint) -> None:
            around.inbox.offer(PeerHinted(hint.address, hint.origin))

        await optional.start(report, around.transport.port)
        if optional.page_url:
            works.shell.turn([NodeChanged(page_url=optional.page_url)])

    def _run(self, around: Surroundings, works: Works, rates: Rates, operations: Operations, lost: LostBlocks) -> None:
        essential = {
            "saving": works.saver.run(works.dispatcher.carry_out_saved),
            "core loop": works.shell.run(),
            "transport": around.transport.wait(),
            "gossip socket": around.udp.wait(),
            "disk usage": around.usage.run(),
            "lost blocks": works.keeping.watch(lost),
            "rates": rates.run(),
            "leftovers": operations.leftovers_watch.run(),
            "addresses": operations.watch_addresses(ADDRESS_SECONDS),
        }
        for name, work in essential.items():
            self._core.spawn(name, run_essential(name, work))
        notifier = self._given.notifier
        probe = StoreProbe(around.storage)
        self._core.spawn("watchdog", notifier.watch(probe.reads, probe.writes))
        self._core.spawn("status line", notifier.tell(lambda: operations.status().sentence))

    async def _answer_command(self, peer: NodeId, body: bytes) -> bytes:
        if self.operations is None:
            raise UnavailableError("this node is still starting; try again in a moment")
        return await answer(self.operations, peer, body)

    def _close_later(self, name: str, step: Callable[[], Awaitable[object]], seconds: float) -> None:
        self._stack.push_async_callback(bounded, name, step, seconds, self._given.log)


def _speaking_for(operations: Operations, works: Works) -> Open:
    finder = BlockFinder(operations.storage, operations.transport, works.engine, operations.dag)
    contributions = Contributions(operations)
    return Open(
        engine=works.engine,
        storage=operations.storage,
        finder=finder,
        status=operations.status,
        metrics=operations.metrics,
        open=Reader(finder, works.engine).open,
        command=lambda name, params, to: dispatch(operations, name, params, to, Origin.PAGE),
        change_count=lambda: works.shell.change_count,
        add=contributions.add,
        resume_offset=contributions.resume_offset,
        pull=contributions.pull,
        say=operations.say,
    )


async def _say_goodbye(works: Works) -> None:
    """The engine's last effects go out, and all its state is durable."""
    works.dispatcher.carry_out(works.engine.handle(Stopping(), clock()))
    await asyncio.shield(works.saver.flush())
