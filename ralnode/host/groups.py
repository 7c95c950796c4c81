"""Stores verified blocks in durable groups: one is being written while the next is gathered. A group is written once it is
large enough and the one before it is durable, so that groups grow with what a sync costs on this disk, up to a budget
of memory that all writers share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from ralnode.api import Block, Reservation, Storage
from ralnode.api.limits import PUT_BATCH_BLOCKS
from ralnode.host.bounds import GROUP_BYTES, GROUPS_BYTES_MAX


class Budget:
    """Bytes that writers which share it hold in memory, gathered or being written."""

    def __init__(self, limit_bytes: int = GROUPS_BYTES_MAX) -> None:
        self.limit_bytes = limit_bytes
        self.held_bytes = 0

    @property
    def is_spent(self) -> bool:
        return self.held_bytes >= self.limit_bytes


class GroupWriter:
    """`stored` is awaited with each group once it is durable. Use as an async context manager: leaving it waits for the
    write under way, also when cancelled, so that no block is stored after its source was dropped."""

    def __init__(
        self,
        storage: Storage,
        reservation: Reservation | None,
        stored: Callable[[Sequence[Block]], Awaitable[None]],
        group_bytes: int = GROUP_BYTES,
        budget: Budget | None = None,
    ) -> None:
        self._storage = storage
        self._reservation = reservation
        self._stored = stored
        self._group_bytes = group_bytes
        self._budget = budget or Budget(2 * group_bytes)
        self._group: list[Block] = []
        self._size_bytes = 0
        self._writing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> GroupWriter:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._budget.held_bytes -= self._size_bytes  # of a group that is given up
        if self._writing is not None and not self._writing.done():
            await asyncio.wait([self._writing])
        if self._writing is not None and not self._writing.cancelled():
            self._writing.exception()  # seen: `add` and `finish` raise it when nothing else went wrong

    async def add(self, blocks: Sequence[Block]) -> None:
        """Raises what storing an earlier group raised."""
        for block in blocks:
            self._group.append(block)
            self._size_bytes += len(block.data)
            self._budget.held_bytes += len(block.data)
            if (
                len(self._group) >= PUT_BATCH_BLOCKS
                or self._budget.is_spent
                or (self._size_bytes >= self._group_bytes and (self._writing is None or self._writing.done()))
            ):
                await self._begin()

    async def finish(self) -> None:
        """All that was added is durable. Raises what storing raised."""
        await self._begin()
        await self._settle()

    async def _begin(self) -> None:
        await self._settle()
        if self._group:
            self._writing = asyncio.create_task(self._write(self._group), name="store blocks")
            self._group, self._size_bytes = [], 0

    async def _settle(self) -> None:
        if self._writing is not None:
            await asyncio.shield(self._writing)
            self._writing = None

    async def _write(self, group: list[Block]) -> None:
        try:
            await self._storage.put(group, self._reservation)
        finally:
            self._budget.held_bytes -= sum(len(block.data) for block in group)
        await self._stored(group)
