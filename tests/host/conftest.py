"""A node's carriers of effects over memory storage, with a transport that reaches other memory stores directly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from ralnode.api import (
    Address,
    Block,
    BlockKey,
    BlockSet,
    NodeId,
    NotFoundError,
    Peer,
    PeerService,
    Root,
    Source,
    UnavailableError,
)
from ralnode.api.limits import GIB
from ralnode.core.events import Event
from ralnode.host.dagindex import DagIndex
from ralnode.host.inbox import Inbox
from ralnode.host.parts import Parts
from ralnode.host.tasks import Tasks
from ralnode.testing.memory_peer import MemoryPeer
from ralnode.testing.memory_storage import MemoryStorage

HOLDER = bytes(31) + b"\x01"


class DirectTransport:
    """A `Transport` whose peers are objects in this process. `before_batch` may wait or raise."""

    def __init__(self) -> None:
        self.services: dict[NodeId, PeerService] = {}
        self.before_batch: Callable[[], Awaitable[None]] = _nothing
        self.asked: list[tuple[Root, list[int]]] = []
        self.open_streams = 0

    async def start(self, service: PeerService) -> None:
        raise AssertionError("nobody listens here")

    async def wait(self) -> None:
        await asyncio.Event().wait()

    async def stop(self) -> None:
        return

    @property
    def port(self) -> int:
        return 1

    async def sync(self, peer: Peer, body: bytes) -> tuple[NodeId, Address, bytes]:
        await self.before_batch()
        return HOLDER, Address("192.0.2.1", 1), await self._service(peer).answer_sync(HOLDER, Address("a", 1), body)

    async def command(self, peer: Peer, body: bytes) -> bytes:
        return await self._service(peer).answer_command(HOLDER, body)

    async def fetch_blocks(
        self, peer: Peer, root: Root, keys: Sequence[tuple[int, BlockKey]]
    ) -> AsyncIterator[Sequence[Block]]:
        self.asked.append((root, [index for index, _key in keys]))
        async for batch in self._stream(self._service(peer).blocks(root, BlockSet.of(index for index, _key in keys))):
            yield batch

    async def fetch_interior(self, peer: Peer, root: Root) -> AsyncIterator[Sequence[Block]]:
        async for batch in self._stream(self._service(peer).interior(root)):
            yield batch

    async def has_block(self, peer: Peer, key: BlockKey) -> bool:
        return await self._service(peer).has_block(key)

    async def fetch_block(self, peer: Peer, key: BlockKey) -> bytes | None:
        return await self._service(peer).block(key)

    def traffic(self) -> Mapping[NodeId, tuple[int, int]]:
        return {}

    async def _stream(self, batches: AsyncIterator[Sequence[Block]]) -> AsyncIterator[Sequence[Block]]:
        self.open_streams += 1
        try:
            async for batch in batches:
                await self.before_batch()
                yield batch
        finally:
            self.open_streams -= 1

    def _service(self, peer: Peer) -> PeerService:
        if peer.id not in self.services:
            raise UnavailableError("cannot reach the peer")
        return self.services[peer.id]


async def _nothing() -> None:
    return


@dataclass
class Bench:
    """One node's store and carriers, and a holder that has everything."""

    storage: MemoryStorage
    transport: DirectTransport
    dag: DagIndex
    inbox: Inbox
    tasks: Tasks
    holder: MemoryPeer
    failures: list[BaseException] = field(default_factory=list)
    said: list[tuple[str, str]] = field(default_factory=list)
    stored_count: int = 0

    @property
    def parts(self) -> Parts:
        return Parts(
            self.storage,
            self.transport,
            self.dag,
            self.inbox,
            self.tasks,
            lambda level, text: self.said.append((level, text)),
            self.stored,
        )

    def stored(self) -> None:
        self.stored_count += 1

    async def source(self, data: bytes, *, with_interior: bool = True) -> Source:
        """A source that the holder has whole, and this node only the interior nodes of."""
        root = await self.holder.add(data)
        source = await DagIndex(self.holder.storage).describe(root, "a source")
        if with_interior:
            async for batch in self.holder.interior(root):
                await self.storage.put(batch)
        return source

    async def until(self, kind: type[Event]) -> list[Event]:
        """Events up to and with the first of this kind."""
        found: list[Event] = []
        async with asyncio.timeout(20):
            while not any(isinstance(event, kind) for event in found):
                found += await self.inbox.take(5.0)
        return found

    @property
    def peer(self) -> Peer:
        return Peer(HOLDER, (Address("192.0.2.1", 1),))


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    storage, failures = MemoryStorage(GIB), []  # type: ignore[var-annotated]
    await storage.open(lambda keys: None)
    transport, holder = DirectTransport(), MemoryPeer()
    transport.services[HOLDER] = holder
    made = Bench(storage, transport, DagIndex(storage), Inbox(), Tasks(failures.append), holder, failures)
    yield made
    await made.tasks.close()
    assert failures == []


__all__ = ["Bench", "DirectTransport", "NotFoundError"]
