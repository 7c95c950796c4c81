"""`Writer`: the one task that changes a store. While one group of changes is made durable (committing.py), the blocks of
the next are written already, so that the disk, the processor and the index work at the same time.

Only puts and saved documents overlap like that. Before anything else all that came before is committed, and nothing is
begun until it is: what a put was told about held blocks is then still true when it is applied.

A disk without room fails the changes that need it and nothing else. Any other failure of a write, and every failure of
an fsync, ends writing until the next start: after it nobody can say what is on the disk, and a retry would lie.
"""

from __future__ import annotations

import asyncio
import errno
import sqlite3
from collections import deque
from typing import Any, Final

from ralnode.api import StorageError, StorageFullError
from ralnode.api.limits import MIB
from ralnode_storage_sqlite.admission import Admission, Entry
from ralnode_storage_sqlite.changes import ANY_RANK, Change, MoveBlocks, PutBlocks
from ralnode_storage_sqlite.committing import Committer, Group
from ralnode_storage_sqlite.parts import Parts
from ralnode_storage_sqlite.segments import UNACKNOWLEDGED_BYTES_MAX, Layout, NoRoomError

_WAITING_MAX: Final = 1024
"""Changes submitted and not begun; further callers wait to submit theirs."""
_WAIT_MILLISECONDS_MAX: Final = 50
_BATCH_BYTES: Final = 16 * MIB
"""Written at a stretch; a commit that has ended meanwhile waits for no more than this."""
_PUT_RANK: Final = PutBlocks.rank


