"""A node for commands and the control socket: the real engine, memory storage, a planner that gives everything to all."""

from __future__ import annotations

import asyncio
import logging
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pytest

from ralnode.api import (
    Address,
    Block,
    BlockSet,
    ClusterStatus,
    GossipOutput,
    Holding,
    Instant,
    Liveness,
    Member,
    MemberChanged,
    Metric,
    NodeInfo,
    NotFoundError,
    Peer,
    Plan,
    Reading,
    Root,
    Source,
    UnavailableError,
    Usage,
    Versions,
    View,
)
from ralnode.cli.client import NodeClient
from ralnode.core import events as ev
from ralnode.core.engine import Engine
from ralnode.core.engine_options import EngineOptions
from ralnode.dag import cid
from ralnode.host.answers import ConfigAnswer, ConfigRow, PageAnswer, PluginLine, PluginsAnswer, RefusedLine
from ralnode.host.blockfinder import BlockFinder
from ralnode.host.commands import VerifyJob, answer
from ralnode.host.commands.params import PageParams
from ralnode.host.control.app import control_app
from ralnode.host.control.lending import Lending
from ralnode.host.control.server import ControlServer
from ralnode.host.dagindex import DagIndex
from ralnode.host.ingest.ingest import Ingest
from ralnode.host.leftovers import LeftoversJob, LeftoversParts
from ralnode.host.reading import Reader
from ralnode.testing.fake_identity import FakeIdentity
from ralnode.testing.memory_storage import MemoryStorage

LOG = logging.getLogger("test of the control socket")
LEAVES = [b"leaf %d" % i for i in range(10)]
FILM = Source(cid.make(cid.DAG_PB, b"film"), "film", 60, 10, 60, 1, 50)
BOOK = Source(cid.make(cid.RAW, b"book"), "book", 4, 1, 4, 0, 0, copies=3)


class SilentGossip:
    """Nobody is there but those whom the test names."""

    def __init__(self) -> None:
        self.wake_at = float("inf")

    def start(self, me: Member, now: Instant) -> list[GossipOutput]:
        return []

    def tick(self, now: Instant) -> list[GossipOutput]:
        return []

    def datagram_received(self, data: bytes, sender: Address, now: Instant) -> list[GossipOutput]:
        return [MemberChanged(Member(FakeIdentity(data.decode()).id, data.decode(), sender, 10090, Liveness.ALIVE))]

    def exchange(self) -> bytes:
        return b""

    def exchange_received(self, data: bytes, sender: bytes, seen_at: Address, now: Instant) -> list[GossipOutput]:
        return []

    def announce(self, author: bytes, versions: Versions, now: Instant) -> list[GossipOutput]:
        return []

    def leave(self, now: Instant) -> list[GossipOutput]:
        return []

    def members(self) -> Sequence[Member]:
        return []

    def counters(self) -> Mapping[str, int]:
        return {}


class EverythingPlanner:
    """Each node keeps all; explains itself."""

    name, version, needs_holdings = "everything", 1, False

    def plan(self, view: View) -> Plan:
        return Plan({source.root: BlockSet.full(source.leaf_count) for source in view.sources}, digest=b"\x01" * 16)

    def explain(self, view: View, root: Root, index: int) -> Sequence[str]:
        return [f"block {index} goes to {cid.peer_id(node.id)}" for node in view.nodes]


class Wire:
    """The part of a transport that carries commands between the nodes of a test."""

    def __init__(self) -> None:
        self.nodes: dict[bytes, ControlNode] = {}

    def of(self, sender: bytes) -> Any:
        return _WireEnd(self, sender)


@dataclass
class _WireEnd:
    wire: Wire
    sender: bytes

    async def command(self, peer: Peer, body: bytes) -> bytes:
        assert peer.id is not None
        return await answer(self.wire.nodes[peer.id], self.sender, body)


