"""`Reclaimer`: gives the bytes of forgotten records back to the disk.

Three ways, each safe at any instant of a crash: a segment without live blocks is removed; a dead record becomes a pad
with a hole in it (see carfile.py), where the file system can; and the live blocks of a segment that is more than half
waste all the same (small records, or no holes) are copied to the tail, in the background.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Final

from ralnode.api import Block, StorageError, StorageFullError
from ralnode.api.limits import KIB, MIB
from ralnode_storage_sqlite import carfile
from ralnode_storage_sqlite.changes import ForgetDead, MoveBlocks, RetireSegment, SealTail
from ralnode_storage_sqlite.index import Place, SegmentRow
from ralnode_storage_sqlite.parts import Parts
from ralnode_storage_sqlite.reader import Reader, within_bytes
from ralnode_storage_sqlite.segments import NO_ROOM, segment_path
from ralnode_storage_sqlite.table import physical_bytes
from ralnode_storage_sqlite.writer import Writer

_RECORDS_PER_BATCH: Final = 256
_MOVE_BYTES: Final = 8 * MIB
_HOLE_COST_BYTES: Final = 64
"""An entry in the file's list of extents, generously."""
_WASTE_BYTES_MIN: Final = 256 * KIB
"""Less is not worth rewriting a segment."""


class Reclaimer:
    """`give_back` at once what a delete has freed; `run` in the background."""

    def __init__(self, parts: Parts, writer: Writer, reader: Reader) -> None:
        self._index = parts.index
        self._table = parts.table
        self._disk = parts.disk
        self._home = parts.home
        self._verified = parts.verified
        self._threads = parts.threads
        self._log = parts.log
        self._writer = writer
        self._reader = reader
        self._lock = asyncio.Lock()
        self._wake = asyncio.Event()
        self._page_bytes = 4096

    async def run(self) -> None:
        """Cleans up what an earlier life left, then waits for `give_back` to find something to rewrite."""
        self._page_bytes = await self._threads.read(self._disk.page_bytes, self._home.segments)
        while True:
            try:
                await self.give_back()
                self._wake.clear()
                await self._rewrite_wasteful()
            except StorageError as error:  # full or read-only: the next delete or start tries again
                self._log.info("space is not given back for now: %s", error)
            await self._wake.wait()

    async def give_back(self) -> None:
        """Removes empty segments and punches out dead records. Raises StorageError when the store is read-only."""
        async with self._lock:
            await self._retire_empty()
            while dead := await self._index.dead(_RECORDS_PER_BATCH):
                punched = await self._punch_durably(dead)
                await self._writer.submit(ForgetDead(dead, punched))
        if any(self._is_wasteful(row) for row in self._table.rows):
            self._wake.set()

    # --- empty segments

    async def _retire_empty(self) -> None:
        for row in [row for row in self._table.rows if not row.live_count and not self._writer.is_open(row.id)]:
            try:
                await self._threads.write(self._disk.unlink, segment_path(self._home.segments, row.id))
            except OSError as error:
                raise self._failed(error) from error
            await self._writer.submit(RetireSegment(row.id))

    # --- holes

    async def _punch_durably(self, dead: Sequence[Place]) -> Mapping[int, int]:
        """Bytes given back in each segment. A failing fsync makes the store read-only, as it does for a write."""
        self._verified.forget(dead)
        try:
            return await self._threads.write(self._punch, dead)
        except OSError as error:
            if error.errno in NO_ROOM:  # a hole may need room for a longer list of extents
                raise StorageFullError("the disk is too full to give space back. Make room on it.") from error
            raise self._failed(error) from error

    def _failed(self, error: OSError) -> StorageError:
        self._writer.fail(f"giving back space failed: {error.strerror}")
        return StorageError(
            "the store is read-only since giving back space failed; what was to be deleted is. Check the disk, then "
            "restart the node."
        )

    def _punch(self, dead: Sequence[Place]) -> dict[int, int]:
        punched: dict[int, int] = {}
        for segment in sorted({place.file for place in dead}):
            descriptor = self._disk.open_to_write(segment_path(self._home.segments, segment))
            try:
                records = [place for place in dead if place.file == segment]
                punched[segment] = sum(self._punch_record(descriptor, place) for place in records)
                self._disk.sync(descriptor)
            finally:
                self._disk.close(descriptor)
        return punched

    def _punch_record(self, descriptor: int, place: Place) -> int:
        """Makes a pad of a dead record; returns the bytes of its whole pages, less what the file system needs to know."""
        if not self._disk.punch(descriptor, place.offset, place.length):
            return 0
        key = carfile.pad_key(place.length)
        self._disk.write(descriptor, [key], place.offset - len(key))
        first = -(-place.offset // self._page_bytes) * self._page_bytes
        last = (place.offset + place.length) // self._page_bytes * self._page_bytes
        return max(0, last - first - _HOLE_COST_BYTES)

    # --- rewriting

    def _is_wasteful(self, row: SegmentRow) -> bool:
        waste_bytes = physical_bytes(row) - row.live_bytes
        return waste_bytes >= _WASTE_BYTES_MIN and 2 * waste_bytes > physical_bytes(row)

    async def _rewrite_wasteful(self) -> None:
        """The most wasteful first. Raises StorageFullError when there is no room for the copies."""
        wasteful = [row for row in self._table.rows if self._is_wasteful(row)]
        for row in sorted(wasteful, key=lambda row: row.live_bytes - physical_bytes(row)):
            if row.id == self._writer.tail_id:
                await self._writer.submit(SealTail())
            while await self._move_some(row.id):
                pass
            await self.give_back()

    async def _move_some(self, segment: int) -> bool:
        """Copies a few megabytes to the tail, then rests for as long as it took. False when nothing is left to move."""
        start = time.monotonic()
        places = dict(within_bytes(await self._index.in_file(segment, _RECORDS_PER_BATCH), _MOVE_BYTES))
        good, lost = await self._reader.read_at(places, from_platter=True)
        if not good and not lost:
            return False
        moved = {key: places[key] for key in good}
        if moved:
            await self._writer.submit(MoveBlocks([Block(key, data) for key, data in good.items()], moved))
        await asyncio.sleep(time.monotonic() - start)
        return True
