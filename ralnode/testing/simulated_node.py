"""A node of the simulation: the real engine, gossip and planner, with a shell that carries effects out in virtual time.

Its disk and its key outlive a crash. What moves over the transport is in simulated_exchanges.py and simulated_fetches.py.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from random import Random
from typing import Any, cast

from ralnode.api import (
    Address,
    BlockKey,
    BlockSet,
    Context,
    Held,
    Holding,
    Instant,
    NodeControl,
    NodeInfo,
    Planner,
    Root,
    SendDatagram,
    Settings,
    Source,
    StorageFullError,
)
from ralnode.core import events as ev
from ralnode.core.engine import Engine
from ralnode.core.engine_options import EngineOptions
from ralnode.core.events import Effect, Event
from ralnode.testing.contents import Content
from ralnode.testing.fake_identity import FakeIdentity
from ralnode.testing.simulated_disk import SimulatedDisk
from ralnode.testing.simulated_exchanges import SimulatedExchanges
from ralnode.testing.simulated_fetches import SimulatedFetches
from ralnode.testing.world import Machine, World

GOSSIP_PORT = 9090
TRANSPORT_PORT = 10090
_LOG = logging.getLogger("ralnode.testing")
_LOG.setLevel(logging.CRITICAL)


class Lie(StrEnum):
    """How a node deceives."""

    NONE = "none"
    WRONG_BYTES = "wrong bytes"
    """Serves other bytes than were asked for."""
    WITHHOLDS = "withholds"
    """Serves nothing of what it has."""


class SimulatedNode:
    """See the module. `engine` is None while it is down."""

    def __init__(
        self,
        world: World,
        name: str,
        number: int,
        capacity_bytes: int,
        *,
        zone: str = "",
        options: EngineOptions,
        known: Sequence[Address] = (),
        planner: Callable[[Context], Planner] | None = None,
    ) -> None:
        self.world = world
        self.name = name
        self.zone = zone
        self.identity = FakeIdentity(name)
        self.id = self.identity.id
        host = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        self.gossip_address = Address(host, GOSSIP_PORT)
        self.transport_address = Address(host, TRANSPORT_PORT)
        self.disk = SimulatedDisk(capacity_bytes, world.contents.size_of)
        self.engine: Engine | None = None
        self.run = 0
        self.boots = 0
        self.life = 0
        """Grows when the disk is lost: numbers of records may then be used again."""
        self.skew_ms = 0
        self.lie = Lie.NONE
        self.boasts: set[Root] = set()
        """Sources of which it claims blocks that it lacks."""
        self.lost: set[BlockKey] = set()
        """Found rotten, not yet taken back from what is advertised."""
        self._options = options
        self._known = known
        self._make_planner = planner or world.parts.planner
        self._planner: Planner | None = None
        self._timer_at = float("inf")
        self._usage_due = False
        self.exchanges = SimulatedExchanges(self)
        self.fetches = SimulatedFetches(self)

    def __repr__(self) -> str:
        return f"<{self.name}{'' if self.is_up else ' (down)'}>"

    # --- life -------------------------------------------------------------------------------------------------------

    @property
    def is_up(self) -> bool:
        return self.engine is not None

    @property
    def now(self) -> Instant:
        return self.world.clock.now(self.skew_ms)

    @property
    def mind(self) -> Engine:
        """The engine of a node that is up."""
        assert self.engine is not None, f"{self.name} is down"
        return self.engine

    def start(self) -> None:
        assert self.engine is None
        self.run += 1
        self.boots += 1
        self.disk.restart()
        self.lost.clear()
        context = self._context()
        gossip, self._planner = self.world.parts.gossip(context), self._make_planner(context)
        info = NodeInfo(
            id=self.id,
            name=self.name,
            capacity_bytes=self.disk.capacity_bytes,
            zone=self.zone,
            addresses=(self.transport_address,),
            gossip_port=GOSSIP_PORT,
        )
        dice = Random(f"{self.world.seed}/{self.name}/{self.boots}/engine")
        plan = replace(self._options.plan, needs_holdings=self._planner.needs_holdings)
        options = replace(self._options, plan=plan)
        self.engine = Engine(info, self.identity, gossip, options, dice, self.gossip_address)
        self.world.network.attach(self.gossip_address, self._datagram_received)
        self.world.fault()
        self._carry(self.engine.start(dict(self.disk.documents), self.disk.usage(), self.now))
        self._arm()
        self._hint()
        self._measure_regularly()

    def stop(self) -> None:
        """Down at once, as by kill -9; what was not yet durable is lost."""
        self.run += 1
        self.engine = None
        self._timer_at = float("inf")
        self._usage_due = False
        self.world.network.detach(self.gossip_address)
        self.world.fault()
        self.exchanges = SimulatedExchanges(self)
        self.fetches = SimulatedFetches(self)

    def leave(self) -> None:
        """Tells everybody that it goes for good, and goes."""
        self.tell(ev.Stopping(for_good=True))
        self.stop()

    def _context(self) -> Context:
        settings = Settings(
            name=self.name,
            group="simulated",
            zone=self.zone,
            data_dir=Path(self.name),
            listen_host=self.gossip_address.host,
            transport_port=TRANSPORT_PORT,
            gossip_port=GOSSIP_PORT,
            page_port=0,
            capacity_bytes=self.disk.capacity_bytes,
            disk_floor_bytes=0,
            known_peers=tuple(self._known),
        )
        dice = Random(f"{self.world.seed}/{self.name}/{self.boots}/parts")
        return Context(settings, self.identity, cast(NodeControl, None), _LOG, dice, self.boots)

    # --- events in --------------------------------------------------------------------------------------------------

    def tell(self, event: Event) -> None:
        """One event at this instant; nothing happens while the node is down."""
        if self.engine is None:
            return
        self.world.watch.before(self, event)
        effects = self.engine.handle(event, self.now)
        self._carry(effects)
        self.world.watch.after(self)
        self._arm()

    def later(self, delay_seconds: float, action: Callable[..., object], *args: Any) -> None:
        """Runs the action unless the node has crashed by then."""
        self.world.clock.call_later(delay_seconds, self._if_same_run, self.run, action, args)

    def _if_same_run(self, run: int, action: Callable[..., object], args: tuple[Any, ...]) -> None:
        if run == self.run and self.is_up:
            action(*args)

    def _datagram_received(self, data: bytes, sender: Address, _now: Instant) -> None:
        self.tell(ev.DatagramReceived(data, sender))
        self.world.received.append((data, sender, self, self.run))

    def _arm(self) -> None:
        wake_at = self.mind.wake_at
        if wake_at < self._timer_at:
            self._timer_at = wake_at
            due = self.world.network.ready_at(self.gossip_address, wake_at)
            self.later(due - self.world.clock.seconds, self._timer, wake_at)

    def _timer(self, armed_for: float) -> None:
        if armed_for != self._timer_at:
            return
        self._timer_at = float("inf")
        if self.mind.wake_at <= self.world.clock.seconds:
            self.tell(ev.Ticked())
        else:
            self._arm()

    def _hint(self) -> None:
        """Static discovery: the known addresses, again and again until their node has been met. Finding nodes again
        that were met once is the engine's business."""
        met = {address for info in self.mind.nodes() for address in info.addresses}
        for address in self._known:
            if address not in met:
                self.tell(ev.PeerHinted(address, "static"))
        self.later(self.world.timings.hint_seconds * (0.9 + 0.2 * self.world.dice.random()), self._hint)

    def _measure_regularly(self) -> None:
        self.usage_changed()
        self.later(10 * self.world.timings.usage_seconds, self._measure_regularly)

    def usage_changed(self) -> None:
        """The engine hears of it soon, at most once per `usage_seconds`."""
        if not self._usage_due:
            self._usage_due = True
            self.later(self.world.timings.usage_seconds, self._measure)

    def _measure(self) -> None:
        self._usage_due = False
        self.tell(ev.UsageMeasured(self.disk.usage()))

    # --- effects out ------------------------------------------------------------------------------------------------

    def carry(self, effects: Sequence[Effect]) -> None:
        """What had waited for something else."""
        self._carry(effects)

    def _carry(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case SendDatagram():
                    self.world.network.send(self.gossip_address, effect.address, effect.data)
                case ev.SyncWith() | ev.ReplySync():
                    self.exchanges.expose(effect)
                case ev.SaveState():
                    self.exchanges.save(effect)
                case ev.ComputePlan():
                    self.later(self.world.timings.plan_seconds, self._plan, effect)
                case ev.SourceSettled():
                    self.world.counters["refused" if effect.refusal else "settled"] += 1
                case ev.Report():
                    self.world.counters[effect.level] += 1
                case _:
                    self.fetches.carry(effect)

    def _plan(self, effect: ev.ComputePlan) -> None:
        assert self._planner is not None
        try:
            plan = self._planner.plan(effect.view)
        except Exception as error:  # a planner may do anything
            self.tell(ev.PlanComputed(effect.epoch, None, 0.0, str(error)))
            return
        self.world.watch.planned(self, f"{self._planner.name}/{self._planner.version}", effect.view, plan)
        self.tell(ev.PlanComputed(effect.epoch, plan, self.world.timings.plan_seconds))

    # --- what is here -----------------------------------------------------------------------------------------------

    def holding(self, source: Source) -> Holding:
        """What the disk has of a source; without the interior nodes nobody can tell which blocks it is made of."""
        content = self.world.contents.of(source.root)
        if not self.disk.has_all(content.interior):
            return Holding()
        held = [self.disk.held(key) for key in content.leaves]
        owned = BlockSet.of(index for index, how in enumerate(held) if how is Held.OWNED)
        linked = BlockSet.of(index for index, how in enumerate(held) if how is Held.LINKED)
        return Holding(True, owned, linked)

    def sources(self) -> Sequence[Source]:
        return self.mind.sources()

    def locate(self, source: Source) -> None:
        found = Holding(True, BlockSet.full(source.leaf_count)) if source.root in self.boasts else self.holding(source)
        self.tell(ev.HoldingFound(source.root, found))

    def serve(self, key: BlockKey) -> bytes | None:
        """What a peer that asks for a block gets."""
        if self.lie is Lie.WITHHOLDS:
            return None
        was_held = self.disk.held(key) is not Held.NO
        data = self.disk.read(key)
        if was_held and data is None:
            self._lost(key)
        return b"no: " + (data or b"") if self.lie is Lie.WRONG_BYTES else data

    def serve_interior(self, source: Source) -> Sequence[tuple[BlockKey, bytes]] | None:
        content = self.world.contents.of(source.root)
        found = [(key, self.serve(key)) for key in content.interior]
        whole = [(key, data) for key, data in found if data is not None]
        return whole if len(whole) == len(found) else None

    def _lost(self, key: BlockKey) -> None:
        if not self.lost:
            self.later(self.world.timings.lost_seconds, self._count_afresh)
        self.lost.add(key)

    def _count_afresh(self) -> None:
        for source in self.mind.sources():
            self.locate(source)
        self.lost.clear()

    # --- what its owner does ----------------------------------------------------------------------------------------

    def add(self, content: Content, *, linked: bool = False) -> bool:
        """Adds a source whose file lies here; False when it does not fit, and then nothing has changed."""
        source, world = content.source, self.world
        leaves = world.blocks(content.leaves)
        try:
            self.disk.put(world.blocks(content.interior) + ([] if linked else leaves))
        except StorageFullError:
            return False
        if linked:
            self.disk.link(leaves)
        world.published[source.root] = source
        self.usage_changed()
        self.tell(ev.SourcePublished(source, self.holding(source)))
        world.said(source.root, self.mind.source_record(source.root))
        return True

    def remove(self, root: Root) -> None:
        if self.mind.source(root) is not None:
            self.world.withdrawn.add(root)
        self.tell(ev.SourceWithdrawn(root))
        self.world.said(root, self.mind.source_record(root))

    def resize(self, capacity_bytes: int) -> bool:
        """False when more is used already, and then nothing has changed."""
        try:
            self.disk.set_capacity(capacity_bytes)
        except StorageFullError:
            return False
        self.world.fault()
        self.tell(ev.UsageMeasured(self.disk.usage()))
        self.tell(ev.NodeChanged(capacity_bytes=capacity_bytes))
        return True

    def boast(self, root: Root) -> None:
        """From now on it claims every block of this source."""
        self.boasts.add(root)
        source = self.mind.source(root)
        if source is not None:
            self.locate(source)


def is_same_run(machine: Machine, run: int) -> bool:
    return machine.is_up and machine.run == run