@dataclass
class FakeReading:
    """A file, folder or symlink in memory, with the interface of ralnode.api.Reading."""

    name: str
    kind: str
    data: bytes = field(default=b"", repr=False)
    target: str = ""
    children: dict[str, FakeReading] = field(default_factory=dict)
    fails_at: int | None = None
    ended_at: int | None = None
    """Where reading was when it was left."""

    @property
    def cid(self) -> bytes:
        return cid.make(cid.RAW, f"{self.kind} {self.name}".encode())

    @property
    def size_bytes(self) -> int:
        return len(self.data) + sum(child.size_bytes for child in self.children.values())

    async def read(self, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        stop = len(self.data) if length is None else min(len(self.data), offset + length)
        at = offset
        try:
            for at in range(offset, stop, 1 << 21):
                if self.fails_at is not None and at >= self.fails_at:
                    raise NotFoundError("nobody has this block")
                await asyncio.sleep(0)  # a real one waits for its store
                yield self.data[at : min(stop, at + (1 << 21))]
        finally:
            self.ended_at = at

    async def child(self, name: str, cid: bytes) -> FakeReading:
        return self.children[name]

    async def entries(self) -> AsyncIterator[tuple[str, bytes, int]]:
        for name, child in self.children.items():
            yield name, child.cid, child.size_bytes


class FakeControl:
    """`NodeControl` over a tree in memory, and the real reader for everything else."""

    reading = FakeReading

    def __init__(self, node: ControlNode) -> None:
        self._node = node
        self._reader = Reader(BlockFinder(node.storage, node.transport, node.engine, node.dag), node.engine)
        self.tree: dict[str, FakeReading] = {}
        self.change_count = 2
        self.open_count = 0

    def status(self) -> ClusterStatus:
        return self._node.status()

    def sources(self) -> Sequence[Source]:
        return self._node.engine.sources()

    async def changes(self) -> AsyncIterator[None]:
        for _ in range(self.change_count):
            yield

    async def block(self, key: bytes, *, local_only: bool = False) -> bytes | None:
        return await self._node.storage.get(key)

    async def blocks(
        self, keys: Sequence[bytes], *, root: bytes | None = None, local_only: bool = False
    ) -> Sequence[bytes]:
        found = await self._node.storage.get_many(keys)
        if None in found:
            raise UnavailableError("no live node has it")
        return [block for block in found if block is not None]

    async def open(self, reference: str) -> Reading:
        self.open_count += 1
        first, _, rest = reference.partition("/")
        found = self.tree.get(first) or next((r for r in self.tree.values() if cid.to_text(r.cid) == first), None)
        if found is None:
            return await self._reader.open(reference)
        for part in filter(None, rest.split("/")):
            found = found.children.get(part) if found else None
        if found is None:
            raise NotFoundError(f"there is no {reference!r}")
        return found

    async def command(self, name: str, params: Mapping[str, Any], node: str | None = None) -> Mapping[str, Any]:
        raise NotImplementedError

    def metrics(self) -> Sequence[Metric]:
        return self._node.metrics()


class ControlNode:
    """Implements the Protocol of host/commands/ports.py with real parts where they are pure."""

    def __init__(self, name: str, wire: Wire) -> None:
        self.wire = wire
        self.identity = FakeIdentity(name)
        self.address = Address(f"10.0.0.{len(wire.nodes) + 1}", 10090)
        me = NodeInfo(self.identity.id, name, 10**6, addresses=(self.address,))
        options = EngineOptions(group="lab", planner="everything/1", node_text=cid.peer_id, root_text=cid.to_text)
        self.engine = Engine(me, self.identity, SilentGossip(), options, Random(1), self.address)
        self.storage = MemoryStorage(10**6)
        self.planner = EverythingPlanner()
        self.transport = wire.of(self.identity.id)
        self.verify_job = VerifyJob(lambda: self.storage)
        self.dag = DagIndex(self.storage)
        self.ingest = Ingest(self.storage, self.dag)
        self.leftovers = LeftoversJob(
            LeftoversParts(
                self.storage,
                self.storage,
                self.dag,
                self.engine.sources,
                self.ingest.unpublished,
                self._relocated,
                lambda: None,
            )
        )
        self.default_copies = 2
        self.control = FakeControl(self)
        self.hinted: list[Address] = []
        self.stops: list[float | None] = []
        self.told_page: list[PageParams] = []
        self.seconds = 1000.0
        wire.nodes[self.identity.id] = self
        self._carry(self.engine.start({}, Usage(10**6, 0), self.now))

    @property
    def now(self) -> Instant:
        return Instant(self.seconds, int(self.seconds * 1000) + 1_700_000_000_000)

    def tell(self, event: ev.Event) -> None:
        self._carry(self.engine.handle(event, self.now))

    def _carry(self, effects: Sequence[ev.Effect]) -> None:
        for effect in effects:
            if isinstance(effect, ev.ComputePlan):
                self.tell(ev.PlanComputed(effect.epoch, self.planner.plan(effect.view), 0.0))
            elif isinstance(effect, ev.SyncWith):
                self._exchange(effect)

    def settle(self) -> None:
        """Until there is a plan for what is known."""
        for _ in range(50):
            self.seconds += 0.5
            self.tell(ev.Ticked())

    def meets(self, other: ControlNode) -> None:
        """Membership and records, both ways."""
        for one, two in ((self, other), (other, self)):
            one.tell(ev.DatagramReceived(two.engine.me.name.encode(), two.address))
        for one in (self, other, self):
            one.settle()

    def _exchange(self, effect: ev.SyncWith) -> None:
        """A sync with the node that listens there, if any."""
        for peer in list(self.wire.nodes.values()):
            if peer is not self and peer.address in effect.peer.addresses:
                request = ev.SyncRequested(1, self.identity.id, self.address, effect.body)
                replies = peer.engine.handle(request, peer.now)
                body = next(e.body for e in replies if isinstance(e, ev.ReplySync))
                peer._carry(replies)
                self.tell(ev.SyncAnswered(effect.peer, peer.identity.id, peer.address, body))
                return
        self.tell(ev.SyncFailed(effect.peer, "nobody is there"))

    def status(self) -> ClusterStatus:
        return self.engine.status(self.now)

    def metrics(self) -> Sequence[Metric]:
        return [Metric("ralnode_used_bytes", "gauge", "used", 3.0)]

    def plugin_rows(self) -> PluginsAnswer:
        return PluginsAnswer(
            (PluginLine("planner_everything", "test", "1", "planner", ("everything",), True),),
            (RefusedLine("bad", "/x/ralnode_bad.py", "it is broken"),),
        )

    def config_rows(self) -> ConfigAnswer:
        return ConfigAnswer((ConfigRow("node.name", self.engine.me.name, "default"),))

    def join_code(self) -> str:
        return "ral1secret"

    async def set_capacity(self, capacity_bytes: int) -> None:
        await self.storage.set_capacity(capacity_bytes)
        self.tell(ev.NodeChanged(capacity_bytes=capacity_bytes))

    async def set_draining(self, draining: bool) -> None:
        self.tell(ev.NodeChanged(draining=draining))

    async def tell_page(self, params: PageParams) -> PageAnswer:
        self.told_page.append(params)
        return PageAnswer("http://127.0.0.1:9080/dashboard", accounts=("admin",))

    async def publish(self, source: Source, holding: Holding) -> None:
        self.tell(ev.SourcePublished(source, holding))

    async def _relocated(self, root: Root, holding: Holding) -> None:
        self.tell(ev.HoldingFound(root, holding))

    async def withdraw(self, root: Root) -> None:
        self.tell(ev.SourceWithdrawn(root))

    def hint(self, addresses: Sequence[Address]) -> None:
        self.hinted += addresses

    def request_stop(self, away_seconds: float | None) -> None:
        self.stops.append(away_seconds)

    async def fill(self) -> None:
        """Two sources: ten own leaves of one, the other by reference."""
        await self.storage.open(lambda keys: None)
        await self.storage.put([Block(cid.make(cid.RAW, leaf), leaf) for leaf in LEAVES])
        self.tell(ev.SourcePublished(FILM, Holding(True, BlockSet.full(10))))
        self.tell(ev.SourcePublished(BOOK, Holding(True, BlockSet(), BlockSet.full(1))))
        self.settle()


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
async def node(wire: Wire) -> ControlNode:
    made = ControlNode("attic", wire)
    await made.fill()
    return made


@pytest.fixture
async def other(wire: Wire, node: ControlNode) -> ControlNode:
    """A second node that `node` knows, and that knows it."""
    made = ControlNode("cellar", wire)
    await made.storage.open(lambda keys: None)
    node.meets(made)
    return made


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder with a short path: that of a unix socket may have 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="ral-", dir="/tmp") as folder:
        yield Path(folder)


@pytest.fixture
async def client(node: ControlNode, short_folder: Path) -> AsyncIterator[NodeClient]:
    """The client of the command line, to be called in threads, with `node` behind it."""
    lending = Lending(short_folder / "node.sock")
    async with ControlServer(control_app(node, LOG, lending.take), short_folder / "node.sock"), lending:
        yield NodeClient([short_folder / "node.sock"])
    node.ingest.close()
