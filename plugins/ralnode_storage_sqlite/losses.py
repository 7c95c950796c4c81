"""`Losses`: what turns out to be bad or gone is forgotten durably, and only then reported.

A read-only store cannot forget; it then remembers in memory what it must not serve again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from ralnode.api import BlockKey, StorageError
from ralnode_storage_sqlite.changes import ROWS_PER_CHANGE, DropFile, Found, QuarantineBlocks
from ralnode_storage_sqlite.index import LinkedFile, pieces
from ralnode_storage_sqlite.parts import Parts
from ralnode_storage_sqlite.writer import Writer


class Losses:
    """`on_lost` is called on the event loop, at most once for each loss."""

    def __init__(self, parts: Parts, writer: Writer, on_lost: Callable[[Sequence[BlockKey]], None]) -> None:
        self._index = parts.index
        self._log = parts.log
        self._writer = writer
        self._on_lost = on_lost
        self._banned: set[BlockKey] = set()

    def without_banned(self, keys: Iterable[BlockKey]) -> list[BlockKey]:
        return [key for key in keys if key not in self._banned] if self._banned else list(keys)

    @property
    def has_banned(self) -> bool:
        return bool(self._banned)

    def is_banned(self, key: BlockKey) -> bool:
        return key in self._banned

    def report(self, keys: Sequence[BlockKey]) -> None:
        if keys:
            self._on_lost(keys)

    async def quarantine(self, found: Sequence[Found]) -> list[BlockKey]:
        """Forgets bad blocks and reports them. Answers those that are held no longer by this call."""
        lost: list[BlockKey] = []
        for piece in pieces(found, ROWS_PER_CHANGE):
            for bad in piece:
                self._log.warning("bad block in file %d at %d: %s", bad.place.file, bad.place.offset, bad.reason)
            try:
                lost += await self._writer.submit(QuarantineBlocks(piece))
            except StorageError:
                lost += self._ban([bad.key for bad in piece])
        self.report(lost)
        return lost

    async def drop_file(self, file: LinkedFile) -> list[BlockKey]:
        """Forgets all blocks of a linked file that has changed, and reports them."""
        lost = await self.forget_file(file)
        self.report(lost)
        return lost

    async def forget_file(self, file: LinkedFile) -> list[BlockKey]:
        """As `drop_file`, but leaves the report to the caller."""
        self._log.warning("%r is not the file that was linked any more: its blocks are dropped", file.path)
        lost: list[BlockKey] = []
        is_done = False
        while not is_done:
            try:
                keys, is_done = await self._writer.submit(DropFile(file.id, file.stamp))
            except StorageError:
                keys, is_done = await self._ban_file(file), True
            lost += keys
        return lost

    async def _ban_file(self, file: LinkedFile) -> list[BlockKey]:
        return self._ban([key for key, _ in await self._index.in_file(-file.id, -1)])

    def _ban(self, keys: Sequence[BlockKey]) -> list[BlockKey]:
        fresh = [key for key in keys if key not in self._banned]
        self._banned.update(fresh)
        return fresh
