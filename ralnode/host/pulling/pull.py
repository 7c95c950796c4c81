"""`Pull`: a DAG from a trustless gateway into the store, and then it is a source like any other.

Its nodes are walked from the root. A node that is missing is asked for with all that is below it, as a CAR, if the gateway makes
such; what is missing still, because there was no CAR or it broke off, block by block, several at once. What is here is not asked
for again, so the same command goes on where an earlier one stopped.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Final, TypeVar

from ralnode.api import (
    Block,
    Held,
    NotFoundError,
    PeerError,
    RefusedError,
    Storage,
    StorageError,
    UnavailableError,
    UsageError,
)
from ralnode.api.limits import MIB, PUT_BATCH_BYTES
from ralnode.dag import cid as cids
from ralnode.dag.errors import DagError
from ralnode.dag.keys import LeafKeys
from ralnode.dag.node import open_node
from ralnode.dag.walk import Bounds, Dag, enumerate_dag
from ralnode.host.dagindex import DagIndex, strange_bounds
from ralnode.host.driving import drive
from ralnode.host.ingest import Added, AddOptions, Progress
from ralnode.host.ingest.model import Report
from ralnode.host.pulling import notes
from ralnode.host.pulling.carstream import CarStream
from ralnode.host.pulling.client import GatewayClient, NoCarError

THREADS: Final = 8
"""Requests at one time, each for one block: 16 MiB in memory at most."""
PIECES_BYTES: Final = 4 * MIB
"""Of a CAR, decoded and stored at once."""
GROUP_BYTES: Final = PUT_BATCH_BYTES // 2
LOOK_KEYS: Final = 4096
"""Looked up in the index at once."""
CARS_BROKEN_MAX: Final = 3
"""So many broke off, or were nonsense: from then on block by block."""
T = TypeVar("T")


class Pull:
    """One pull. `close` after it, whatever has become of it."""

    def __init__(
        self, storage: Storage, index: DagIndex, client: GatewayClient, options: AddOptions, report: Report
    ) -> None:
        self._storage = storage
        self._index = index
        self._client = client
        self._options = options
        self._report = report
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="pull")
        self._cars_left = CARS_BROKEN_MAX
        self._done_bytes = 0
        self._total_bytes = 0

    def close(self) -> None:
        self._client.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def run(self, root: bytes) -> Added:
        """Raises UsageError for what is no file or folder; NotFoundError, UnavailableError, PeerError, RefusedError,
        StorageFullError: what came by then stays, and the same pull goes on from there."""
        codec = cids.codec_of(root)
        if codec not in (cids.RAW, cids.DAG_PB):
            raise UsageError(f"{cids.to_text(root)} has codec {codec:#x}; only files and folders (UnixFS) can be added")
        await notes.note(self._storage, root, self._options.name)
        try:
            added = await self._pulled(root)
        except BaseException:
            with suppress(StorageError):
                await asyncio.shield(notes.note(self._storage, root, self._options.name))
            raise
        await notes.forget(self._storage, root)
        return added

    async def _pulled(self, root: bytes) -> Added:
        try:
            dag = await drive(enumerate_dag(root, self._bounds(), strict=True), self._nodes)
            self._at(self._done_bytes, dag.interior_bytes + dag.leaves.total_bytes)
            await self._leaves(dag.leaves)
        except DagError as error:
            raise RefusedError(
                f"what {cids.to_text(root)} leads to cannot be added: {error}. Nothing was published"
            ) from error
        return await self._source(root, dag)

    # --- a node with all that is below it ------------------------------------------------------------------------------------------

    async def _by_car(self, root: bytes) -> None:
        """As far as it comes. What is wrong with it shows when single blocks are asked for instead."""
        if not self._cars_left or cids.codec_of(root) != cids.DAG_PB or cids.identity_data(root) is not None:
            return
        stream, pieces = CarStream(root), self._client.car(root)
        try:
            gatherer = _Gatherer(pieces)
            while gathered := await self._in_thread(gatherer.take):
                await self._store(await self._in_thread(partial(stream.feed, gathered)))
                self._expect(stream)
            stream.finish()
        except NoCarError:
            self._cars_left = 0
        except (PeerError, DagError):
            self._cars_left -= 1
        finally:
            await asyncio.shield(self._in_thread(partial(_close, pieces)))

    def _expect(self, stream: CarStream) -> None:
        """How much there is to come, by the root's word."""
        if stream.root_block is not None and not self._total_bytes:
            node = open_node(stream.root, stream.root_block)
            self._at(self._done_bytes, node.size_bytes or sum(link.tsize for link in node.links()))

    # --- block by block ---------------------------------------------------------------------------------------------

    async def _nodes(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """For the walk: what is here, and the rest from the gateway; a node with all that is below it, if it makes CARs."""
        found = await self._storage.get_many(keys)
        if self._cars_left and None in found:
            for key, block in zip(keys, found, strict=True):
                if block is None and not await self._has(key):
                    await self._by_car(key)
            found = await self._storage.get_many(keys)
        missing = [key for key, block in zip(keys, found, strict=True) if block is None]
        fetched = dict(await self._fetch(missing))
        return [fetched[key] if block is None else block for key, block in zip(keys, found, strict=True)]

    async def _leaves(self, leaves: LeafKeys) -> None:
        """Those that are not here, in their order, THREADS at a time. When one fails, those that came are stored."""
        under_way: dict[asyncio.Task[Block], int | None] = {}
        came: list[Block] = []
        try:
            async for key, promised in self._missing(leaves):
                under_way[asyncio.create_task(self._block(key))] = promised
                if len(under_way) >= THREADS:
                    await _collect(under_way, came)
                if sum(len(block.data) for block in came) >= GROUP_BYTES:
                    group, came = came, []
                    await self._store(group)
            while under_way:
                await _collect(under_way, came)
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.shield(self._store(came))

    async def _missing(self, leaves: LeafKeys) -> AsyncIterator[tuple[bytes, int | None]]:
        """Each once, with its size as what links to it has it."""
        asked: set[bytes] = set()
        for start in range(0, len(leaves), LOOK_KEYS):
            part = leaves[start : start + LOOK_KEYS]
            held = await self._storage.held(part)
            for at, (key, found) in enumerate(zip(part, held, strict=True)):
                if found is Held.NO and key not in asked:
                    asked.add(key)
                    yield key, leaves.size(start + at)
            asked = set(part)  # those of the part before may be on their way; of older ones the store knows

    async def _fetch(self, keys: Sequence[bytes]) -> list[Block]:
        """Verified and stored. The first failure ends it, after those beside it have ended."""
        outcomes = await asyncio.gather(*(self._block(key) for key in keys), return_exceptions=True)
        blocks = [each for each in outcomes if isinstance(each, Block)]
        await self._store(blocks)
        for each in outcomes:
            if isinstance(each, BaseException):
                raise each
        return blocks

    async def _block(self, key: bytes) -> Block:
        return Block(key, await self._in_thread(lambda: self._client.block(key)))

    # --- store, and publish -----------------------------------------------------------------------------------------

    async def _store(self, blocks: Sequence[Block]) -> None:
        for group in _groups(blocks):
            await self._storage.put(group)
            self._at(self._done_bytes + sum(len(block.data) for block in group), self._total_bytes)

    async def _source(self, root: bytes, dag: Dag) -> Added:
        self._index.forget(root)
        options = self._options
        try:
            source = await self._index.describe(
                root, options.name or cids.to_text(root), copies=options.copies, priority=options.priority,
                strict=True, bounds=Bounds(len(dag.leaves), len(dag.interior)),
            )  # fmt: skip
            holding = await self._index.locate(source)
        except (DagError, NotFoundError) as error:
            raise UnavailableError(f"blocks of {cids.to_text(root)} have gone while it was fetched: {error}") from error
        if len(holding.servable) != source.leaf_count:
            raise UnavailableError(f"blocks of {cids.to_text(root)} have gone while it was fetched. Try again")
        return Added(source, holding)

    def _bounds(self) -> Bounds:
        return strange_bounds(self._storage.usage().capacity_bytes)

    async def _has(self, key: bytes) -> bool:
        return (await self._storage.held([key]))[0] is not Held.NO

    def _at(self, done_bytes: int, total_bytes: int) -> None:
        self._done_bytes, self._total_bytes = done_bytes, total_bytes
        self._report(Progress(done_bytes, max(done_bytes, total_bytes) if total_bytes else 0))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


class _Gatherer:
    """Small pieces into large ones. What came before a failure is handed out before it is raised."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._failure: PeerError | None = None

    def take(self) -> bytes:
        """Empty at the end."""
        if self._failure is not None:
            raise self._failure
        gathered = bytearray()
        try:
            for piece in self._pieces:
                gathered += piece
                if len(gathered) >= PIECES_BYTES:
                    break
        except PeerError as error:
            if not gathered:
                raise
            self._failure = error
        return bytes(gathered)


async def _collect(under_way: dict[asyncio.Task[Block], int | None], came: list[Block]) -> None:
    """Waits for one at least. Raises what it raised."""
    done, _ = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
    promised = [(task, under_way.pop(task)) for task in done]
    came += [task.result() for task, _size in promised if task.exception() is None]
    for task, size in promised:
        block = task.result()
        _check_size(block.key, block.data, size)


def _groups(blocks: Sequence[Block]) -> Iterator[list[Block]]:
    group: list[Block] = []
    size_bytes = 0
    for block in blocks:
        if group and size_bytes + len(block.data) > PUT_BATCH_BYTES:
            yield group
            group, size_bytes = [], 0
        group.append(block)
        size_bytes += len(block.data)
    if group:
        yield group


def _close(pieces: Generator[bytes, None, None]) -> None:
    with suppress(ValueError):  # another thread is at it still; it ends with its connection
        pieces.close()


def _check_size(key: bytes, block: bytes, promised: int | None) -> None:
    """0 is what some tools write for the size of a file in a folder."""
    if promised and cids.codec_of(key) == cids.RAW and len(block) != promised:
        raise DagError(f"{cids.to_text(key)} has {len(block)} bytes, what links to it says {promised}")
