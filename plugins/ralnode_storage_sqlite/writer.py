"""`Writer`: the one task that changes a store. It carries out changes in groups: append, fdatasync, commit, answer.

A disk without room fails the changes that need it and nothing else. Any other failure of a write, and every failure of
an fsync, ends writing until the next start: after it nobody can say what is on the disk, and a retry would lie.
"""

from __future__ import annotations

import asyncio
import errno
import sqlite3
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final

from ralnode.api import Block, BlockKey, StorageError, StorageFullError
from ralnode_storage_sqlite.admission import Admission, Entry
from ralnode_storage_sqlite.changes import ANY_RANK, Change, MoveBlocks, PutBlocks, SealTail
from ralnode_storage_sqlite.index import Place
from ralnode_storage_sqlite.parts import Parts
from ralnode_storage_sqlite.schema import PAGE_BYTES
from ralnode_storage_sqlite.segments import NoRoomError
from ralnode_storage_sqlite.table import Delta
from ralnode_storage_sqlite.transaction import Transaction

_WAITING_MAX: Final = 1024
"""Changes submitted and not begun; further callers wait to submit theirs."""
_WAIT_MILLISECONDS_MAX: Final = 50


class Writer:
    """`submit` changes between `start` and `stop`."""

    def __init__(self, parts: Parts) -> None:
        self._index = parts.index
        self._segments = parts.segments
        self._table = parts.table
        self._ledger = parts.ledger
        self._home = parts.home
        self._threads = parts.threads
        self._options = parts.options
        self._log = parts.log
        self._admission = Admission(parts)
        self._waiting: deque[Entry] = deque()
        self._slots = asyncio.Semaphore(_WAITING_MAX)
        self._wake = asyncio.Event()
        self._is_stopping = False
        self._task: asyncio.Task[None] | None = None

    # --- life

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="storage-writer")

    async def stop(self) -> None:
        """Carries out what was submitted, then ends."""
        self._is_stopping = True
        self._wake.set()
        if self._task is not None:
            await asyncio.shield(self._task)

    @property
    def tail_id(self) -> int:
        """The segment that the next record goes to; 0 when that will be a new one."""
        return self._segments.tail_id

    def is_open(self, segment: int) -> bool:
        """Whether records may still be written to this segment."""
        return self._segments.is_open(segment)

    async def submit(self, change: Change) -> Any:
        """Durable on return, with what the change answers. Raises StorageError; cancelling the caller undoes nothing."""
        async with self._slots:
            self.check_writable()
            entry = Entry(change, asyncio.get_running_loop().create_future())
            self._waiting.append(entry)
            self._wake.set()
            return await entry.future

    def check_writable(self) -> None:
        if self._ledger.read_only_reason:
            raise _read_only(self._ledger.read_only_reason)
        if self._is_stopping or self._task is None:
            raise StorageError("cannot change the store: it is not open. Nothing was changed.")

    def fail(self, reason: str) -> None:
        """No more writing until the next start."""
        if not self._ledger.read_only_reason:
            self._log.error("the store is read-only from now on: %s", reason)
            self._ledger.read_only_reason = reason
        while self._waiting:
            self._waiting.popleft().fail(_read_only(reason))

    # --- groups

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            if not self._waiting:
                if self._is_stopping:
                    return
                self._wake.clear()
                continue
            await self._linger()
            await self._carry_out(self._take_group())

    async def _linger(self) -> None:
        """Lets other callers of this moment come along."""
        wait_milliseconds = min(self._options.group_milliseconds, _WAIT_MILLISECONDS_MAX)
        await asyncio.sleep(0 if self._is_stopping else wait_milliseconds / 1000)

    def _take_group(self) -> list[Entry]:
        """As much as waits, in its order, and as one fsync, one commit and the WAL are good for; one change at least."""
        group: list[Entry] = []
        size_bytes = row_count = rank = 0
        while self._waiting:
            change = self._waiting[0].change
            size_bytes += sum(len(block.data) for block in _offered(change))
            row_count += change.row_count
            if group and (
                size_bytes > self._options.group_bytes
                or self._ledger.wal_growth(row_count) > self._ledger.wal_bytes
                or ANY_RANK < change.rank < rank
            ):
                break
            rank = max(rank, change.rank)
            group.append(self._waiting.popleft())
        return group

    async def _carry_out(self, group: Sequence[Entry]) -> None:
        try:
            await self._admission.admit(group)
            appended = await self._append(group)
            await self._commit([entry for entry in group if not entry.has_failed], appended)
        except sqlite3.Error as error:
            await self._sqlite_failed(group, error)
        except OSError as error:
            self._end_badly(group, f"{error.strerror or error} ({errno.errorcode.get(error.errno or 0, '?')})")
        except Exception as error:
            self._log.exception("the store failed")
            self._end_badly(group, f"internal error: {error!r}")
        finally:
            self._admission.settle(group)

    # --- durability

    async def _append(self, group: Sequence[Entry]) -> Mapping[BlockKey, Place]:
        """Makes all new blocks durable. Raises OSError when the store must not write again."""
        blocks = [block for entry in group for block in entry.change.blocks]
        if not blocks:
            return {}
        try:
            places = await self._threads.write(self._segments.append, blocks)
        except NoRoomError as error:
            for entry in group:
                if isinstance(entry.change, PutBlocks | MoveBlocks):  # one without new blocks may rely on another's
                    entry.fail(StorageFullError(f"the disk is full ({error.strerror}). Nothing was stored. Make room."))
            return {}
        return dict(zip((block.key for block in blocks), places, strict=True))

    async def _commit(self, group: Sequence[Entry], appended: Mapping[BlockKey, Place]) -> None:
        """One transaction for all; then the answers; then, if need be, the checkpoint."""
        row_count = sum(entry.change.row_count for entry in group)
        if all(isinstance(entry.change, PutBlocks) and not entry.change.blocks for entry in group):
            answers: list[Any] = [None] * len(group)
        else:
            answers = await self._transact(group, appended, row_count)
        for entry, answer in zip(group, answers, strict=True):
            entry.succeed(answer)
        if self._ledger.wal_is_full(row_count):
            await self._checkpoint()

    async def _transact(self, group: Sequence[Entry], appended: Mapping[BlockKey, Place], row_count: int) -> list[Any]:
        if self._ledger.wal_is_full(row_count):
            await self._checkpoint()
        transaction = Transaction(self._index.writer, appended, time.time_ns() // 1_000_000)
        try:
            await transaction.begin()
            answers = [await _apply(entry, transaction) for entry in group]
            await transaction.commit(self._segments.ends)
        except BaseException:
            await transaction.rollback()
            raise
        self._segments.commit()
        if any(isinstance(entry.change, SealTail) for entry in group):
            self._segments.seal()
        self._count(transaction.delta, row_count)
        self._admission.settle(group)
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
            ledger.index_bytes = await self._index.page_count() * PAGE_BYTES
            wal_bytes, free_bytes, total_bytes = await self._threads.write(self._home.measure)
            ledger.wal_bytes = max(ledger.wal_bytes, wal_bytes)
            ledger.disk_free_bytes, ledger.disk_total_bytes = free_bytes, total_bytes
        except (OSError, StorageError):
            self._log.warning("cannot measure the store", exc_info=True)

    async def _checkpoint(self) -> None:
        """Copies the WAL into the index, so that it starts again at its beginning."""
        rows = await Transaction(self._index.writer, {}, 0).rows("PRAGMA wal_checkpoint(RESTART)")
        if rows and not rows[0][0]:
            self._ledger.wal_filled_bytes = 0

    # --- failure

    async def _sqlite_failed(self, group: Sequence[Entry], error: sqlite3.Error) -> None:
        """A full disk is a state; anything else is the end of writing."""
        if getattr(error, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_FULL:
            self._end_badly(group, f"index.db: {error}")
            return
        try:
            await self._threads.write(self._segments.rollback)
        except OSError as failure:
            self._end_badly(group, str(failure))
        for entry in group:
            entry.fail(StorageFullError(f"the disk is full (index.db: {error}). Nothing was stored. Make room on it."))

    def _end_badly(self, group: Sequence[Entry], reason: str) -> None:
        self.fail(reason)
        for entry in group:
            entry.fail(_read_only(reason))


async def _apply(entry: Entry, transaction: Transaction) -> Any:
    """The change's answer. A refusal is the change's own; the others of the group go on."""
    try:
        return await entry.change.apply(transaction)
    except StorageError as error:
        entry.fail(error)
        return None


def _offered(change: Change) -> Sequence[Block]:
    return change.offered if isinstance(change, PutBlocks) else change.blocks


def _read_only(reason: str) -> StorageError:
    return StorageError(
        f"the store is read-only since a write failed: {reason}. It still serves what it has; nothing of this was "
        "stored. Check the disk and its cables, then restart the node."
    )
