"""Handing blocks to the store: no waiting for the disk, bounded memory, and only what is durable is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest

from ralnode.api import Block, BlockKey, Reservation, Storage, StorageError
from ralnode.host.bounds import GROUPS_UNDER_WAY_MAX
from ralnode.host.groups import Budget, GroupWriter
from ralnode.testing.store_under_test import make_block

BLOCK_BYTES = 1000
GROUP_BYTES = 4 * BLOCK_BYTES


class SlowStore:
    """Writes when `writes` is set, makes durable when `syncs` is set."""

    def __init__(self, *, writes: bool = True, syncs: bool = False) -> None:
        self.writes, self.syncs = asyncio.Event(), asyncio.Event()
        self.taken: list[BlockKey] = []
        self.error: Exception | None = None
        for event, is_set in ((self.writes, writes), (self.syncs, syncs)):
            if is_set:
                event.set()

    async def put(
        self, blocks: Sequence[Block], reservation: Reservation | None = None, written: Callable[[], None] | None = None
    ) -> None:
        self.taken += [block.key for block in blocks]
        await self.writes.wait()
        if self.error is not None:
            raise self.error
        if written is not None:
            written()
        await self.syncs.wait()


class Told:
    def __init__(self) -> None:
        self.keys: list[BlockKey] = []
        self.size_bytes = 0

    async def __call__(self, keys: Sequence[BlockKey], size_bytes: int) -> None:
        self.keys += keys
        self.size_bytes += size_bytes


def writer_to(store: SlowStore, told: Told, budget: Budget | None = None) -> GroupWriter:
    return GroupWriter(cast(Storage, store), None, told, GROUP_BYTES, budget)


def blocks(count: int, first: int = 0) -> list[Block]:
    return [make_block(first + number, BLOCK_BYTES) for number in range(count)]


async def is_waiting(work: asyncio.Task[Any]) -> bool:
    """Whether it still waits when everything else has come to rest."""
    for _ in range(20):
        await asyncio.sleep(0)
    return not work.done()


async def test_a_disk_that_syncs_slowly_does_not_hold_up_what_comes() -> None:
    store, told, budget = SlowStore(), Told(), Budget(2 * GROUP_BYTES)
    count = 4 * GROUPS_UNDER_WAY_MAX
    async with writer_to(store, told, budget) as writer:
        await writer.add(blocks(count))
        assert len(store.taken) == count
        assert budget.held_bytes == 0
        more = asyncio.create_task(writer.add(blocks(4, count)))
        assert await is_waiting(more), "what is not durable is bounded, too"
        assert told.keys == []
        store.syncs.set()
        await more
        await writer.finish()
    assert (sorted(told.keys), told.size_bytes) == (sorted(store.taken), (count + 4) * BLOCK_BYTES)


async def test_content_in_memory_is_bounded_over_all_writers() -> None:
    store, told, budget = SlowStore(writes=False, syncs=True), Told(), Budget(2 * GROUP_BYTES)
    async with writer_to(store, told, budget) as one, writer_to(store, told, budget) as other:
        adding = [asyncio.create_task(writer.add(blocks(20, first))) for writer, first in ((one, 0), (other, 100))]
        assert all([await is_waiting(each) for each in adding])
        assert budget.held_bytes <= 2 * GROUP_BYTES + BLOCK_BYTES
        store.writes.set()
        await asyncio.gather(*adding)
        await asyncio.gather(one.finish(), other.finish())
    assert (len(told.keys), budget.held_bytes) == (40, 0)


async def test_a_writer_does_not_wait_for_what_others_gather() -> None:
    store, told, budget = SlowStore(syncs=True), Told(), Budget(GROUP_BYTES)
    async with writer_to(store, told, budget) as idle, writer_to(store, told, budget) as busy:
        await idle.add(blocks(3))
        await asyncio.wait_for(busy.add(blocks(40, 100)), 10)
        await busy.finish()
        assert len(told.keys) == 40
    assert budget.held_bytes == 0


@pytest.mark.parametrize("writes", [True, False])
async def test_leaving_waits_for_the_store_and_gives_up_what_was_only_gathered(writes: bool) -> None:
    store, told, budget = SlowStore(writes=writes), Told(), Budget()

    async def work() -> None:
        async with writer_to(store, told, budget) as writer:
            await writer.add(blocks(6))
            await asyncio.Event().wait()

    working = asyncio.create_task(work())
    assert await is_waiting(working)
    working.cancel()
    assert await is_waiting(working), "no block may be stored after this was left"
    store.writes.set()
    store.syncs.set()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert (len(store.taken), len(told.keys), budget.held_bytes) == (4, 4, 0)


async def test_what_storing_raised_comes_out_and_nothing_is_told() -> None:
    store, told, budget = SlowStore(), Told(), Budget()
    store.error = StorageError("the disk is gone")
    with pytest.raises(StorageError, match="the disk is gone"):
        async with writer_to(store, told, budget) as writer:
            await writer.add(blocks(4))
            await writer.finish()
    assert (told.keys, budget.held_bytes) == ([], 0)
