"""`StorageContract`: what every block store must do, as a test class. Subclass it and say how a store is built.

    class TestMyStorage(StorageContract):
        def build(self, data_dir, capacity_bytes, disk_floor_bytes=0):
            return MyStorage(...)

pytest with `asyncio_mode = "auto"` runs the rest. The suite knows nothing of how a store works; it asks for every
sentence of the docstrings of `ralnode.api.Storage`.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ralnode.api import Block, BlockKey, Held, ListingStorage, Storage, StorageError
from ralnode.api.limits import BLOCK_BYTES_MAX
from ralnode.dag import cid
from ralnode.testing.storage_care_contract import StorageCareContract
from ralnode.testing.storage_quota_contract import StorageQuotaContract
from ralnode.testing.store_under_test import BLOCK_BYTES, CAPACITY_BYTES, ignore, keys_of, make_block, make_blocks


class StorageContract(StorageQuotaContract, StorageCareContract):
    """Give it `build`; see `StoreUnderTest` for that and for `damage`."""

    async def test_a_new_store_is_empty(self, store: Storage) -> None:
        usage = store.usage()
        assert (usage.block_count, usage.linked_bytes, usage.reserved_bytes) == (0, 0, 0)
        assert (usage.capacity_bytes, usage.read_only_reason) == (CAPACITY_BYTES, "")
        assert await store.get(make_block(1).key) is None

    @pytest.mark.parametrize("size_bytes", [0, 1, 4096, 65_537, BLOCK_BYTES_MAX])
    async def test_what_was_put_is_read_back(self, store: Storage, size_bytes: int) -> None:
        block = make_block(1, size_bytes)
        await store.put([block])
        assert await store.get(block.key) == block.data
        assert await store.held([block.key]) == [Held.OWNED]

    async def test_blocks_of_every_codec_are_kept_apart(self, store: Storage) -> None:
        data = make_block(1).data
        blocks = [Block(cid.make(codec, data), data) for codec in (cid.RAW, cid.DAG_PB, cid.DAG_CBOR)]
        await store.put(blocks)
        assert await store.get_many(keys_of(blocks)) == [data] * 3
        assert await store.delete([blocks[0].key]) == 1
        assert await store.held(keys_of(blocks)) == [Held.NO, Held.OWNED, Held.OWNED]

    async def test_acknowledged_blocks_survive_a_restart(self, store: Storage, data_dir: Path) -> None:
        blocks = make_blocks(8)
        await store.put(blocks)
        before = store.usage()
        again = await self.restart(store, data_dir)
        assert await again.get_many(keys_of(blocks)) == [block.data for block in blocks]
        assert again.usage().block_count == before.block_count == 8
        await again.close()

    async def test_a_put_of_nothing_changes_nothing(self, store: Storage) -> None:
        await store.put([])
        assert store.usage().block_count == 0

    async def test_a_put_says_when_it_needs_the_content_no_longer(self, store: Storage) -> None:
        """The caller then empties its list, and what is stored is whole all the same."""
        blocks = make_blocks(6)
        puts = []
        for start in range(0, 6, 2):
            group = blocks[start : start + 2]
            puts.append(store.put(group, None, group.clear))
        await asyncio.gather(*puts)
        await store.put(known := list(blocks), None, known.clear)
        assert known == []
        assert await store.get_many([block.key for block in blocks]) == [block.data for block in blocks]

    async def test_a_block_already_owned_is_skipped(self, store: Storage) -> None:
        blocks = make_blocks(4)
        await store.put(blocks)
        before = store.usage()
        await store.put(blocks + blocks)
        assert store.usage() == before

    async def test_a_block_twice_in_one_put_is_stored_once(self, store: Storage) -> None:
        block, before = make_block(1), store.usage()
        await store.put([block, block])
        assert store.usage().block_count == 1
        assert store.usage().used_bytes < before.used_bytes + 2 * BLOCK_BYTES

    async def test_concurrent_puts_of_the_same_blocks_store_them_once(self, store: Storage) -> None:
        blocks, before = make_blocks(8), store.usage()
        await asyncio.gather(*(store.put(blocks[shift:] + blocks[:shift]) for shift in range(8)))
        assert store.usage().block_count == 8
        assert store.usage().used_bytes < before.used_bytes + 12 * BLOCK_BYTES
        assert await store.get_many(keys_of(blocks)) == [block.data for block in blocks]

    async def test_put_and_delete_take_effect_in_their_order(self, store: Storage) -> None:
        block = make_block(1)
        await store.put([block])
        await asyncio.gather(store.delete([block.key]), store.put([block]))
        assert await store.get(block.key) == block.data

    async def test_many_keys_are_answered_in_their_order(self, store: Storage) -> None:
        blocks = make_blocks(20, 10_000)
        await store.put(blocks)
        asked = [blocks[3], make_block(99, 10_000), blocks[19], blocks[3], blocks[0], make_block(98, 10_000)]
        assert await store.get_many(keys_of(asked)) == [b.data if b in blocks else None for b in asked]
        assert await store.get_many([]) == []

    async def test_held_answers_in_order_for_many_keys(self, store: Storage) -> None:
        blocks = make_blocks(50, 100)
        await store.put(blocks)
        unknown = [cid.make(cid.RAW, index.to_bytes(4, "big")) for index in range(50_000)]
        asked = keys_of(blocks[:25]) + unknown + keys_of(blocks[25:]) + keys_of(blocks[:1])
        answers = await store.held(asked)
        assert answers == [Held.OWNED] * 25 + [Held.NO] * 50_000 + [Held.OWNED] * 26
        assert await store.held([]) == []

    async def test_owned_blocks_are_listed_if_they_can_be(self, store: Storage) -> None:
        """`ListingStorage`, which is optional."""
        if not isinstance(store, ListingStorage):
            pytest.skip("this store lists nothing")
        blocks = make_blocks(5000, 100)
        await store.put(blocks)
        await store.delete(keys_of(blocks[1:4]))
        listed = [pair async for group in store.owned_blocks() for pair in group]
        assert sorted(listed) == sorted((block.key, 100) for block in [blocks[0], *blocks[4:]])

    async def test_a_bad_block_is_never_served_but_reported_and_forgotten(
        self, store: Storage, data_dir: Path, lost: list[BlockKey]
    ) -> None:
        good, bad = make_blocks(2)
        await store.put([good, bad])
        self.damage(store, data_dir, bad)
        assert await store.get_many(keys_of([good, bad])) == [good.data, None]
        assert lost == [bad.key]
        assert await store.held([bad.key]) == [Held.NO]
        await store.put([bad])
        assert await store.get(bad.key) == bad.data
        assert lost == [bad.key]

    async def test_lost_blocks_are_reported_on_the_event_loop(self, data_dir: Path) -> None:
        loops: list[asyncio.AbstractEventLoop] = []
        storage = self.build(data_dir, CAPACITY_BYTES)
        await storage.open(lambda keys: loops.append(asyncio.get_running_loop()))
        await storage.put([make_block(1)])
        self.damage(storage, data_dir, make_block(1))
        assert await storage.get(make_block(1).key) is None
        await storage.close()
        assert loops == [asyncio.get_running_loop()]

    async def test_a_closed_store_refuses(self, data_dir: Path) -> None:
        storage = self.build(data_dir, CAPACITY_BYTES)
        with pytest.raises(StorageError):
            await storage.put([make_block(1)])
        await storage.open(ignore)
        await storage.close()
        await storage.close()
        with pytest.raises(StorageError):
            await storage.put([make_block(1)])

    async def test_state_is_durable_and_found_by_prefix(self, store: Storage, data_dir: Path) -> None:
        saved = {b"node/a": b"1", b"node/b": b"", b"nodf": b"3", b"\xff\xff": b"4", b"\xff": bytes(100_000)}
        await store.save_state(dict(saved))
        await store.save_state({b"node/a": b"2", b"nodf": None, b"never was": None})
        expected = {b"node/a": b"2", b"node/b": b"", b"\xff\xff": b"4", b"\xff": bytes(100_000)}
        again = await self.restart(store, data_dir)
        assert await again.load_state(b"") == expected
        assert await again.load_state(b"node/") == {b"node/a": b"2", b"node/b": b""}
        assert await again.load_state(b"\xff\xff") == {b"\xff\xff": b"4"}
        assert await again.load_state(b"other") == {}
        await again.close()

    async def test_a_full_store_still_saves_state(self, store: Storage) -> None:
        await self.fill(store)
        await store.save_state({b"counter": b"5"})
        assert await store.load_state(b"counter") == {b"counter": b"5"}
