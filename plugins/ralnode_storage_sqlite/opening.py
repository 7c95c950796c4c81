"""From a locked folder to running parts (`open_store`, `start_store`); `Opened.close` is the way back. Every refusal comes
before the first change."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from logging import Logger
from typing import NamedTuple

from ralnode.api import BlockKey, StorageError
from ralnode_storage_sqlite import ledger as room
from ralnode_storage_sqlite.changes import ROWS_PER_CHANGE, Found
from ralnode_storage_sqlite.disk import Disk
from ralnode_storage_sqlite.home import Home
from ralnode_storage_sqlite.index import Index, SegmentRow
from ralnode_storage_sqlite.ledger import Ledger
from ralnode_storage_sqlite.linking import Linking
from ralnode_storage_sqlite.losses import Losses
from ralnode_storage_sqlite.options import SqliteOptions
from ralnode_storage_sqlite.parts import Parts
from ralnode_storage_sqlite.reader import Reader
from ralnode_storage_sqlite.reclaim import Reclaimer
from ralnode_storage_sqlite.recovery import recover
from ralnode_storage_sqlite.schema import PAGE_BYTES
from ralnode_storage_sqlite.segments import SegmentWriter
from ralnode_storage_sqlite.table import SegmentTable
from ralnode_storage_sqlite.threads import Threads
from ralnode_storage_sqlite.verified import Verified
from ralnode_storage_sqlite.writer import Writer

OnLost = Callable[[Sequence[BlockKey]], None]


@dataclass(slots=True)
class Opened:
    """The parts of an open store."""

    parts: Parts
    on_lost: OnLost
    writer: Writer
    losses: Losses
    reader: Reader
    linking: Linking
    reclaimer: Reclaimer
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    @classmethod
    def wire(cls, parts: Parts, on_lost: OnLost) -> Opened:
        writer = Writer(parts)
        losses = Losses(parts, writer, on_lost)
        reader = Reader(parts, losses)
        linking = Linking(parts, writer, losses)
        return cls(parts, on_lost, writer, losses, reader, linking, Reclaimer(parts, writer, reader))

    def start(self) -> None:
        self.writer.start()
        self.tasks = [
            asyncio.create_task(self._in_background("giving back space", self.reclaimer.run)),
            asyncio.create_task(self._in_background("checking linked files", self.linking.check_all)),
        ]

    async def _in_background(self, what: str, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except StorageError as error:
            self.parts.log.warning("%s has ended: %s", what, error)
        except Exception:
            self.parts.log.exception("%s has failed", what)

    async def close(self) -> None:
        """Ends background work, carries out what was submitted, then closes the files."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        try:
            await self.writer.stop()
            await self.parts.index.close()
        except sqlite3.Error as error:  # the last checkpoint: the next start does it
            self.parts.log.warning("the index could not be closed well: %s", error)
        finally:
            self.parts.segments.close()
            self.parts.threads.stop()


class Recovery(NamedTuple):
    """Parts that are ready, and the segments that are shorter than they should be."""

    parts: Parts
    short: Mapping[int, int]


async def open_store(
    home: Home, disk: Disk, ledger: Ledger, options: SqliteOptions, log: Logger, progress: Callable[[str], None]
) -> Recovery:
    """Raises StorageError, nothing changed. `progress` is told what takes long, from threads."""

    def say(line: str) -> None:
        log.info("%s", line)
        progress(line)

    threads = Threads(options.read_threads)
    index = Index(home.index, threads)
    try:
        home.check_owner()
        home.check_index_is_there()
        await index.open(say)
        rows = await index.segments()
        home.check_disk_is_there(sum(row.live_count for row in rows))
        home.mark()
        recovered = await threads.write(recover, home, disk, rows)
        if recovered.cut_bytes:
            log.info("cut off %d B that were never acknowledged", recovered.cut_bytes)
        await threads.write(disk.set_aside, home.wal, room.wal_bytes(ledger.capacity_bytes))
        table = SegmentTable(rows)
        await _fill(ledger, index, home, table, threads)
        tail, last_id = _tail(rows, recovered.short), await index.last_segment_id()
        segments = SegmentWriter(disk, home.segments, ledger.segment_length_bytes, tail, last_id)
        verified = Verified(options.verified_seconds)
        parts = Parts(home, disk, index, table, ledger, segments, threads, verified, options, log)
        return Recovery(parts, recovered.short)
    except OSError as error:
        await _abandon(index, threads)
        raise StorageError(
            f"cannot open storage {home.data_dir}: {error.strerror or error}. Check the disk and its permissions."
        ) from error
    except BaseException:
        await _abandon(index, threads)
        raise


async def start_store(recovery: Recovery, on_lost: OnLost) -> Opened:
    """Sets the parts going, and forgets what the disk has lost."""
    opened = Opened.wire(recovery.parts, on_lost)
    opened.start()
    try:
        await _drop_short(opened, recovery.short)
    except BaseException:
        await opened.close()
        raise
    return opened


def _tail(rows: Sequence[SegmentRow], short: Mapping[int, int]) -> tuple[int, int] | None:
    """The segment to go on with, and where: the last one, unless it is damaged."""
    return (rows[-1].id, rows[-1].end) if rows and rows[-1].id not in short else None


async def _abandon(index: Index, threads: Threads) -> None:
    with contextlib.suppress(sqlite3.Error):
        await index.close()
    threads.stop()


async def _fill(ledger: Ledger, index: Index, home: Home, table: SegmentTable, threads: Threads) -> None:
    meta, wal_bytes = await index.meta(), await threads.write(home.wal_bytes)
    ledger.segment_bytes, ledger.block_count = table.physical_bytes, table.block_count
    ledger.linked_count, ledger.linked_bytes = meta["linked_count"], meta["linked_bytes"]
    ledger.index_bytes = await index.page_count() * PAGE_BYTES
    ledger.wal_bytes = max(room.wal_bytes(ledger.capacity_bytes), wal_bytes)
    ledger.wal_filled_bytes = wal_bytes
    ledger.disk_free_bytes, ledger.disk_total_bytes = await threads.write(home.free_bytes)


async def _drop_short(opened: Opened, short: Mapping[int, int]) -> None:
    """Forgets blocks that lie behind the end of their segment."""
    for segment, size_bytes in short.items():
        while rows := await opened.parts.index.in_file(segment, ROWS_PER_CHANGE, from_end=size_bytes):
            await opened.losses.quarantine([Found(key, place, "the segment is too short") for key, place in rows])
