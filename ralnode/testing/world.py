"""What all simulated nodes share: the clock, the network, the contents, the dice, and who watches them."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Protocol

from ralnode.api import (
    Address,
    Block,
    BlockKey,
    Context,
    Gossip,
    NodeId,
    Peer,
    Plan,
    Planner,
    Root,
    Source,
    View,
)
from ralnode.api.limits import MIB
from ralnode.core.events import Effect, Event
from ralnode.core.records import SourceRecord
from ralnode.testing.clock import VirtualClock
from ralnode.testing.contents import Contents
from ralnode.testing.datagrams import DatagramNetwork
from ralnode.testing.simulated_disk import SimulatedDisk


@dataclass(frozen=True, slots=True)
class Parts:
    """The plugins under test: made anew at every start of a node. The tests hand them in; testing imports no plugin."""

    gossip: Callable[[Context], Gossip]
    planner: Callable[[Context], Planner]


@dataclass(frozen=True, slots=True)
class Timings:
    """How long the shell's work takes, in seconds."""

    save_seconds: float = 0.002
    locate_seconds: float = 0.005
    plan_seconds: float = 0.05
    refused_seconds: float = 0.001
    timeout_seconds: float = 5.0
    exchange_seconds_max: float = 30.0
    usage_seconds: float = 1.0
    lost_seconds: float = 1.0
    hint_seconds: float = 10.0
    bytes_per_second: int = 100 * MIB
    batch_blocks: int = 16


class Exchanges(Protocol):
    """What arrives at a machine over the transport, beside requests for blocks."""

    def requested(self, number: int, asker: Machine, body: bytes) -> None: ...

    def answered(self, number: int, answerer: Machine, body: bytes, refusal: str) -> None: ...


class Machine(Protocol):
    """A node as others meet it through the transport."""

    id: NodeId
    name: str
    gossip_address: Address
    transport_address: Address
    run: int
    """Grows with every start and crash: an answer to an earlier run reaches nobody."""

    @property
    def is_up(self) -> bool: ...

    @property
    def exchanges(self) -> Exchanges: ...

    def tell(self, event: Event) -> None: ...

    def serve(self, key: BlockKey) -> bytes | None: ...

    def serve_interior(self, source: Source) -> Sequence[tuple[BlockKey, bytes]] | None: ...


class Shell(Machine, Protocol):
    """A node as the parts of its own shell see it."""

    world: World
    disk: SimulatedDisk

    def later(self, delay_seconds: float, action: Callable[..., object], *args: Any) -> None: ...

    def carry(self, effects: Sequence[Effect]) -> None: ...

    def sources(self) -> Sequence[Source]: ...

    def locate(self, source: Source) -> None: ...

    def usage_changed(self) -> None: ...


class Watch(Protocol):
    """Is told of everything that happens, and raises when something must not be."""

    def before(self, node: Machine, event: Event) -> None: ...

    def after(self, node: Machine) -> None: ...

    def saved(self, node: Machine, items: Mapping[bytes, bytes | None]) -> None: ...

    def deleting(self, node: Machine, source: Source, keys: Iterable[BlockKey]) -> None: ...

    def planned(self, node: Machine, planner: str, view: View, plan: Plan) -> None: ...


@dataclass(slots=True)
class World:
    """One simulated world; `seed` decides everything."""

    seed: int
    parts: Parts
    timings: Timings
    clock: VirtualClock
    network: DatagramNetwork
    contents: Contents
    dice: Random
    watch: Watch
    machines: dict[Address, Machine] = field(default_factory=dict)
    """By transport address."""
    counters: Counter[str] = field(default_factory=Counter)
    stream_failures: float = 0.0
    """Probability that a request over the transport fails."""
    last_fault_at: float = 0.0
    """Virtual time of the last change for the worse or better: liveness may be asked for some time after it."""
    published: dict[Root, Source] = field(default_factory=dict)
    """What users have added last, removed ones included."""
    withdrawn: set[Root] = field(default_factory=set)
    """What users have ever removed, added again or not."""
    words: dict[Root, tuple[int, NodeId, bool]] = field(default_factory=dict)
    """The users' last word on each source by the records' clocks: (clock, author, whether it is removed)."""
    is_stormy: bool = False
    """While so much is lost, or so many streams fail, that live nodes may well be held for dead."""
    received: deque[tuple[bytes, Address, Machine, int]] = field(default_factory=lambda: deque(maxlen=200))
    """The last packets with their source, who got them and in which run, for those who would replay them."""
    _numbers: int = 0

    def said(self, root: Root, record: tuple[NodeId, SourceRecord] | None) -> None:
        """A user has added or removed a source, and this is the record that came of it."""
        if record is not None:
            author, word = record
            self.words[root] = max((word.clock, author, word.deleted), self.words.get(root, (0, b"", True)))

    def is_live(self, root: Root) -> bool:
        return root in self.words and not self.words[root][2]

    def number(self) -> int:
        self._numbers += 1
        return self._numbers

    def fault(self) -> None:
        """Something has changed in the world."""
        self.last_fault_at = self.clock.seconds

    def blocks(self, keys: Iterable[BlockKey]) -> list[Block]:
        return [Block(key, self.contents.data_of(key)) for key in keys]

    def latency_seconds(self) -> float:
        """One direction of a stream: lost segments are sent again, 200 ms later."""
        conditions = self.network.conditions
        seconds = conditions.delay_seconds
        if conditions.jitter_seconds:
            seconds += self.dice.expovariate(1 / conditions.jitter_seconds)
        for _ in range(8):
            if not conditions.loss or self.dice.random() >= conditions.loss:
                break
            seconds += 0.2
        return seconds

    def can_talk(self, one: Machine, other: Machine) -> bool:
        """Whether a stream between the two passes: both are up and neither direction is cut."""
        pair = (one.gossip_address, other.gossip_address)
        reach = self.network.reachable
        return one.is_up and other.is_up and reach(*pair) and reach(*reversed(pair))

    def dial(self, asker: Machine, peer: Peer) -> tuple[Machine | None, str, float]:
        """Whom the peer's addresses lead to; or None, why not, and after how many seconds that is known."""
        reason, seconds = "no address is known", self.timings.refused_seconds
        for address in peer.addresses:
            machine = self.machines.get(address)
            if machine is None or not self.network.reachable(asker.gossip_address, machine.gossip_address):
                reason, seconds = f"{address} does not answer", self.timings.timeout_seconds
            elif not machine.is_up:
                reason, seconds = f"{address} refuses connections", self.timings.refused_seconds
            elif not self.can_talk(asker, machine) or self.dice.random() < self.stream_failures:
                reason, seconds = f"the connection to {address} broke", self.timings.timeout_seconds
            elif peer.id is not None and machine.id != peer.id:
                reason, seconds = f"{address} is another node", self.latency_seconds()
            else:
                return machine, "", self.latency_seconds()
        return None, reason, seconds
