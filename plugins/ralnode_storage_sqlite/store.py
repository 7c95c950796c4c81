"""`SqliteStorage`: the storage role over CAR segments and an SQLite index. It only wires the parts and words refusals."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from logging import Logger
from pathlib import Path
from typing import Final

from ralnode.api import (
    Block,
    BlockKey,
    Context,
    FileSlice,
    Held,
    Reservation,
    StorageError,
    StorageFullError,
    Usage,
    VerifyProgress,
)
from ralnode.api.limits import BLOCK_BYTES_MAX
from ralnode_storage_sqlite import ledger as room
from ralnode_storage_sqlite.changes import ROWS_PER_CHANGE, DeleteBlocks, PutBlocks, SaveState
from ralnode_storage_sqlite.disk import Disk
from ralnode_storage_sqlite.home import Home
from ralnode_storage_sqlite.index import Place, pieces
from ralnode_storage_sqlite.opening import Opened, open_store, start_store
from ralnode_storage_sqlite.options import SqliteOptions
from ralnode_storage_sqlite.rebuild import Rebuild, refuse
from ralnode_storage_sqlite.scrub import scrub
from ralnode_storage_sqlite.segments import UNACKNOWLEDGED_BYTES_MAX, segment_length_bytes
from ralnode_storage_sqlite.threads import Threads

LISTED_ROWS: Final = 4096
"""Per question to the index: a few milliseconds."""

OnLost = Callable[[Sequence[BlockKey]], None]


class SqliteStorage:
    """See `ralnode.api.Storage`."""

    def __init__(self, context: Context, options: SqliteOptions, disk: Disk | None = None) -> None:
        self._settings = context.settings
        self._options = options
        self._log: Logger = context.log
        self._progress = context.progress
        self._disk = disk or Disk()
        self._home = Home(context.settings.data_dir, context.identity.id, self._disk)
        self._capacity_bytes = context.settings.capacity_bytes
        self._opened: Opened | None = None

    @property
    def _open(self) -> Opened:
        if self._opened is None:
            raise StorageError(f"the storage {self._home.data_dir} is not open. Nothing was changed.")
        return self._opened

    # --- life

    async def open(self, on_lost: OnLost) -> None:
        if self._opened is not None:
            raise StorageError(f"cannot open storage {self._home.data_dir}: it is open already. Nothing was changed.")
        self._home.lock()
        try:
            self._opened = await self._open_parts(on_lost)
        except BaseException:
            self._home.unlock()
            raise

    async def _open_parts(self, on_lost: OnLost) -> Opened:
        length = segment_length_bytes(self._options.segment_bytes, self._capacity_bytes)
        ledger = room.Ledger(self._capacity_bytes, self._settings.disk_floor_bytes, length)
        recovery = await open_store(self._home, self._disk, ledger, self._options, self._log, self._progress)
        return await start_store(recovery, on_lost)

    async def close(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            try:
                await opened.close()
            finally:
                self._home.unlock()

    # --- room

    async def reserve(self, size_bytes: int) -> Reservation:
        opened = self._open
        opened.writer.check_writable()
        free_bytes, _ = await opened.parts.threads.read(self._home.free_bytes)
        return opened.parts.ledger.reserve(size_bytes, free_bytes)

    def usage(self) -> Usage:
        return self._open.parts.ledger.usage()

    async def set_capacity(self, capacity_bytes: int) -> None:
        opened = self._open
        opened.parts.ledger.set_capacity(capacity_bytes)
        self._capacity_bytes = capacity_bytes
        length = segment_length_bytes(self._options.segment_bytes, capacity_bytes)
        opened.parts.ledger.segment_length_bytes = opened.parts.segments.length_bytes = length

    # --- writing

    async def put(
        self,
        blocks: Sequence[Block],
        reservation: Reservation | None = None,
        written: Callable[[], None] | None = None,
    ) -> None:
        assert reservation is None or isinstance(reservation, room.Reservation), "a reservation of another store"
        if max((len(block.data) for block in blocks), default=0) > BLOCK_BYTES_MAX:
            raise StorageError(f"cannot store a block of more than {BLOCK_BYTES_MAX} B. Nothing was stored.")
        if sum(len(block.data) for block in blocks) > UNACKNOWLEDGED_BYTES_MAX:
            raise StorageError(f"cannot store more than {UNACKNOWLEDGED_BYTES_MAX} B at once. Nothing was stored.")
        if blocks:
            await self._open.writer.submit(PutBlocks(blocks, reservation, written))

    async def link(self, path: Path, slices: Sequence[FileSlice]) -> None:
        await self._open.linking.link(path, slices)

    async def delete(self, keys: Sequence[BlockKey]) -> int:
        opened = self._open
        count = 0
        for piece in pieces(keys, ROWS_PER_CHANGE):
            count += await opened.writer.submit(DeleteBlocks(piece))
        # The blocks are gone; without room to note it, their bytes follow later.
        with contextlib.suppress(StorageFullError):
            await opened.reclaimer.give_back()
        return count

    async def save_state(self, items: Mapping[bytes, bytes | None]) -> None:
        if items:
            await self._open.writer.submit(SaveState(dict(items)))

    # --- reading

    async def get(self, key: BlockKey) -> bytes | None:
        return (await self._open.reader.read([key])).get(key)

    async def get_many(self, keys: Sequence[BlockKey]) -> list[bytes | None]:
        found = await self._open.reader.read(dict.fromkeys(keys))
        return [found.get(key) for key in keys]

    async def held(self, keys: Sequence[BlockKey]) -> list[Held]:
        opened = self._open
        answers: list[Held] = []
        async for piece, files in opened.parts.index.files(keys):
            if opened.losses.has_banned:
                files = {key: file for key, file in files.items() if not opened.losses.is_banned(key)}
            answers += [_HELD[(files[key] > 0) if key in files else None] for key in piece]
        return answers

    async def owned_blocks(self) -> AsyncIterator[Sequence[tuple[BlockKey, int]]]:
        """See `ralnode.api.ListingStorage`. Blocks move to the end only, so that none is passed over."""
        last = Place(0, 0, 0)
        while batch := await self._open.parts.index.after(last, LISTED_ROWS):
            last = batch[-1][1]
            yield [(key, place.length) for key, place in batch]

    async def load_state(self, prefix: bytes) -> dict[bytes, bytes]:
        return await self._open.parts.index.state(prefix)

    # --- care

    async def verify(self, *, bytes_per_second: int | None = None) -> AsyncIterator[VerifyProgress]:
        opened = self._open
        async for report in scrub(
            opened.parts.index, opened.reader, lambda: opened.parts.ledger.usage().block_count, bytes_per_second
        ):
            yield report

    async def rebuild_index(self, progress: Callable[[int, int], None]) -> int:
        """Opened or not. An open store answers nothing meanwhile, and is open again afterwards."""
        opened, self._opened = self._opened, None
        if opened is None:
            self._home.lock()
        else:
            await opened.close()
        try:
            try:
                return await self._rebuild(progress)
            finally:
                if opened is not None:
                    self._opened = await self._open_parts(opened.on_lost)
        finally:
            if self._opened is None:
                self._home.unlock()

    async def _rebuild(self, progress: Callable[[int, int], None]) -> int:
        self._home.check_owner()
        loop = asyncio.get_running_loop()
        rebuild = Rebuild(self._home, self._disk, lambda *done: _call(loop, progress, done), self._log)
        threads = Threads(1)
        try:
            return await threads.write(rebuild.run)
        except OSError as error:
            raise refuse(error, self._home.data_dir) from error
        finally:
            threads.stop()


_HELD: Mapping[bool | None, Held] = {None: Held.NO, True: Held.OWNED, False: Held.LINKED}


def _call(loop: asyncio.AbstractEventLoop, progress: Callable[[int, int], None], done: tuple[int, int]) -> None:
    loop.call_soon_threadsafe(progress, *done)
