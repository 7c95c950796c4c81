"""Hands verified blocks to the store in groups, without waiting for the disk: while the store makes some durable, the next
are written and further ones gathered. What is bounded is content in memory, by a budget that all writers share, and how
much is not durable yet."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeAlias

from ralnode.api import Block, BlockKey, Reservation, Storage
from ralnode.api.limits import PUT_BATCH_BLOCKS
from ralnode.host.bounds import GROUP_BYTES, GROUPS_BYTES_MAX, GROUPS_UNDER_WAY_MAX

Stored: TypeAlias = Callable[[Sequence[BlockKey], int], Awaitable[None]]


class Budget:
    """Bytes that writers which share it hold in memory, gathered or not written yet."""

    def __init__(self, limit_bytes: int = GROUPS_BYTES_MAX) -> None:
        self.limit_bytes = limit_bytes
        self.held_bytes = 0

    @property
    def is_spent(self) -> bool:
        return self.held_bytes >= self.limit_bytes


class GroupWriter:
    """`stored` is awaited with the keys of each group, and the bytes of its content, once it is durable. Use as an async
    context manager: leaving it waits for the writes under way, also when cancelled, so that no block is stored after its
    source was dropped."""

    def __init__(
        self,
        storage: Storage,
        reservation: Reservation | None,
        stored: Stored,
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
        self._running: deque[asyncio.Task[None]] = deque()
        self._unwritten_bytes = 0
        self._written = asyncio.Event()

    async def __aenter__(self) -> GroupWriter:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._budget.held_bytes -= self._size_bytes  # of a group that is given up
        if self._running:
            await asyncio.wait(self._running)
        for task in self._running:
            if not task.cancelled():
                task.exception()  # seen: `add` and `finish` raise the first when nothing else went wrong

    async def add(self, blocks: Sequence[Block]) -> None:
        """Returns when there is room for more. Raises what storing an earlier group raised."""
        for block in blocks:
            self._group.append(block)
            self._size_bytes += len(block.data)
            self._budget.held_bytes += len(block.data)
            is_enough = self._size_bytes >= self._group_bytes or len(self._group) >= PUT_BATCH_BLOCKS
            if is_enough or self._budget.is_spent:
                await self._begin()

    async def finish(self) -> None:
        """All that was added is durable. Raises what storing raised."""
        await self._begin()
        await self._settle(0)

    async def _begin(self) -> None:
        """While too much is in memory, waits for what came from here; others see to their own."""
        await self._settle(GROUPS_UNDER_WAY_MAX - 1)
        group, size_bytes = self._group, self._size_bytes
        self._group, self._size_bytes = [], 0
        if group:
            self._unwritten_bytes += size_bytes
            self._running.append(asyncio.create_task(self._write(group, size_bytes), name="store blocks"))
        while self._unwritten_bytes and self._budget.is_spent:
            self._written.clear()
            await self._written.wait()

    async def _settle(self, left_count: int) -> None:
        """Waits for the oldest until so many are under way."""
        while self._running and (len(self._running) > left_count or self._running[0].done()):
            await asyncio.shield(self._running[0])
            self._running.popleft()

    async def _write(self, group: list[Block], size_bytes: int) -> None:
        keys = [block.key for block in group]
        let_go = partial(self._let_go, group)
        try:
            await self._storage.put(group, self._reservation, let_go)
        finally:
            let_go()  # if the store has not said so, it never will
        await self._stored(keys, size_bytes)

    def _let_go(self, group: list[Block]) -> None:
        """Of content that the store needs no longer; only the first time that it is called."""
        size_bytes = sum(len(block.data) for block in group)
        group.clear()
        self._budget.held_bytes -= size_bytes
        self._unwritten_bytes -= size_bytes
        self._written.set()
