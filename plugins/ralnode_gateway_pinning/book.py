"""The pins of this node in an SQLite file of their own. A change is durable before it is acknowledged."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import aiosqlite

from ralnode.dag import cid as cids
from ralnode_gateway_pinning.model import Pin, State, Wish
from ralnode_gateway_pinning.query import Query

_SCHEMA: Final = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
CREATE TABLE IF NOT EXISTS pins (
    request_id TEXT PRIMARY KEY, cid TEXT NOT NULL, key BLOB NOT NULL, name TEXT NOT NULL, folded TEXT NOT NULL,
    origins TEXT NOT NULL, meta TEXT NOT NULL, state TEXT NOT NULL, created_ms INTEGER NOT NULL, client TEXT NOT NULL,
    details TEXT NOT NULL, is_ours INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS pins_by_time ON pins (created_ms);
CREATE INDEX IF NOT EXISTS pins_by_key ON pins (key);
"""
_COLUMNS: Final = "request_id, cid, name, origins, meta, state, created_ms, client, details, is_ours"


class Book:
    """`open` first, `close` last."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db: aiosqlite.Connection

    async def open(self) -> None:
        self._db = await aiosqlite.connect(self._path)
        self._path.chmod(0o600)
        await self._db.executescript(_SCHEMA)

    async def close(self) -> None:
        await self._db.close()

    async def count(self) -> int:
        return int((await self._rows("SELECT count(*) FROM pins"))[0][0])

    async def add(self, pin: Pin, instead_of: str | None = None) -> None:
        """`instead_of` goes in the same transaction."""
        wish = pin.wish
        if instead_of is not None:
            await self._db.execute("DELETE FROM pins WHERE request_id = ?", (instead_of,))
        await self._db.execute(
            "INSERT INTO pins VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                pin.request_id, wish.cid, cids.to_key(wish.root), wish.name, wish.name.casefold(), json.dumps(wish.origins),
                json.dumps(wish.meta), pin.state.value, pin.created_ms, pin.client, pin.details, pin.is_ours,
            ),
        )  # fmt: skip
        await self._db.commit()

    async def get(self, request_id: str) -> Pin | None:
        found = await self._rows(f"SELECT {_COLUMNS} FROM pins WHERE request_id = ?", request_id)  # noqa: S608 - constants
        return _pin(found[0]) if found else None

    async def find(self, query: Query) -> tuple[int, list[Pin]]:
        """(how many there are, the newest of them)."""
        matching = f"FROM pins WHERE {query.where}"
        ((count,),) = await self._rows(f"SELECT count(*) {matching}", *query.values)
        order = "ORDER BY created_ms DESC, request_id LIMIT ?"
        rows = await self._rows(f"SELECT {_COLUMNS} {matching} {order}", *query.values, query.limit)
        return int(count), [_pin(row) for row in rows]

    async def unfinished(self) -> list[Pin]:
        """The oldest first."""
        rows = await self._rows(
            f"SELECT {_COLUMNS} FROM pins WHERE state IN ('queued', 'pinning') ORDER BY created_ms"  # noqa: S608 - constants
        )
        return [_pin(row) for row in rows]

    async def others_of(self, pin: Pin) -> int:
        """How many more pins of the same content there are."""
        rows = await self._rows(
            "SELECT count(*) FROM pins WHERE key = ? AND request_id != ?", cids.to_key(pin.wish.root), pin.request_id
        )
        return int(rows[0][0])

    async def hand_over(self, pin: Pin) -> None:
        """Another pin of the same content answers for the source from now on."""
        key = cids.to_key(pin.wish.root)
        await self._db.execute("UPDATE pins SET is_ours = 1 WHERE key = ? AND request_id != ?", (key, pin.request_id))
        await self._db.commit()

    async def note(self, request_id: str, state: State, details: str, *, is_ours: bool | None = None) -> None:
        await self._db.execute(
            "UPDATE pins SET state = ?, details = ?, is_ours = coalesce(?, is_ours) WHERE request_id = ?",
            (state.value, details[:1000], is_ours, request_id),
        )
        await self._db.commit()

    async def remove(self, request_id: str) -> None:
        await self._db.execute("DELETE FROM pins WHERE request_id = ?", (request_id,))
        await self._db.commit()

    async def _rows(self, sql: str, *values: Any) -> Sequence[Any]:
        async with self._db.execute(sql, values) as cursor:
            return list(await cursor.fetchall())


def _pin(row: Sequence[Any]) -> Pin:
    request_id, cid, name, origins, meta, state, created_ms, client, details, is_ours = row
    wish = Wish(cid, cids.parse(cid), name, tuple(json.loads(origins)), json.loads(meta))
    return Pin(request_id, wish, State(state), created_ms, client, details, bool(is_ours))
