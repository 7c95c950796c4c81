"""Storage plugin: blocks in append-only CAR segments, found through an SQLite index. Entry point only."""

from __future__ import annotations

from ralnode.api import Context, Provider, Storage, hookimpl
from ralnode_storage_sqlite.options import SqliteOptions
from ralnode_storage_sqlite.store import SqliteStorage


def _build(context: Context, options: SqliteOptions) -> SqliteStorage:
    return SqliteStorage(context, options)


@hookimpl
def provide_storage() -> Provider[Storage]:
    return Provider("sqlite", _build, SqliteOptions, "CAR segments with an SQLite index")
