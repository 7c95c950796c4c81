"""`BlockFinder`: verified blocks of the cluster by key, from the own store or from live holders, several at once.

What it reads from others is not kept. A holder that fails or lacks a block is passed over and the next one asked.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ralnode.api import (
    BlockKey,
    LocalError,
    NodeId,
    NotFoundError,
    Peer,
    PeerError,
    Source,
    Storage,
    Transport,
    UnavailableError,
)
from ralnode.core.engine import Engine
from ralnode.dag import cid as cids
from ralnode.dag.keys import LeafKeys
from ralnode.host.bounds import BLOCK_SECONDS_MAX, STALL_SECONDS_MAX
from ralnode.host.dagindex import DagIndex

_ASKED_AT_ONCE_MAX: Final = 16
"""Of the live peers, when it is not known who has a block. In a larger cluster a block may then seem to be nowhere."""
_ASKED_SECONDS_MAX: Final = 3.0
_SINGLES_AT_ONCE: Final = 8
"""Blocks asked for one by one, when it is not known in which source they are."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Blocks of one source, or of none that is known (`source` None)."""

    source: Source | None
    keys: Sequence[BlockKey]
    is_local_only: bool = False
    """Nobody else is asked."""


class BlockFinder:
    """`get` returns all blocks asked for or raises. The caller bounds how much it asks for at once."""

    def __init__(self, storage: Storage, transport: Transport, engine: Engine, dags: DagIndex) -> None:
        self._storage = storage
        self._transport = transport
        self._engine = engine
        self._dags = dags
        self._turn = itertools.count()

    async def get(self, wanted: Wanted) -> list[bytes]:
        """In the order of the keys. Raises UnavailableError when no live node has one of them."""
        found = dict(zip(wanted.keys, await self._storage.get_many(wanted.keys), strict=True))
        lacking = [key for key in dict.fromkeys(wanted.keys) if found[key] is None]
        if lacking and not wanted.is_local_only:
            found.update(await self._from_others(wanted.source, lacking))
        missing = [key for key in wanted.keys if found[key] is None]
        if missing:
            raise UnavailableError(_out_of_reach(wanted, missing))
        return [data for key in wanted.keys if (data := found[key]) is not None]

    async def holders(self, key: BlockKey) -> list[NodeId]:
        """Live nodes that hold a block of which nothing but its key is known: this one or not, then some of the peers, who
        are all asked at once and look into their index."""
        (is_here,) = await self._storage.held([key])
        asked = _rotated(self._everybody(), next(self._turn))[:_ASKED_AT_ONCE_MAX]
        answers = await asyncio.gather(*(self._is_held(peer, key) for peer in asked))
        here = [] if is_here == "no" else [self._engine.me.id]
        return here + [peer.id for peer, held in zip(asked, answers, strict=True) if held and peer.id is not None]

    async def _is_held(self, peer: Peer, key: BlockKey) -> bool:
        try:
            async with asyncio.timeout(_ASKED_SECONDS_MAX):
                return await self._transport.has_block(peer, key)
        except (PeerError, UnavailableError, LocalError, TimeoutError):
            return False

    async def _from_others(self, source: Source | None, lacking: Sequence[BlockKey]) -> Mapping[BlockKey, bytes | None]:
        leaves = await self._leaves(source)
        if source is None or leaves is None:
            return await self._singly(lacking, lambda _key: self._everybody())
        return await self._by_index(source, leaves, lacking)

    async def _leaves(self, source: Source | None) -> LeafKeys | None:
        if source is None:
            return None
        try:
            return await self._dags.leaf_keys(source)
        except NotFoundError:
            return None

    async def _by_index(
        self, source: Source, leaves: LeafKeys, lacking: Sequence[BlockKey]
    ) -> Mapping[BlockKey, bytes | None]:
        """One request per holder for all that it is asked for, then what is still missing from the next holders."""
        indexes = _indexes(leaves, lacking)
        interior = [key for key in lacking if key not in indexes]
        found: dict[BlockKey, bytes | None] = dict.fromkeys(lacking)
        found.update(await self._singly(interior, lambda _key: self._engine.holders_of_interior(source.root)))
        asked: dict[BlockKey, set[NodeId | None]] = defaultdict(set)
        while groups := self._assign(source, {k: i for k, i in indexes.items() if found[k] is None}, asked):
            await asyncio.gather(*(self._request(source, peer, keys, found) for peer, keys in groups))
        still = [key for key in indexes if found[key] is None]
        found.update(await self._singly(still, lambda _key: self._everybody()))  # what holdings say may be old
        return found

    def _assign(
        self, source: Source, indexes: Mapping[BlockKey, int], asked: dict[BlockKey, set[NodeId | None]]
    ) -> list[tuple[Peer, list[tuple[int, BlockKey]]]]:
        """Each block to a holder not yet asked for it, the load spread; nothing for blocks without one."""
        groups: dict[NodeId | None, tuple[Peer, list[tuple[int, BlockKey]]]] = {}
        start = next(self._turn)
        for key, index in indexes.items():
            holders = [p for p in self._engine.holders_of(source.root, index) if p.id not in asked[key]]
            if holders:
                peer = min(_rotated(holders, start), key=lambda p: len(groups[p.id][1]) if p.id in groups else 0)
                asked[key].add(peer.id)
                groups.setdefault(peer.id, (peer, []))[1].append((index, key))
        for _peer, keys in groups.values():
            keys.sort()
        return list(groups.values())

    async def _request(
        self, source: Source, peer: Peer, keys: list[tuple[int, BlockKey]], found: dict[BlockKey, bytes | None]
    ) -> None:
        """Takes what comes; a failure leaves the rest to others."""
        batches = self._transport.fetch_blocks(peer, source.root, keys)
        try:
            while True:
                async with asyncio.timeout(STALL_SECONDS_MAX):
                    batch = await anext(batches, None)
                if batch is None:
                    return
                found.update({block.key: block.data for block in batch})
        except (PeerError, UnavailableError, LocalError, TimeoutError):
            return

    async def _singly(
        self, keys: Sequence[BlockKey], holders_of: Callable[[BlockKey], Sequence[Peer]]
    ) -> Mapping[BlockKey, bytes | None]:
        gate = asyncio.Semaphore(_SINGLES_AT_ONCE)

        async def one(key: BlockKey) -> bytes | None:
            async with gate:
                return await self._ask_in_turn(key, holders_of(key))

        return dict(zip(keys, await asyncio.gather(*map(one, keys)), strict=True))

    async def _ask_in_turn(self, key: BlockKey, holders: Sequence[Peer]) -> bytes | None:
        for peer in _rotated(holders, next(self._turn)):
            try:
                async with asyncio.timeout(BLOCK_SECONDS_MAX):
                    data = await self._transport.fetch_block(peer, key)
            except (PeerError, UnavailableError, LocalError, TimeoutError):
                continue
            if data is not None:
                return data
        return None

    def _everybody(self) -> Sequence[Peer]:
        return [self._engine.peer(node) for node in self._engine.live() if node != self._engine.me.id]


def _indexes(leaves: LeafKeys, keys: Sequence[BlockKey]) -> dict[BlockKey, int]:
    """Leaf numbers; keys that are no leaves are left out. Neighbours in a file are neighbours in the list."""
    found, hint = {}, 0
    for key in keys:
        index = leaves.find(key, hint)
        if index >= 0:
            found[key] = index
            hint = index
    return found


def _rotated(peers: Sequence[Peer], start: int) -> list[Peer]:
    """So that equal holders share the work."""
    cut = start % len(peers) if peers else 0
    return [*peers[cut:], *peers[:cut]]


def _out_of_reach(wanted: Wanted, missing: Sequence[BlockKey]) -> str:
    count = len(set(missing))
    blocks = "1 block" if count == 1 else f"{count} blocks"
    name = f" of {wanted.source.name!r}" if wanted.source else ""
    if wanted.is_local_only:
        return f"{blocks}{name} are not on this node, and no other was to be asked: {cids.to_text(missing[0])}"
    return (
        f"{blocks}{name} cannot be had now: no live node has {cids.to_text(missing[0])}. "
        "Start the nodes that are away (`ralnode status` names them) and try again."
    )
