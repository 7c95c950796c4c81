"""The part of the storage contract about room: capacity, reservations, the disk floor, deleting."""

from __future__ import annotations

from pathlib import Path

import pytest

from ralnode.api import Block, Held, Storage, StorageFullError
from ralnode.api.limits import MIB
from ralnode.testing.store_under_test import (
    BLOCK_BYTES,
    CAPACITY_BYTES,
    StoreUnderTest,
    ignore,
    keys_of,
    make_block,
    make_blocks,
)


class StorageQuotaContract(StoreUnderTest):
    """Mixed into `StorageContract`."""

    async def fill(self, store: Storage, first_seed: int = 1000) -> list[Block]:
        """Puts blocks one by one until one is refused; returns those that were taken."""
        taken: list[Block] = []
        while True:
            block = make_block(first_seed + len(taken))
            try:
                await store.put([block])
            except StorageFullError:
                return taken
            taken.append(block)
            usage = store.usage()
            assert usage.used_bytes + usage.reserved_bytes <= usage.capacity_bytes

    async def test_a_full_store_refuses_serves_deletes_and_takes_again(self, store: Storage) -> None:
        taken = await self.fill(store)
        assert len(taken) * BLOCK_BYTES > CAPACITY_BYTES // 2
        before = store.usage()
        with pytest.raises(StorageFullError):
            await store.put([make_block(1)])
        assert store.usage() == before
        await store.put(taken)  # needs no room: all are owned
        assert await store.get(taken[-1].key) == taken[-1].data
        assert await store.delete(keys_of(taken[:4])) == 4
        await store.put([make_block(1)])
        assert await store.get(make_block(1).key) == make_block(1).data

    async def test_a_put_is_all_or_nothing(self, store: Storage) -> None:
        too_many = make_blocks(CAPACITY_BYTES // BLOCK_BYTES + 1)
        before = store.usage()
        with pytest.raises(StorageFullError):
            await store.put(too_many)
        assert store.usage() == before
        assert await store.held(keys_of(too_many)) == [Held.NO] * len(too_many)

    async def test_reserved_bytes_are_kept_from_others_and_given_to_their_owner(self, store: Storage) -> None:
        reservation = await store.reserve(4 * MIB)
        assert reservation.remaining_bytes == 4 * MIB
        assert store.usage().reserved_bytes >= 4 * MIB
        await self.fill(store)
        mine = make_blocks(4 * MIB // BLOCK_BYTES)
        await store.put(mine[:10], reservation)
        assert reservation.remaining_bytes == 4 * MIB - 10 * BLOCK_BYTES
        await store.put(mine[10:], reservation)
        assert reservation.remaining_bytes == 0
        assert await store.held(keys_of(mine)) == [Held.OWNED] * len(mine)
        assert store.usage().used_bytes + store.usage().reserved_bytes <= CAPACITY_BYTES

    async def test_a_put_beyond_its_reservation_takes_free_bytes(self, store: Storage) -> None:
        reservation = await store.reserve(BLOCK_BYTES)
        await store.put(make_blocks(3), reservation)
        assert reservation.remaining_bytes == 0
        assert store.usage().block_count == 3

    async def test_blocks_already_owned_use_up_no_reservation(self, store: Storage) -> None:
        await store.put(make_blocks(3))
        reservation = await store.reserve(MIB)
        await store.put(make_blocks(3), reservation)
        assert reservation.remaining_bytes == MIB

    async def test_a_reservation_beyond_the_capacity_is_refused(self, store: Storage) -> None:
        before = store.usage()
        with pytest.raises(StorageFullError):
            await store.reserve(CAPACITY_BYTES + 1)
        assert store.usage() == before

    async def test_released_bytes_are_free_again(self, store: Storage) -> None:
        for _ in range(5):
            reservation = await store.reserve(CAPACITY_BYTES // 2)
            with pytest.raises(StorageFullError):
                await store.reserve(CAPACITY_BYTES // 2 + 1)
            await reservation.release()
            await reservation.release()
            assert (reservation.remaining_bytes, store.usage().reserved_bytes) == (0, 0)

    async def test_the_disk_floor_is_kept_free(self, data_dir: Path) -> None:
        storage = self.build(data_dir, CAPACITY_BYTES, disk_floor_bytes=2**62)
        await storage.open(ignore)
        with pytest.raises(StorageFullError):
            await storage.put([make_block(1)])
        with pytest.raises(StorageFullError):
            await storage.reserve(1)
        assert storage.usage().block_count == 0
        await storage.close()

    async def test_capacity_can_be_raised_and_lowered_but_not_below_what_is_used(self, store: Storage) -> None:
        await self.fill(store)
        await store.set_capacity(CAPACITY_BYTES + 4 * MIB)
        await store.put(make_blocks(8))
        before = store.usage()
        with pytest.raises(StorageFullError):
            await store.set_capacity(before.used_bytes - 1)
        assert store.usage() == before
        await store.set_capacity(before.used_bytes)
        assert store.usage().capacity_bytes == before.used_bytes
        with pytest.raises(StorageFullError):
            await store.put([make_block(500)])

    async def test_delete_counts_what_was_held_and_is_durable(self, store: Storage, data_dir: Path) -> None:
        blocks = make_blocks(6)
        await store.put(blocks)
        doomed = keys_of(blocks[:3])
        assert await store.delete([*doomed, doomed[0], make_block(77).key]) == 3
        assert await store.delete(doomed) == 0
        again = await self.restart(store, data_dir)
        assert await again.held(keys_of(blocks)) == [Held.NO] * 3 + [Held.OWNED] * 3
        assert await again.get_many(keys_of(blocks)) == [None] * 3 + [block.data for block in blocks[3:]]
        assert again.usage().block_count == 3
        await again.close()

    async def test_delete_gives_the_bytes_back(self, store: Storage) -> None:
        blocks = make_blocks(20)
        await store.put(blocks)
        used = store.usage().used_bytes
        await store.delete(keys_of(blocks))
        assert used - store.usage().used_bytes > 0.9 * 20 * BLOCK_BYTES
