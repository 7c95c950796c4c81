"""The blocks of a CAR file into the store, each verified, and a source for every root of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final

from ralnode.api import Block, Reservation, Storage, StorageFullError, UsageError
from ralnode.api.limits import KIB, MIB, PUT_BATCH_BLOCKS, PUT_BATCH_BYTES
from ralnode.dag import cid
from ralnode.dag.car import CarReader
from ralnode.dag.errors import DagError
from ralnode.host.dagindex import DagIndex, strange_bounds
from ralnode.host.ingest import Added, AddOptions, Progress
from ralnode.host.ingest.model import Report

READ_BYTES: Final = 4 * MIB
"""Hashed at once in a thread: 3 ms, which is worth the hop."""

BLOCK_OVERHEAD_BYTES: Final = 256
"""Reserved beside the file's own bytes, for each block's row in the index."""

MEAN_BLOCK_BYTES: Final = 16 * 1024
"""Smaller than what any tool cuts; only to reckon how many rows there may be."""

ROOTS_MAX: Final = 1000
"""Each becomes a source."""


class CarImport:
    """One import. `size_bytes` is the size of the file, 0 if unknown: then nothing is reserved beforehand."""

    def __init__(self, storage: Storage, index: DagIndex, options: AddOptions, size_bytes: int, report: Report) -> None:
        self._storage = storage
        self._index = index
        self._options = options
        self._size_bytes = size_bytes
        self._report = report
        self._reader = CarReader()
        self._read_bytes = 0

    async def run(self, body: AsyncIterator[bytes]) -> list[Added]:
        """Raises UsageError for a file that is malformed, cut off, or whose DAG is not whole; StorageFullError before
        anything is stored."""
        reservation = await self._reserve() if self._size_bytes else None
        try:
            await self._store(body, reservation)
        finally:
            if reservation is not None:
                await asyncio.shield(reservation.release())
        roots = self._reader.roots or ()
        if not 0 < len(roots) <= ROOTS_MAX:
            raise UsageError(
                f"the CAR file names {len(roots)} roots; 1 to {ROOTS_MAX} can be added. Nothing was published"
            )
        return [await self._source(root, len(roots)) for root in dict.fromkeys(roots)]

    async def _reserve(self) -> Reservation:
        needed = self._size_bytes + self._size_bytes // MEAN_BLOCK_BYTES * BLOCK_OVERHEAD_BYTES + 64 * KIB
        try:
            return await self._storage.reserve(needed)
        except StorageFullError as error:
            raise StorageFullError(
                f"cannot import the CAR file: {error} Ways out: raise the capacity (ralnode capacity), import it on another "
                "node, or remove a source (ralnode rm)"
            ) from error

    async def _store(self, body: AsyncIterator[bytes], reservation: Reservation | None) -> None:
        try:
            async for piece in _gathered(body):
                for group in _groups(await asyncio.to_thread(self._blocks, piece)):
                    await self._storage.put(group, reservation)
                self._read_bytes += len(piece)
                self._report(Progress(self._read_bytes, self._size_bytes))
            self._reader.finish()
        except DagError as error:
            raise UsageError(f"the CAR file cannot be imported: {error}. Nothing was published") from error

    def _blocks(self, piece: bytes) -> list[Block]:
        return list(self._reader.feed(piece))

    async def _source(self, root: bytes, root_count: int) -> Added:
        options, text = self._options, cid.to_text(root)
        name = options.name if options.name and root_count == 1 else text
        self._index.forget(root)
        bounds = strange_bounds(self._storage.usage().capacity_bytes)
        try:
            source = await self._index.describe(
                root, name, copies=options.copies, priority=options.priority, strict=True, bounds=bounds
            )
        except DagError as error:
            raise UsageError(f"the CAR file does not hold all of {text}: {error}. Nothing was published") from error
        holding = await self._index.locate(source)
        if len(holding.servable) != source.leaf_count:
            lacking = source.leaf_count - len(holding.servable)
            raise UsageError(f"the CAR file does not hold all of {text}: {lacking:,} blocks are missing")
        return Added(source, holding)


async def _gathered(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """In pieces of at least READ_BYTES, but for the last."""
    gathered = bytearray()
    async for piece in body:
        gathered += piece
        if len(gathered) >= READ_BYTES:
            yield bytes(gathered)
            gathered.clear()
    if gathered:
        yield bytes(gathered)


def _groups(blocks: Sequence[Block]) -> list[list[Block]]:
    """What one `put` takes."""
    groups: list[list[Block]] = []
    size = 0
    for block in blocks:
        if not groups or size + len(block.data) > PUT_BATCH_BYTES or len(groups[-1]) >= PUT_BATCH_BLOCKS:
            groups.append([])
            size = 0
        groups[-1].append(block)
        size += len(block.data)
    return groups
