"""The tables of `index.db`, their version, and how an older one becomes this one.

`blocks.file` is a segment's id when positive and the negated id of a linked file when negative. `offset` is where the
data begin. Sizes on disk: a block costs about 130 bytes here (its row, and its entry in the index by place).
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeAlias

from ralnode.api import StorageError

SCHEMA_VERSION: Final = 1

PAGE_BYTES: Final = 4096
BLOCK_ROW_BYTES: Final = 130
"""A row of `blocks` with its entry in `blocks_by_place`, pages three quarters full."""

CREATE: Final = (
    "CREATE TABLE meta(name TEXT PRIMARY KEY, value) WITHOUT ROWID",
    # `end` is the length of the file up to its last acknowledged record; what lies behind is cut off at start.
    "CREATE TABLE segments(id INTEGER PRIMARY KEY AUTOINCREMENT, end INTEGER NOT NULL, live_count INTEGER NOT NULL,"
    " live_bytes INTEGER NOT NULL, punched_bytes INTEGER NOT NULL)",
    "CREATE TABLE linked_files(id INTEGER PRIMARY KEY AUTOINCREMENT, path BLOB NOT NULL UNIQUE,"
    " size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, inode INTEGER NOT NULL)",
    "CREATE TABLE blocks(key BLOB PRIMARY KEY, file INTEGER NOT NULL, offset INTEGER NOT NULL,"
    " length INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE INDEX blocks_by_place ON blocks(file, offset)",
    # Records forgotten whose bytes are still to be punched out.
    "CREATE TABLE dead(segment INTEGER NOT NULL, offset INTEGER NOT NULL, length INTEGER NOT NULL,"
    " PRIMARY KEY(segment, offset)) WITHOUT ROWID",
    "CREATE TABLE quarantine(id INTEGER PRIMARY KEY AUTOINCREMENT, key BLOB NOT NULL, file INTEGER NOT NULL,"
    " offset INTEGER NOT NULL, length INTEGER NOT NULL, reason TEXT NOT NULL, found_unix_ms INTEGER NOT NULL)",
    "CREATE TABLE state(name BLOB NOT NULL UNIQUE, document BLOB NOT NULL)",
)

_SAY_SECONDS: Final = 10.0
_INSTRUCTIONS: Final = 1_000_000
"""Of SQLite's machine between two looks at the clock: some milliseconds."""

Upgrade: TypeAlias = Callable[[sqlite3.Connection], None]
UPGRADES: Final[Mapping[int, Upgrade]] = {}
"""From version n to n + 1, by n. Each runs in one transaction with its new version number, so a crash loses no step."""


def create(connection: sqlite3.Connection) -> None:
    """Makes the tables of a new index in one transaction."""
    connection.execute("BEGIN IMMEDIATE")
    for statement in CREATE:
        connection.execute(statement)
    connection.executemany(
        "INSERT INTO meta VALUES(?, ?)",
        [("schema", SCHEMA_VERSION), ("linked_count", 0), ("linked_bytes", 0)],
    )
    connection.execute("COMMIT")


def version(connection: sqlite3.Connection) -> int:
    """0 for a file without tables."""
    if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'meta'").fetchall():
        return 0
    rows = connection.execute("SELECT value FROM meta WHERE name = 'schema'").fetchall()
    return int(rows[0][0]) if rows else 0


def prepare(
    connection: sqlite3.Connection,
    path: Path,
    known: int = SCHEMA_VERSION,
    upgrades: Mapping[int, Upgrade] = UPGRADES,
    say: Callable[[str], None] = lambda _line: None,
) -> None:
    """Creates the tables, or brings them to version `known` step by step. Raises StorageError if they are newer. `say` is
    told how an upgrade goes, at least every ten seconds."""
    found = version(connection)
    if found == 0:
        create(connection)
    elif found > known:
        raise StorageError(
            f"cannot open storage {path}: made by a newer ralnode (schema {found}, this one knows {known}). "
            "Nothing was changed. Upgrade ralnode, or point [node] data_dir elsewhere."
        )
    for step in range(found or known, known):
        with _spoken(connection, f"upgrading {path.name} from schema {step} to {step + 1} (of {known})", say):
            _upgrade(connection, path, step, upgrades)


@contextmanager
def _spoken(connection: sqlite3.Connection, what: str, say: Callable[[str], None]) -> Iterator[None]:
    """Says that it begins, from time to time how long it has taken, and that it is done."""
    begin = said_at = time.monotonic()

    def look_round() -> int:
        nonlocal said_at
        if time.monotonic() - said_at >= _SAY_SECONDS:
            said_at = time.monotonic()
            say(f"{what}: {said_at - begin:.0f} s so far")
        return 0

    say(f"{what}; it may be interrupted, and goes on at the next start")
    connection.set_progress_handler(look_round, _INSTRUCTIONS)
    try:
        yield
    finally:
        connection.set_progress_handler(None, 0)
    say(f"{what}: done in {time.monotonic() - begin:.1f} s")


def _upgrade(connection: sqlite3.Connection, path: Path, step: int, upgrades: Mapping[int, Upgrade]) -> None:
    if step not in upgrades:
        raise StorageError(
            f"cannot open storage {path}: schema {step} is too old for this ralnode. Nothing was changed. "
            "Install the release before this one first, or run `ralnode rebuild-index`."
        )
    connection.execute("BEGIN IMMEDIATE")
    try:
        upgrades[step](connection)
        connection.execute("UPDATE meta SET value = ? WHERE name = 'schema'", (step + 1,))
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def connect(path: Path | str, *, read_only: bool = False) -> sqlite3.Connection:
    """A connection in autocommit. Only the one that may write ever checkpoints: SQLite before 3.51.3 can lose commits
    when two connections write or checkpoint at the same instant."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=5, check_same_thread=False, cached_statements=64)
    try:
        connection.execute("PRAGMA wal_autocheckpoint = 0")  # the writer does it itself, after it has answered
        if read_only:
            connection.execute("PRAGMA query_only = ON")
        else:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
    except BaseException:
        connection.close()
        raise
    return connection
