"""`MemoryPeer`: what a node answers to its peers, over memory storage, with a record of what it was asked and lies to
switch on. For testing transports."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from ralnode.api import (
    Address,
    Block,
    BlockKey,
    BlockSet,
    NodeId,
    NotFoundError,
    RalnodeError,
    Root,
)
from ralnode.api.limits import GIB
from ralnode.dag import cid as cids
from ralnode.dag.profile import Profile
from ralnode.dag.walk import Dag, enumerate_dag, run
from ralnode.testing.content import Blocks, build_file
from ralnode.testing.memory_storage import MemoryStorage

Tamper: TypeAlias = Callable[[Sequence[Block]], Sequence[Block]]

SMALL: Final = Profile("small", chunk_bytes=16 * 1024, max_links=4)
"""Many blocks and several levels from little content."""


@dataclass(slots=True)
class Asked:
    """What was asked, in order."""

    syncs: list[tuple[NodeId, Address, bytes]] = field(default_factory=list)
    commands: list[tuple[NodeId, bytes]] = field(default_factory=list)
    streams: list[Root] = field(default_factory=list)
    batches_given: int = 0
    streams_ended: int = 0


class MemoryPeer:
    """See `ralnode.api.PeerService`."""

    def __init__(self, batch_count: int = 4) -> None:
        self.storage = MemoryStorage(4 * GIB)
        self.sources: dict[Root, Dag] = {}
        self.asked = Asked()
        self.answer: Callable[[bytes], bytes] = bytes
        """What a body is answered with; may raise."""
        self.tamper: Tamper = list
        """Applied to every batch of blocks that is sent; may raise."""
        self.gate = asyncio.Event()
        """Cleared: no sync is answered until it is set again."""
        self.gate.set()
        self._batch_count = batch_count

    async def add(self, data: bytes, profile: Profile = SMALL) -> Root:
        """Makes it a source that is wholly held here."""
        if not self.storage.is_open:
            await self.storage.open(lambda keys: None)
        found: Blocks = {}
        root = build_file(found, data, profile).cid
        await self.storage.put([Block(key, block) for key, block in found.items()])
        self.sources[root] = run(enumerate_dag(root), found.get)
        return root

    def leaves(self, root: Root) -> list[tuple[int, BlockKey]]:
        """(index, key) of every leaf of a source added here."""
        return list(enumerate(self.sources[root].leaves))

    # --- the role

    async def answer_sync(self, peer: NodeId, seen_at: Address, body: bytes) -> bytes:
        self.asked.syncs.append((peer, seen_at, body))
        await self.gate.wait()
        return self.answer(body)

    async def answer_command(self, peer: NodeId, body: bytes) -> bytes:
        self.asked.commands.append((peer, body))
        return self.answer(body)

    async def has_block(self, key: BlockKey) -> bool:
        return (await self.storage.held([key]))[0] != "no"

    async def block(self, key: BlockKey) -> bytes | None:
        data = await self.storage.get(key)
        return None if data is None else self.tamper([Block(key, data)])[0].data

    async def blocks(self, root: Root, wanted: BlockSet) -> AsyncIterator[Sequence[Block]]:
        keys = self._source(root).leaves
        async with aclosing(self._stream(root, [keys[index] for index in wanted if index < len(keys)])) as batches:
            async for batch in batches:
                yield batch

    async def interior(self, root: Root) -> AsyncIterator[Sequence[Block]]:
        async with aclosing(self._stream(root, list(self._source(root).interior))) as batches:
            async for batch in batches:
                yield batch

    async def _stream(self, root: Root, keys: Sequence[BlockKey]) -> AsyncGenerator[Sequence[Block], None]:
        self.asked.streams.append(root)
        try:
            for start in range(0, len(keys), self._batch_count):
                some = keys[start : start + self._batch_count]
                found = zip(some, await self.storage.get_many(some), strict=True)
                self.asked.batches_given += 1
                yield self.tamper([Block(key, data) for key, data in found if data is not None])
        finally:
            self.asked.streams_ended += 1

    def _source(self, root: Root) -> Dag:
        if root not in self.sources:
            raise NotFoundError(f"source {cids.to_text(root)} is not known here")
        return self.sources[root]


def raising(error: RalnodeError) -> Callable[[object], bytes]:
    """An `answer` that fails."""

    def fail(_: object) -> bytes:
        raise error

    return fail
