"""`GossipLab`: any number of `Gossip` machines on a lossy virtual network, with crashes, restarts and exchanges; one seed.

No engine: the lab makes the exchanges (push/pull) that an engine would make. `GossipContract` and the plugin's own tests use it.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias, cast

from ralnode.api import (
    Address,
    Context,
    Gossip,
    GossipOutput,
    Identity,
    Instant,
    Liveness,
    Member,
    MemberChanged,
    NodeControl,
    NodeId,
    SendDatagram,
    Settings,
    Versions,
    VersionsHeard,
)
from ralnode.testing.clock import VirtualClock
from ralnode.testing.datagrams import Conditions, DatagramNetwork
from ralnode.testing.fake_identity import FakeIdentity

BuildGossip: TypeAlias = Callable[[Context], Gossip]
GOSSIP_PORT: Final = 9090
TRANSPORT_PORT: Final = 10090


def make_context(
    identity: Identity, boot_nonce: int, rng: random.Random, name: str = "node", host: str = ""
) -> Context:
    """A context for a pure object: there is no node behind it."""
    settings = Settings(
        name=name,
        group="test",
        zone="",
        data_dir=Path(),
        listen_host=host or "0.0.0.0",
        transport_port=TRANSPORT_PORT,
        gossip_port=GOSSIP_PORT,
        page_port=0,
        capacity_bytes=0,
        disk_floor_bytes=0,
        known_peers=(),
    )
    return Context(settings, identity, cast(NodeControl, None), logging.getLogger(f"test.{name}"), rng, boot_nonce)


@dataclass(slots=True)
class LabNode:
    """One machine: its gossip while it runs, and everything that gossip has reported since the lab began."""

    number: int
    identity: Identity
    address: Address
    announced: Address
    boot: int = 0
    gossip: Gossip | None = None
    wakes_at: float = 0.0
    heard: dict[NodeId, Versions] = field(default_factory=dict)
    changes: list[tuple[float, Member]] = field(default_factory=list)

    @property
    def id(self) -> NodeId:
        return self.identity.id

    @property
    def name(self) -> str:
        return f"node{self.number}"

    @property
    def running(self) -> Gossip:
        assert self.gossip is not None, f"{self.name} is not running"
        return self.gossip


class GossipLab:
    """Nodes are numbered from 0 and live at 10.0.x.y. With `announce_host` they announce that host instead (0.0.0.0)."""

    def __init__(
        self,
        build: BuildGossip,
        count: int,
        seed: int = 0,
        conditions: Conditions | None = None,
        *,
        announce_host: str = "",
        identities: Callable[[str], Identity] = FakeIdentity,
    ) -> None:
        self.rng = random.Random(seed)
        self.clock = VirtualClock()
        self.network = DatagramNetwork(self.clock, self.rng, conditions)
        self.nodes: list[LabNode] = []
        self._build = build
        self._announce_host = announce_host
        self._identities = identities
        for _ in range(count):
            self.start(self.add())

    # --- machines

    def add(self, identity: Identity | None = None) -> LabNode:
        """A machine that is still off."""
        number = len(self.nodes)
        host = f"10.0.{number // 250}.{number % 250 + 1}"
        announced = Address(self._announce_host or host, GOSSIP_PORT)
        node = LabNode(number, identity or self._identities(f"node{number}"), Address(host, GOSSIP_PORT), announced)
        self.nodes.append(node)
        return node

    def start(self, node: LabNode) -> None:
        """Switches it on, with a higher boot number and nothing remembered."""
        node.boot += 1
        rng = random.Random(self.rng.getrandbits(64))
        node.gossip = self._build(make_context(node.identity, node.boot, rng, node.name, node.address.host))
        self.network.attach(node.address, lambda data, source, now: self.receive(node, data, source, now))
        me = Member(node.id, node.name, node.announced, TRANSPORT_PORT)
        self.carry_out(node, node.gossip.start(me, self.clock.now()))

    def crash(self, node: LabNode) -> None:
        """Power off; nobody is told."""
        node.gossip = None
        self.network.detach(node.address)

    def restart(self, node: LabNode) -> None:
        self.crash(node)
        self.start(node)

    def leave(self, node: LabNode) -> None:
        """It says good-bye, then goes off."""
        self.carry_out(node, node.running.leave(self.clock.now()))
        self.crash(node)

    @property
    def running(self) -> list[LabNode]:
        return [node for node in self.nodes if node.gossip is not None]

    # --- what an engine does

    def exchange(self, asker: LabNode, other: LabNode) -> bool:
        """One sync over the transport: both tables are merged. False when they cannot reach each other."""
        ways = ((asker.address, other.address), (other.address, asker.address))
        if not (asker.gossip and other.gossip and all(self.network.reachable(*way) for way in ways)):
            return False
        now = self.clock.now()
        outputs = other.gossip.exchange_received(asker.gossip.exchange(), asker.id, asker.address, now)
        answer = other.gossip.exchange()
        self.carry_out(other, outputs)
        self.carry_out(asker, asker.gossip.exchange_received(answer, other.id, other.address, now))
        return True

    def join_all(self, hub: int = 0) -> None:
        """Every running node makes one exchange with the hub."""
        for node in self.running:
            if node.number != hub:
                self.exchange(node, self.nodes[hub])

    def exchange_every(self, seconds: float, attempts: int = 2) -> None:
        """From now on every running node tries that many machines at random, each so many seconds: living, dead or unknown."""
        for node in self.nodes:
            self.clock.call_later(seconds * self.rng.random(), self._exchange_again, node, seconds, attempts)

    def announce(self, node: LabNode, author: NodeId, versions: Versions) -> None:
        self.carry_out(node, node.running.announce(author, versions, self.clock.now()))

    # --- questions

    def opinion(self, observer: LabNode, subject: LabNode) -> Liveness | None:
        """None: unknown there."""
        return next((m.liveness for m in observer.running.members() if m.id == subject.id), None)

    def all_see(self, observers: Iterable[LabNode], subjects: Iterable[LabNode], *states: Liveness) -> bool:
        """Whether each observer believes one of those states of each subject but itself."""
        wanted = {subject.id for subject in subjects}
        for observer in observers:
            seen = {member.id for member in observer.running.members() if member.liveness in states}
            if not wanted - {observer.id} <= seen:
                return False
        return True

    def everyone_agrees(self) -> bool:
        """Whether all running nodes hold exactly the running nodes for alive."""
        running = {node.id for node in self.running}
        for node in self.running:
            alive = {m.id for m in node.running.members() if m.liveness is Liveness.ALIVE}
            if alive != running - {node.id}:
                return False
        return True

    def deaths(self, subjects: Sequence[LabNode]) -> list[tuple[float, LabNode, Member]]:
        """Every time somebody came to hold one of them for dead: (when, who, whom)."""
        ids = {node.id for node in subjects}
        return [
            (at, node, member)
            for node in self.nodes
            for at, member in node.changes
            if member.id in ids and member.liveness is Liveness.DEAD
        ]

    # --- machinery

    def carry_out(self, node: LabNode, outputs: Sequence[GossipOutput]) -> None:
        """What the shell does: sends, notes, and wakes the machine when it wants to be woken."""
        for output in outputs:
            match output:
                case SendDatagram(address, data):
                    self.network.send(node.address, address, data)
                case MemberChanged(member):
                    node.changes.append((self.clock.seconds, member))
                case VersionsHeard(author, versions):
                    node.heard[author] = versions
        self._plan_wake(node)

    def receive(self, node: LabNode, data: bytes, source: Address, now: Instant) -> None:
        if node.gossip is not None:
            self.carry_out(node, node.gossip.datagram_received(data, source, now))

    def _plan_wake(self, node: LabNode) -> None:
        wake_at = node.gossip.wake_at if node.gossip is not None else float("inf")
        if wake_at < float("inf") and not (self.clock.seconds < node.wakes_at <= wake_at):
            node.wakes_at = self.network.ready_at(node.address, max(wake_at, self.clock.seconds))
            self.clock.call_at(node.wakes_at, self._wake, node, node.wakes_at)

    def _wake(self, node: LabNode, planned_at: float) -> None:
        if node.gossip is None or node.wakes_at != planned_at:
            return
        node.wakes_at = 0.0
        if node.gossip.wake_at <= self.clock.seconds:
            self.carry_out(node, node.gossip.tick(self.clock.now()))
        else:
            self._plan_wake(node)

    def _exchange_again(self, node: LabNode, seconds: float, attempts: int) -> None:
        for other in self.rng.sample(self.nodes, min(attempts + 1, len(self.nodes)))[:attempts]:
            if other is not node:
                self.exchange(node, other)
        self.clock.call_later(seconds * (0.8 + 0.4 * self.rng.random()), self._exchange_again, node, seconds, attempts)
