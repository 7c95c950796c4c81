"""`Transaction`: every statement that changes the index, between one BEGIN and one COMMIT, and the counts they change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import aiosqlite

from ralnode.api import BlockKey
from ralnode_storage_sqlite import carfile
from ralnode_storage_sqlite.disk import Stamp
from ralnode_storage_sqlite.index import KEYS_PER_QUERY, Place, pieces
from ralnode_storage_sqlite.table import Delta

PUNCH_BYTES_MIN: Final = 8192
"""Records with less data than this contain too few whole pages to be worth a hole."""

QUARANTINE_ROWS_MAX: Final = 10_000


class Transaction:
    """Raises sqlite3.Error as it comes; the writer judges it."""

    def __init__(self, connection: aiosqlite.Connection, appended: Mapping[BlockKey, Place], unix_ms: int) -> None:
        self._connection = connection
        self.appended = appended
        """Where the blocks of this group were written."""
        self.unix_ms = unix_ms
        self.delta = Delta()

    async def begin(self) -> None:
        await self._connection.execute("BEGIN IMMEDIATE")

    async def commit(self, ends: Mapping[int, int]) -> None:
        """Writes the counts and makes everything durable. `ends`: of the segments that were appended to."""
        for segment, end in ends.items():
            self.delta.segment(segment).end = end
        await self._write_counts()
        await self._connection.execute("COMMIT")

    async def rollback(self) -> None:
        if self._connection.in_transaction:
            await self._connection.execute("ROLLBACK")

    async def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        return list(await self._connection.execute_fetchall(sql, parameters))

    async def many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        await self._connection.executemany(sql, rows)

    # --- blocks

    async def places(self, keys: Sequence[BlockKey]) -> dict[BlockKey, Place]:
        found: dict[BlockKey, Place] = {}
        for piece in pieces(keys, KEYS_PER_QUERY):
            marks = ",".join("?" * len(piece))
            sql = f"SELECT key, file, offset, length FROM blocks WHERE key IN ({marks})"  # noqa: S608
            found.update((row[0], Place(*row[1:])) for row in await self.rows(sql, piece))
        return found

    async def own(self, keys: Sequence[BlockKey], linked: Iterable[Place]) -> None:
        """Records appended blocks. `linked`: where those of them lie that become owned by it."""
        if not keys:
            return
        for place in linked:
            self._count(b"", place, -1)
        for key in keys:
            self._count(key, self.appended[key], 1)
        rows = [(key, *self.appended[key]) for key in keys]
        await self.many("INSERT OR REPLACE INTO blocks(key, file, offset, length) VALUES(?, ?, ?, ?)", sorted(rows))

    async def link(self, rows: Sequence[tuple[BlockKey, Place]]) -> None:
        """Records blocks in a linked file; none of them may be held."""
        for key, place in rows:
            self._count(key, place, 1)
        await self.many(
            "INSERT INTO blocks(key, file, offset, length) VALUES(?, ?, ?, ?)", sorted((key, *at) for key, at in rows)
        )

    async def remove(self, rows: Sequence[tuple[BlockKey, Place]]) -> None:
        """Forgets blocks that are held at just these places, and notes the bytes that can be given back."""
        for key, place in rows:
            self._count(key, place, -1)
        await self.many("DELETE FROM blocks WHERE key = ?", sorted((key,) for key, _ in rows))
        await self.bury(rows)
        await self.forget_empty_files({place.file for _, place in rows if place.is_linked})

    async def move(self, rows: Sequence[tuple[BlockKey, Place]]) -> None:
        """Points owned blocks to their appended copies."""
        for key, old in rows:
            self._count(key, old, -1)
            self._count(key, self.appended[key], 1)
        await self.many(
            "UPDATE blocks SET file = ?, offset = ? WHERE key = ?",
            sorted((self.appended[key].file, self.appended[key].offset, key) for key, _ in rows),
        )

    async def bury(self, rows: Iterable[tuple[BlockKey, Place]]) -> None:
        """Notes records whose bytes nobody needs any more, if a pad can take their place."""
        dead = [
            tuple(place)
            for key, place in rows
            if not place.is_linked and place.length >= PUNCH_BYTES_MIN and len(key) == carfile.PAD_KEY_BYTES
        ]
        await self.many("INSERT OR REPLACE INTO dead(segment, offset, length) VALUES(?, ?, ?)", dead)

    async def quarantine(self, rows: Sequence[tuple[BlockKey, Place, str]]) -> None:
        """Writes down what was found bad, and forgets the oldest such notes."""
        await self.many(
            "INSERT INTO quarantine(key, file, offset, length, reason, found_unix_ms) VALUES(?, ?, ?, ?, ?, ?)",
            [(key, *place, reason, self.unix_ms) for key, place, reason in rows],
        )
        await self.rows(
            "DELETE FROM quarantine WHERE id <= (SELECT max(id) FROM quarantine) - ?", (QUARANTINE_ROWS_MAX,)
        )

    # --- files

    async def linked_file(self, path: bytes, stamp: Stamp) -> tuple[int, Stamp]:
        """The id of the linked file at `path`, made if need be, and its stamp as recorded."""
        await self.rows(
            "INSERT INTO linked_files(path, size, mtime_ns, inode) VALUES(?, ?, ?, ?) ON CONFLICT(path) DO NOTHING",
            (path, *stamp),
        )
        row = (await self.rows("SELECT id, size, mtime_ns, inode FROM linked_files WHERE path = ?", (path,)))[0]
        return row[0], Stamp(*row[1:])

    async def forget_empty_files(self, files: Iterable[int]) -> None:
        """Forgets those linked files (negated ids) that no block lies in any more."""
        await self.many(
            "DELETE FROM linked_files WHERE id = ? AND NOT EXISTS (SELECT 1 FROM blocks WHERE file = ?)",
            [(-file, file) for file in files],
        )

    async def retire(self, segment: int) -> None:
        """Forgets a segment that nothing points to."""
        await self.rows("DELETE FROM segments WHERE id = ? AND live_count = 0", (segment,))
        await self.rows("DELETE FROM dead WHERE segment = ?", (segment,))
        self.delta.retired.append(segment)

    # --- counts

    def _count(self, key: BlockKey, place: Place, sign: int) -> None:
        if place.is_linked:
            self.delta.linked_count += sign
            self.delta.linked_bytes += sign * place.length
        else:
            segment = self.delta.segment(place.file)
            segment.live_count += sign
            segment.live_bytes += sign * carfile.record_bytes(key, place.length)

    async def _write_counts(self) -> None:
        for segment, change in self.delta.segments.items():
            changes = (change.live_count, change.live_bytes, change.punched_bytes)
            if change.end is not None:
                await self.rows(
                    "INSERT INTO segments VALUES(?1, ?2, ?3, ?4, ?5) ON CONFLICT(id) DO UPDATE SET end = excluded.end,"
                    " live_count = live_count + ?3, live_bytes = live_bytes + ?4, punched_bytes = punched_bytes + ?5",
                    (segment, change.end, *changes),
                )
            else:
                await self.rows(
                    "UPDATE segments SET live_count = live_count + ?, live_bytes = live_bytes + ?,"
                    " punched_bytes = punched_bytes + ? WHERE id = ?",
                    (*changes, segment),
                )
        if self.delta.linked_count or self.delta.linked_bytes:
            sql = "UPDATE meta SET value = value + ? WHERE name = ?"
            await self.rows(sql, (self.delta.linked_count, "linked_count"))
            await self.rows(sql, (self.delta.linked_bytes, "linked_bytes"))