class Writer:
    """`submit` changes between `start` and `stop`."""

    def __init__(self, parts: Parts) -> None:
        self._segments = parts.segments
        self._ledger = parts.ledger
        self._threads = parts.threads
        self._options = parts.options
        self._log = parts.log
        self._admission = Admission(parts)
        self._committer = Committer(parts, self._admission)
        self._waiting: deque[Entry] = deque()
        self._batch: list[Entry] = []
        """Taken from those that wait, being written."""
        self._gathered = Group()
        """Written, to be committed next."""
        self._committing = Group()
        self._commits: asyncio.Task[None] | None = None
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

    def check_not_read_only(self) -> None:
        if self._ledger.read_only_reason:
            raise _read_only(self._ledger.read_only_reason)

    def check_writable(self) -> None:
        self.check_not_read_only()
        if self._is_stopping or self._task is None:
            raise StorageError("cannot change the store: it is not open. Nothing was changed.")

    def fail(self, reason: str) -> None:
        """No more writing until the next start."""
        if not self._ledger.read_only_reason:
            self._log.error("the store is read-only from now on: %s", reason)
            self._ledger.read_only_reason = reason
        while self._waiting:
            self._waiting.popleft().fail(_read_only(reason))

    # --- batches

    async def _run(self) -> None:
        while self._waiting or not self._is_idle or not self._is_stopping:
            self._wake.clear()
            try:
                await self._step()
            except Exception as error:
                await self._failed(error)

    @property
    def _is_idle(self) -> bool:
        return self._commits is None and not self._gathered.entries

    async def _step(self) -> None:
        self._raise_what_a_commit_raised()
        if self._waiting and self._is_idle:
            await self._linger()
        self._batch = self._take_batch()
        if not self._batch:
            if not (self._is_idle and self._is_stopping):
                await self._wake.wait()
        elif all(entry.change.rank <= _PUT_RANK for entry in self._batch):
            await self._gather()
        else:
            await self._drain()
            await self._gather()
            await self._drain()

    async def _linger(self) -> None:
        """Lets other callers of this moment come along."""
        wait_milliseconds = min(self._options.group_milliseconds, _WAIT_MILLISECONDS_MAX)
        await asyncio.sleep(0 if self._is_stopping else wait_milliseconds / 1000)

    def _take_batch(self) -> list[Entry]:
        """As much as waits, in its order, and as fits into the group that is gathered; if none is, one change at least."""
        batch: list[Entry] = []
        size_bytes, row_count, rank = self._gathered.size_bytes, self._gathered.row_count, ANY_RANK
        batch_bytes = 0
        while self._waiting:
            change = self._waiting[0].change
            size_bytes += change.size_bytes
            batch_bytes += change.size_bytes
            row_count += change.row_count
            if (batch and batch_bytes > _BATCH_BYTES) or ANY_RANK < change.rank < rank:
                break
            if (batch or self._gathered.entries) and not self._fits_a_group(size_bytes, row_count):
                break
            if batch_bytes + self._gathered.size_bytes + self._committing.size_bytes > UNACKNOWLEDGED_BYTES_MAX:
                break
            rank = max(rank, change.rank)
            batch.append(self._waiting.popleft())
        return batch

    def _fits_a_group(self, size_bytes: int, row_count: int) -> bool:
        """Whether one fsync, one commit and the WAL are good for it."""
        return size_bytes <= self._options.group_bytes and self._ledger.wal_growth(row_count) <= self._ledger.wal_bytes

    async def _gather(self) -> None:
        """Writes what is new of the batch, and sees to it that it will be committed."""
        if not await self._admission.admit(self._batch, self._written()):
            await self._drain()
            await self._admission.admit(self._batch, [])
        blocks = [block for entry in self._batch for block in entry.change.blocks]
        layout = self._segments.lay_out(blocks)
        keys = [block.key for block in blocks]
        blocks.clear()
        try:
            if layout.runs:
                await self._threads.write(self._segments.write, layout)
        except NoRoomError as error:
            self._segments.give_up(layout)
            self._refuse(error)
            layout = Layout(layout.before, layout.before)
        for entry in self._batch:
            if isinstance(entry.change, PutBlocks):
                entry.change.let_go()
        self._gathered.take(self._batch, dict(zip(keys, layout.places, strict=False)), layout)
        self._batch = []
        self._raise_what_a_commit_raised()  # it may have ended while we wrote
        if self._commits is None:
            self._commits = asyncio.create_task(self._commit_all(), name="storage-commits")
            self._commits.add_done_callback(lambda _: self._wake.set())

    def _written(self) -> list[dict[bytes, Any]]:
        """The blocks that are written and not committed."""
        return [dict(group.places) for group in (self._gathered, self._committing) if group.entries]

    def _refuse(self, error: NoRoomError) -> None:
        for entry in self._batch:
            if isinstance(entry.change, PutBlocks | MoveBlocks):  # one without new blocks may rely on another's
                entry.fail(StorageFullError(f"the disk is full ({error.strerror}). Nothing was stored. Make room."))
                entry.change.blocks = ()
        self._admission.settle([entry for entry in self._batch if entry.has_failed])

    # --- commits

    async def _commit_all(self) -> None:
        """As long as something has been gathered when a commit is done."""
        while self._gathered.entries:
            self.check_not_read_only()
            self._committing, self._gathered = self._gathered, Group()
            await self._committer.commit(self._committing)
            self._committing = Group()
            self._wake.set()

    async def _drain(self) -> None:
        """Returns when nothing is left uncommitted but the batch."""
        if self._commits is not None:
            await asyncio.wait([self._commits])
            self._raise_what_a_commit_raised()

    def _raise_what_a_commit_raised(self) -> None:
        if self._commits is not None and self._commits.done():
            commits, self._commits = self._commits, None
            commits.result()

    # --- failure

    async def _failed(self, error: Exception) -> None:
        """A full disk is a state; anything else is the end of writing. Nothing is under way when it is judged."""
        errors = [error]
        if self._commits is not None:
            await asyncio.wait([self._commits])
            errors += [other for other in [self._commits.exception()] if isinstance(other, Exception)]
        entries = [*self._committing.entries, *self._gathered.entries, *self._batch]
        self._commits, self._committing, self._gathered, self._batch = None, Group(), Group(), []
        bad = [each for each in errors if not _is_full(each)]
        try:
            if not bad:
                await self._threads.write(self._segments.rollback)
        except OSError as failure:
            bad.append(failure)
        if bad:
            self.fail(self._reason(bad[0]))
        full = StorageFullError(f"the disk is full (index.db: {error}). Nothing was stored. Make room on it.")
        for entry in entries:
            entry.fail(_read_only(self._ledger.read_only_reason) if bad else full)
        self._admission.settle(entries)

    def _reason(self, error: Exception) -> str:
        if isinstance(error, sqlite3.Error):
            return f"index.db: {error}"
        if isinstance(error, OSError):
            return f"{error.strerror or error} ({errno.errorcode.get(error.errno or 0, '?')})"
        if isinstance(error, StorageError):
            return str(error)
        self._log.error("the store failed", exc_info=error)
        return f"internal error: {error!r}"


def _is_full(error: Exception) -> bool:
    code = getattr(error, "sqlite_errorcode", 0) if isinstance(error, sqlite3.Error) else 0
    return bool(code & 0xFF == sqlite3.SQLITE_FULL)


def _read_only(reason: str) -> StorageError:
    return StorageError(
        f"the store is read-only since a write failed: {reason}. It still serves what it has; nothing of this was "
        "stored. Check the disk and its cables, then restart the node."
    )
