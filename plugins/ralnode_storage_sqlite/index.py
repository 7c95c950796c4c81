"""`Index`: the connections to `index.db` and every question asked of it. It changes nothing; see transaction.py.

One connection writes and checkpoints; two only read: one for single blocks, one for long lists and scans, so that a
read never waits for a write or for another's hundred thousand keys.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

import aiosqlite

from ralnode.api import BlockKey, StorageError
from ralnode_storage_sqlite import schema
from ralnode_storage_sqlite.disk import Stamp
from ralnode_storage_sqlite.threads import Threads

Row: TypeAlias = tuple[Any, ...]

KEYS_PER_QUERY: Final = 1000
"""Long lists go in pieces of about a millisecond, so that other questions come in between."""


class Place(NamedTuple):
    """Where a block's data lie: `file` is a segment's id, or the negated id of a linked file."""

    file: int
    offset: int
    length: int

    @property
    def is_linked(self) -> bool:
        return self.file < 0


class LinkedFile(NamedTuple):
    id: int
    path: bytes
    stamp: Stamp


class SegmentRow(NamedTuple):
    id: int
    end: int
    live_count: int
    live_bytes: int
    punched_bytes: int


class Index:
    """Open it, ask, close it. All methods raise StorageError when SQLite cannot read its own file."""

    def __init__(self, path: Path, threads: Threads) -> None:
        self.path = path
        self._threads = threads
        self._writer: aiosqlite.Connection | None = None
        self._lookups: aiosqlite.Connection | None = None
        self._scans: aiosqlite.Connection | None = None

    # --- life

    async def open(self, say: Callable[[str], None]) -> None:
        """Creates or upgrades the tables; `say` is told how that goes, from a thread. The writer comes first: it alone may recover the WAL."""
        try:
            self._writer = await self._connect(partial(_connect_and_prepare, self.path, say))
            self._lookups = await self._connect(partial(schema.connect, self.path, read_only=True))
            self._scans = await self._connect(partial(schema.connect, self.path, read_only=True))
        except sqlite3.Error as error:
            raise self.failure("open", error) from error

    async def _connect(self, connector: Callable[[], sqlite3.Connection]) -> aiosqlite.Connection:
        """aiosqlite gets a finished connection: the thread of one that fails to connect may outlive its loop."""
        connection = await self._threads.write(connector)
        return await aiosqlite.Connection(lambda: connection, iter_chunk_size=64)

    async def close(self) -> None:
        """Readers first, so that the last to close, which checkpoints, is the writer."""
        for connection in (self._lookups, self._scans, self._writer):
            if connection is not None:
                await connection.close()
        self._writer = self._lookups = self._scans = None

    @property
    def writer(self) -> aiosqlite.Connection:
        """For transaction.py alone."""
        if self._writer is None:
            raise StorageError("the store is not open. Nothing was changed.")
        return self._writer

    def failure(self, action: str, error: sqlite3.Error) -> StorageError:
        """What to tell the user about SQLite's complaint."""
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        broken = code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
        remedy = "Stop the node and run `ralnode rebuild-index`" if broken else "Check the disk and its permissions"
        return StorageError(f"cannot {action} storage {self.path}: {error}. Nothing was changed. {remedy}.")

    async def _rows(self, connection: aiosqlite.Connection | None, sql: str, parameters: Sequence[Any] = ()) -> Any:
        if connection is None:
            raise StorageError("cannot read from the store: it is not open.")
        try:
            return await connection.execute_fetchall(sql, parameters)
        except sqlite3.Error as error:
            raise self.failure("read from", error) from error
        except ValueError as error:  # aiosqlite: closed meanwhile
            raise StorageError("cannot read from the store: it was closed meanwhile.") from error

    # --- blocks

    async def places(self, keys: Sequence[BlockKey]) -> dict[BlockKey, Place]:
        """Where the blocks lie that are held; few keys, answered at once."""
        return {row[0]: Place(*row[1:]) async for row in self._by_key(self._lookups, "file, offset, length", keys)}

    async def files(self, keys: Sequence[BlockKey]) -> AsyncIterator[tuple[Sequence[BlockKey], dict[BlockKey, int]]]:
        """For a long list: piece by piece, the keys of the piece and the `file` of those that are held."""
        for piece in pieces(keys, KEYS_PER_QUERY):
            rows = await self._rows(self._scans, _by_key_sql("file", len(piece)), piece)
            yield piece, dict(rows)

    async def _by_key(
        self, connection: aiosqlite.Connection | None, columns: str, keys: Sequence[BlockKey]
    ) -> AsyncIterator[Row]:
        for piece in pieces(keys, KEYS_PER_QUERY):
            for row in await self._rows(connection, _by_key_sql(columns, len(piece)), piece):
                yield row

    async def after(self, place: Place, limit: int) -> list[tuple[BlockKey, Place]]:
        """The next blocks in the order of (file, offset)."""
        sql = "SELECT key, file, offset, length FROM blocks WHERE (file, offset) > (?, ?) ORDER BY file, offset LIMIT ?"
        rows = await self._rows(self._scans, sql, (place.file, place.offset, limit))
        return [(row[0], Place(*row[1:])) for row in rows]

    async def in_file(self, file: int, limit: int, from_end: int = 0) -> list[tuple[BlockKey, Place]]:
        """Blocks of one file, in order; with `from_end` only those that reach beyond that offset."""
        sql = "SELECT key, file, offset, length FROM blocks WHERE file = ? AND offset + length > ? ORDER BY offset LIMIT ?"
        rows = await self._rows(self._scans, sql, (file, from_end or -1, limit))
        return [(row[0], Place(*row[1:])) for row in rows]

    # --- files

    async def linked_files(self, ids: Iterable[int]) -> dict[int, LinkedFile]:
        found: dict[int, LinkedFile] = {}
        for piece in pieces(list(ids), KEYS_PER_QUERY):
            sql = f"SELECT {_LINKED_COLUMNS} FROM linked_files WHERE id IN ({_marks(len(piece))})"  # noqa: S608
            found.update((row[0], _linked_file(row)) for row in await self._rows(self._lookups, sql, piece))
        return found

    async def linked_files_after(self, file_id: int, limit: int) -> list[LinkedFile]:
        sql = f"SELECT {_LINKED_COLUMNS} FROM linked_files WHERE id > ? ORDER BY id LIMIT ?"  # noqa: S608
        return [_linked_file(row) for row in await self._rows(self._scans, sql, (file_id, limit))]

    async def linked_file_at(self, path: bytes) -> LinkedFile | None:
        sql = f"SELECT {_LINKED_COLUMNS} FROM linked_files WHERE path = ?"  # noqa: S608
        rows = await self._rows(self._lookups, sql, (path,))
        return _linked_file(rows[0]) if rows else None

    async def segments(self) -> list[SegmentRow]:
        sql = "SELECT id, end, live_count, live_bytes, punched_bytes FROM segments ORDER BY id"
        return [SegmentRow(*row) for row in await self._rows(self._scans, sql)]

    async def last_segment_id(self) -> int:
        """The highest ever used, of segments long gone too."""
        rows = await self._rows(self._scans, "SELECT seq FROM sqlite_sequence WHERE name = 'segments'")
        return rows[0][0] if rows else 0

    async def dead(self, limit: int) -> list[Place]:
        """Records whose bytes are still to be given back."""
        rows = await self._rows(self._scans, "SELECT segment, offset, length FROM dead LIMIT ?", (limit,))
        return [Place(*row) for row in rows]

    # --- the rest

    async def meta(self) -> dict[str, Any]:
        return dict(await self._rows(self._scans, "SELECT name, value FROM meta"))

    async def page_count(self) -> int:
        return int((await self._rows(self._writer, "PRAGMA page_count"))[0][0])

    async def state(self, prefix: bytes) -> dict[bytes, bytes]:
        sql, parameters = "SELECT name, document FROM state WHERE name >= ?", [prefix]
        if (end := _behind(prefix)) is not None:
            sql, parameters = f"{sql} AND name < ?", [prefix, end]
        return dict(await self._rows(self._lookups, sql, parameters))


_LINKED_COLUMNS: Final = "id, path, size, mtime_ns, inode"


def _linked_file(row: Row) -> LinkedFile:
    return LinkedFile(row[0], row[1], Stamp(*row[2:]))


def pieces(items: Sequence[Any], size: int) -> Iterable[Sequence[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _marks(count: int) -> str:
    return ",".join("?" * count)


def _by_key_sql(columns: str, count: int) -> str:
    return f"SELECT key, {columns} FROM blocks WHERE key IN ({_marks(count)})"  # noqa: S608


def _behind(prefix: bytes) -> bytes | None:
    """The first name that no longer starts with `prefix`; None if there is none."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes([stem[-1] + 1]) if stem else None


def _connect_and_prepare(path: Path, say: Callable[[str], None]) -> sqlite3.Connection:
    connection = schema.connect(path)
    try:
        schema.prepare(connection, path, say=say)
    except BaseException:
        connection.close()
        raise
    return connection
