"""Makes `index.db` anew from the segments. Blocking and slow (every block is hashed): run in a thread, store closed.

What can be kept of the old index is kept: linked files that have not changed, state documents, the quarantine. The old
index gives way only to a complete new one; a crash in between leaves the old one, or none, which `open` refuses.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from logging import Logger
from pathlib import Path
from typing import Any, Final, TypeAlias

from ralnode.api import StorageError
from ralnode.api.limits import MIB
from ralnode_storage_sqlite import carfile, schema
from ralnode_storage_sqlite.disk import Disk
from ralnode_storage_sqlite.home import Home
from ralnode_storage_sqlite.segments import UNACKNOWLEDGED_BYTES_MAX, segment_ids, segment_path

_REPORT_BYTES: Final = 32 * MIB
_ROWS: Final = 1000
_BLANK_BYTES: Final = 64 * 1024
"""What cannot be read is taken for zeros in pieces of this size."""

Progress: TypeAlias = Callable[[int, int], None]


class Rebuild:
    """One run. `progress(done_bytes, total_bytes)` is called from this thread."""

    def __init__(self, home: Home, disk: Disk, progress: Progress, log: Logger) -> None:
        self._home = home
        self._disk = disk
        self._progress = progress
        self._log = log
        self._new = home.data_dir / "index.new"
        self._old = home.data_dir / "index.old"
        self._done_bytes = self._reported_bytes = 0
        self._total_bytes = 0

    def run(self) -> int:
        """Returns the count of blocks. Raises StorageError or OSError; then the old index is as it was."""
        segments = segment_ids(self._home.segments)
        self._total_bytes = sum(self._disk.size(segment_path(self._home.segments, segment)) for segment in segments)
        self._remove(self._new)
        with contextlib.closing(self._fresh()) as new:
            for segment in segments:
                self._scan(new, segment)
            self._keep_old(new)
            new.execute("COMMIT")
            count = int(new.execute("SELECT count(*) FROM blocks").fetchone()[0])
        self._swap()
        self._home.mark()
        self._progress(self._total_bytes, self._total_bytes)
        return count

    def _fresh(self) -> sqlite3.Connection:
        """Without a journal: if this run is cut short, the next one begins anew."""
        new = sqlite3.connect(self._new, isolation_level=None)
        new.execute("PRAGMA journal_mode = OFF")
        new.execute("PRAGMA synchronous = OFF")
        new.execute("PRAGMA cache_size = -32768")
        schema.prepare(new, self._new)
        new.execute("BEGIN IMMEDIATE")
        return new

    # --- segments

    def _scan(self, new: sqlite3.Connection, segment: int) -> None:
        path = segment_path(self._home.segments, segment)
        size_bytes = self._disk.size(path)
        end, live_count, live_bytes = len(carfile.HEADER), 0, 0
        descriptor = self._disk.open_to_read(path)
        try:
            for record in self._records(descriptor, segment, size_bytes):
                end = record.offset + record.length
                row = (record.key, segment, record.offset, record.length)
                if new.execute("INSERT OR IGNORE INTO blocks VALUES(?, ?, ?, ?)", row).rowcount:
                    live_count += 1
                    live_bytes += carfile.record_bytes(record.key, record.length)
        finally:
            self._disk.close(descriptor)
        if size_bytes - end > UNACKNOWLEDGED_BYTES_MAX:
            end = size_bytes  # more than a write that was cut short: not ours to cut off
        counts = (segment, end, live_count, live_bytes, self._disk.hole_bytes(path))
        new.execute("INSERT INTO segments VALUES(?, ?, ?, ?, ?)", counts)

    def _records(self, descriptor: int, segment: int, size_bytes: int) -> Iterator[carfile.Record]:
        base_bytes = self._done_bytes
        for item in carfile.records(lambda at, length: self._read(descriptor, at, length), size_bytes):
            if isinstance(item, carfile.Damage):
                self._log.warning(
                    "segment %06d: %d B at %d are no block that verifies: left out", segment, item.length, item.offset
                )
            else:
                yield item
            self._report(base_bytes + item.offset)
        self._done_bytes = base_bytes + size_bytes

    def _read(self, descriptor: int, offset: int, length: int) -> bytes:
        try:
            return self._disk.read(descriptor, length, offset)
        except OSError:
            if length <= _BLANK_BYTES:
                return bytes(length)
            starts = range(offset, offset + length, _BLANK_BYTES)
            return b"".join(
                self._read(descriptor, start, min(_BLANK_BYTES, offset + length - start)) for start in starts
            )

    def _report(self, done_bytes: int) -> None:
        if done_bytes - self._reported_bytes >= _REPORT_BYTES:
            self._reported_bytes = done_bytes
            self._progress(done_bytes, self._total_bytes)

    # --- what the old index knew

    def _keep_old(self, new: sqlite3.Connection) -> None:
        """`index.old` is there when a run was cut short between taking the old index away and putting the new one in."""
        path = self._home.index if self._home.index.exists() else self._old
        if not path.exists():
            return
        try:
            with contextlib.closing(schema.connect(path)) as old:
                if schema.version(old) > schema.SCHEMA_VERSION:
                    schema.prepare(old, path)  # says why not
                self._keep(new, old)
        except sqlite3.Error as error:
            self._log.warning("%s cannot be read to its end (%s): links may be lost", path, error)
        self._count_links(new)

    def _keep(self, new: sqlite3.Connection, old: sqlite3.Connection) -> None:
        """Table by table, so that damage to one costs only that one."""
        kept = set()
        for row in self._old_rows(old, "SELECT id, path, size, mtime_ns, inode FROM linked_files"):
            stamp = self._disk.stamp_of_path(row[1])
            if stamp == tuple(row[2:]):
                new.execute("INSERT INTO linked_files VALUES(?, ?, ?, ?, ?)", row)
                kept.add(-row[0])
        for row in self._old_rows(old, "SELECT key, file, offset, length FROM blocks WHERE file < 0"):
            if row[1] in kept:
                new.execute("INSERT OR IGNORE INTO blocks VALUES(?, ?, ?, ?)", row)
        for row in self._old_rows(old, "SELECT name, document FROM state"):
            new.execute("INSERT OR REPLACE INTO state(name, document) VALUES(?, ?)", row)
        columns = "key, file, offset, length, reason, found_unix_ms"
        for row in self._old_rows(old, f"SELECT {columns} FROM quarantine"):  # noqa: S608
            new.execute(f"INSERT INTO quarantine({columns}) VALUES(?, ?, ?, ?, ?, ?)", row)

    def _old_rows(self, old: sqlite3.Connection, sql: str) -> Iterator[tuple[Any, ...]]:
        try:
            cursor = old.execute(sql)
            while rows := cursor.fetchmany(_ROWS):
                yield from rows
        except sqlite3.Error as error:
            self._log.warning("the old index is damaged (%s): part of it is lost", error)

    @staticmethod
    def _count_links(new: sqlite3.Connection) -> None:
        count, size_bytes = new.execute("SELECT count(*), total(length) FROM blocks WHERE file < 0").fetchone()
        new.execute("UPDATE meta SET value = ? WHERE name = 'linked_count'", (count,))
        new.execute("UPDATE meta SET value = ? WHERE name = 'linked_bytes'", (int(size_bytes),))

    # --- changing places

    def _swap(self) -> None:
        """The old WAL must be gone before the new index is in its place, or SQLite would apply it to that."""
        self._sync(self._new)
        if self._home.index.exists():
            self._home.index.replace(self._old)
        for suffix in ("-wal", "-shm"):
            self._disk.unlink(self._home.index.with_name(self._home.index.name + suffix))
        self._disk.sync_folder(self._home.data_dir)
        self._new.replace(self._home.index)
        self._disk.sync_folder(self._home.data_dir)
        self._remove(self._old)

    def _sync(self, path: Path) -> None:
        descriptor = self._disk.open_to_write(path)
        try:
            self._disk.sync(descriptor)
        finally:
            self._disk.close(descriptor)

    def _remove(self, path: Path) -> None:
        for suffix in ("", "-wal", "-shm", "-journal"):
            self._disk.unlink(path.with_name(path.name + suffix))


def refuse(error: OSError, data_dir: Path) -> StorageError:
    return StorageError(
        f"cannot rebuild the index of {data_dir}: {error.strerror or error}. The old index is as it was. "
        "Check the disk, then try again."
    )
