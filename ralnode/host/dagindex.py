"""`DagIndex`: what the DAGs in the store look like: leaf numbers to keys, what of a source is here, blocks for peers.

It walks interior nodes with `ralnode.dag.walk` and remembers the result of the last walks. Reading is the store's work,
decoding is done in threads, so the event loop is never held up. It changes nothing in the store.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Final

from ralnode.api import Block, BlockSet, Holding, NotFoundError, Root, Source, Storage
from ralnode.api.limits import KIB, MIB
from ralnode.dag import cid as cids
from ralnode.dag.errors import DagError
from ralnode.dag.keys import KeyList, LeafKeys
from ralnode.dag.walk import Bounds, Dag, enumerate_dag
from ralnode.host.blockgroups import groups
from ralnode.host.dagcache import DagCache
from ralnode.host.driving import drive
from ralnode.host.dropping import keys_only_in
from ralnode.host.holdingcount import all_held, count_held

CACHE_BYTES: Final = 32 * MIB
"""About 800 GiB in 1 MiB leaves. A source larger than this is kept only while it is used."""

STRANGE_REVISITS_MAX: Final = 1 << 15
"""0.7 TiB of zeros in nodes of 22 MiB, as Kubo makes them; about ten seconds of walking."""


class DagIndex:
    """Knows the sources that were asked for by record (`leaf_keys`, `locate`); `blocks` and `interior` serve only those."""

    def __init__(self, storage: Storage, cache_bytes: int = CACHE_BYTES) -> None:
        self._storage = storage
        self._cache = DagCache(cache_bytes)
        self._bounds: dict[Root, Bounds] = {}

    async def leaf_keys(self, source: Source) -> LeafKeys:
        """Raises NotFoundError when the interior nodes are not all here, or are not those of the record."""
        return (await self.dag(source)).leaves

    async def dag(self, source: Source) -> Dag:
        """The whole walk. Raises NotFoundError as `leaf_keys`."""
        self._bounds[source.root] = bounds_of(source)
        return await self._known(source.root)

    async def has_interior(self, source: Source) -> bool:
        """Whether all interior nodes are in the store."""
        try:
            dag = await self.dag(source)
        except NotFoundError:
            return False
        return await all_held(self._storage, dag.interior)

    async def locate(self, source: Source) -> Holding:
        """What the store has of the source, by index look-ups alone. Nothing while interior nodes are missing: leaves
        cannot be told from others then."""
        if not await self.has_interior(source):
            return Holding()
        owned, linked = await count_held(self._storage, await self.leaf_keys(source))
        return Holding(has_interior=True, owned=owned, linked=linked)

    async def keys_to_drop(self, source: Source, kept: Sequence[Source]) -> KeyList:
        """Blocks of `source` that none of the `kept` sources uses; distinct, whether they are here or not."""
        return await keys_only_in(source, kept, self.dag, self._storage)

    async def describe(
        self,
        root: Root,
        name: str,
        *,
        copies: int = 2,
        priority: int = 0,
        strict: bool = False,
        bounds: Bounds = Bounds(),  # noqa: B008 - immutable
    ) -> Source:
        """The record of a DAG whose blocks are in the store. `strict` for a DAG that others made: every dag-pb block is
        looked at; `bounds` for a stranger's, which may lead to more leaves than there is memory. Raises NotFoundError when a block is missing, DagError when the DAG is malformed."""
        dag = await drive(enumerate_dag(root, bounds, strict=strict), self._storage.get_many)
        source = Source(
            root=root,
            name=name,
            size_bytes=dag.content_bytes,
            leaf_count=len(dag.leaves),
            leaf_bytes=dag.leaves.total_bytes,
            interior_count=len(dag.interior),
            interior_bytes=dag.interior_bytes,
            copies=copies,
            priority=priority,
            is_directory=dag.is_directory,
        )
        self._bounds[root] = bounds_of(source)
        self._cache.put(root, dag)
        return source

    def forget(self, root: Root) -> None:
        """The source is gone, or its blocks have changed: what was known of it is dropped."""
        self._bounds.pop(root, None)
        self._cache.forget(root)

    async def blocks(self, root: Root, wanted: BlockSet) -> AsyncIterator[Sequence[Block]]:
        """The leaves asked for, ascending, those not held left out; groups of at most limits.PUT_BATCH_BYTES together
        with the one that is read ahead. Raises NotFoundError for a root unknown here."""
        leaves = (await self._known(root)).leaves
        members = await asyncio.to_thread(wanted.indexes)
        inside = members[members < len(leaves)]
        async with aclosing(groups(self._storage, leaves, inside, leaves.size)) as read:
            async for group in read:
                yield [Block(key, data) for key, data in group if data is not None]

    async def interior(self, root: Root) -> AsyncIterator[Sequence[Block]]:
        """All interior nodes, depth first, each once. Raises NotFoundError if they are not all here."""
        keys = (await self._known(root)).interior
        async with aclosing(groups(self._storage, keys, range(len(keys)), _no_size)) as read:
            async for group in read:
                if any(data is None for _, data in group):
                    raise NotFoundError(f"an interior node of {cids.to_text(root)} is no longer here")
                yield [Block(key, data) for key, data in group if data is not None]

    async def _known(self, root: Root) -> Dag:
        if root not in self._bounds:
            raise NotFoundError(f"source {cids.to_text(root)} is not known here")
        async with self._cache.lock(root):
            dag = self._cache.get(root)
            if dag is None:
                dag = await self._walk(root, self._bounds[root])
                self._cache.put(root, dag)
            return dag

    async def _walk(self, root: Root, bounds: Bounds) -> Dag:
        try:
            dag = await drive(enumerate_dag(root, bounds), self._storage.get_many)
        except DagError as error:
            raise NotFoundError(f"the interior nodes of {cids.to_text(root)} are not all here: {error}") from error
        found = len(dag.leaves), len(dag.interior)
        if found != (bounds.leaf_count, bounds.interior_count):
            raise NotFoundError(
                f"the interior nodes of {cids.to_text(root)} are not all here: they lead to {found[0]} leaves and "
                f"{found[1]} interior nodes, its record says {bounds.leaf_count} and {bounds.interior_count}"
            )
        return dag


def strange_bounds(capacity_bytes: int) -> Bounds:
    """Of a DAG that a stranger made: a few blocks that link to each other again and again could lead to more leaves than
    there are atoms. Blocks of 128 KiB that fill the whole node, and a million more."""
    count = (1 << 20) + capacity_bytes // (128 * KIB)
    return Bounds(count, count, revisit_count=STRANGE_REVISITS_MAX)


def bounds_of(source: Source) -> Bounds:
    """What walking the source must come to."""
    is_single = source.interior_count == 0 and source.leaf_count == 1
    return Bounds(source.leaf_count, source.interior_count, source.leaf_bytes if is_single else None)


def _no_size(_index: int) -> None:
    """Interior nodes have no size on record; `groups` takes few at a time then."""
