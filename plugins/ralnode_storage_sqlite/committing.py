"""`Committer`: makes a group of changes durable: sync what was written, one transaction, the answers, a checkpoint.

It works beside the writing of the next group, and handles no failure: the writer does, when both have come to rest.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ralnode.api import BlockKey, StorageError
from ralnode_storage_sqlite.admission import Admission, Entry
from ralnode_storage_sqlite.changes import PutBlocks, SealTail
from ralnode_storage_sqlite.index import Place
from ralnode_storage_sqlite.parts import Parts
from ralnode_storage_sqlite.schema import PAGE_BYTES
from ralnode_storage_sqlite.segments import Layout, Tail
from ralnode_storage_sqlite.table import Delta
from ralnode_storage_sqlite.transaction import Transaction


@dataclass(slots=True)
class Group:
    """Changes that become durable together, and where their blocks were written."""

    entries: list[Entry] = field(default_factory=list)
    places: dict[BlockKey, Place] = field(default_factory=dict)
    ends: dict[int, int] = field(default_factory=dict)
    tail: Tail = None
    has_new_file: bool = False
    size_bytes: int = 0

    def take(self, batch: Sequence[Entry], places: Mapping[BlockKey, Place], layout: Layout) -> None:
        self.entries += batch
        self.places |= places
        self.ends |= layout.ends
        self.tail = layout.tail
        self.has_new_file |= bool(layout.new_ids)
        self.size_bytes += sum(entry.change.size_bytes for entry in batch)

    @property
    def row_count(self) -> int:
        return sum(entry.change.row_count for entry in self.entries)


class Committer:
    """Used by the writer alone."""

    def __init__(self, parts: Parts, admission: Admission) -> None:
        self._index = parts.index
        self._segments = parts.segments
        self._table = parts.table
        self._ledger = parts.ledger
        self._home = parts.home
        self._threads = parts.threads
        self._verified = parts.verified
        self._log = parts.log
        self._admission = admission

    async def commit(self, group: Group) -> None:
        """Answers those that have not failed yet. Raises OSError and sqlite3.Error as they come."""
        if group.ends:
            await self._threads.sync(self._segments.sync, group.ends, group.has_new_file)
        row_count = group.row_count
        entries = [entry for entry in group.entries if not entry.has_failed]
        if all(isinstance(entry.change, PutBlocks) and entry.change.is_void for entry in entries):
            answers: list[Any] = [None] * len(entries)
            self._admission.settle(group.entries)
        else:
            answers = await self._transact(group, entries, row_count)
        for entry, answer in zip(entries, answers, strict=True):
            entry.succeed(answer)
        if self._ledger.wal_is_full(row_count):
            await self._checkpoint()

    async def _transact(self, group: Group, entries: Sequence[Entry], row_count: int) -> list[Any]:
        if self._ledger.wal_is_full(row_count):
            await self._checkpoint()
        transaction = Transaction(self._index.writer, group.places, time.time_ns() // 1_000_000)
        try:
            await transaction.begin()
            answers = [await _apply(entry, transaction) for entry in entries]
            await transaction.commit(group.ends)
        except BaseException:
            await transaction.rollback()
            raise
        self._segments.commit(group.tail, group.ends)
        if any(isinstance(entry.change, SealTail) for entry in entries):
            self._segments.seal()
        if all(isinstance(entry.change, PutBlocks) for entry in group.entries):
            self._verified.add(group.places.values(), self._verified.epoch)  # who puts has hashed
        self._count(transaction.delta, row_count)
        self._admission.settle(group.entries)
        await self._measure()
        return answers

    def _count(self, delta: Delta, row_count: int) -> None:
        ledger = self._ledger
        self._table.apply(delta)
        ledger.wal_filled_bytes += ledger.wal_growth(row_count)
        ledger.segment_bytes = self._table.physical_bytes
        ledger.block_count = self._table.block_count
        ledger.linked_count += delta.linked_count
        ledger.linked_bytes += delta.linked_bytes

    async def _measure(self) -> None:
        """What a commit has made of the files. It is done; failing to measure it does not undo it."""
        ledger = self._ledger
        try:
            page_count, measured = await asyncio.gather(
                self._index.page_count(), self._threads.sync(self._home.measure)
            )
            ledger.index_bytes = page_count * PAGE_BYTES
            wal_bytes, free_bytes, total_bytes = measured
            ledger.wal_bytes = max(ledger.wal_bytes, wal_bytes)
            ledger.disk_free_bytes, ledger.disk_total_bytes = free_bytes, total_bytes
        except (OSError, StorageError):
            self._log.warning("cannot measure the store", exc_info=True)

    async def _checkpoint(self) -> None:
        """Copies the WAL into the index, so that it starts again at its beginning."""
        rows = await Transaction(self._index.writer, {}, 0).rows("PRAGMA wal_checkpoint(RESTART)")
        if rows and not rows[0][0]:
            self._ledger.wal_filled_bytes = 0


async def _apply(entry: Entry, transaction: Transaction) -> Any:
    """The change's answer. A refusal is the change's own; the others of the group go on."""
    try:
        return await entry.change.apply(transaction)
    except StorageError as error:
        entry.fail(error)
        return None
