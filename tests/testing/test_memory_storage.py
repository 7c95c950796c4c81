"""MemoryStorage keeps the storage contract, and its faults do what they say."""

from __future__ import annotations

from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from ralnode.api import Block, BlockKey, FileSlice, Held, Storage, StorageError, StorageFullError
from ralnode.testing.memory_storage import Faults, MemoryStorage, Stamp
from ralnode.testing.storage_contract import StorageContract
from ralnode.testing.store_under_test import keys_of, make_block, make_blocks


class TestMemoryStorage(StorageContract):
    def build(self, data_dir: Path, capacity_bytes: int, disk_floor_bytes: int = 0) -> Storage:
        """One disk per folder, as a restart finds it."""
        disks = self.__dict__.setdefault("disks", {})
        return disks.setdefault(data_dir, MemoryStorage(capacity_bytes, disk_floor_bytes))

    def damage(self, storage: Storage, data_dir: Path, block: Block) -> None:
        assert isinstance(storage, MemoryStorage)
        storage.flip_bit(block.key, 8 * (len(block.data) // 2))


async def opened(faults: Faults | None = None) -> MemoryStorage:
    store = MemoryStorage(1 << 20, faults=faults)
    await store.open([].extend)
    return store


@pytest.mark.parametrize("error", [StorageFullError("no room"), StorageError("no disk")])
async def test_a_put_can_be_made_to_fail_once(error: StorageError) -> None:
    store = await opened(Faults(next_put=error))
    block = make_block(1, 1000)
    with pytest.raises(type(error), match=str(error)):
        await store.put([block])
    assert store.usage().block_count == 0
    await store.put([block])
    assert await store.get(block.key) == block.data


async def test_a_crash_loses_what_the_disk_only_pretended_to_have_written() -> None:
    store = await opened()
    kept, deleted, lost, synced = make_blocks(4, 1000)
    await store.put([kept, deleted])
    await store.save_state({b"a": b"1", b"b": b"1"})
    store.faults.sync_is_a_lie = True
    await store.put([synced])
    store.sync()
    await store.delete([deleted.key])
    await store.put([lost])
    await store.save_state({b"a": b"2", b"b": None, b"c": b"3"})
    store.crash()
    with pytest.raises(StorageError):
        await store.put([lost])
    await store.open([].extend)
    assert await store.held(keys_of([kept, deleted, lost, synced])) == [Held.OWNED, Held.OWNED, Held.NO, Held.OWNED]
    assert await store.load_state(b"") == {b"a": b"1", b"b": b"1"}
    assert store.usage().used_bytes == 3000


async def test_a_read_only_store_serves_and_refuses_writes_until_opened_again() -> None:
    store = await opened()
    block = make_block(1, 1000)
    await store.put([block])
    store.faults.read_only_reason = "fsync failed"
    assert store.usage().read_only_reason == "fsync failed"
    with pytest.raises(StorageError, match="fsync failed"):
        await store.put(make_blocks(2, 1000))
    with pytest.raises(StorageError, match="fsync failed"):
        await store.save_state({b"a": b"1"})
    assert await store.get(block.key) == block.data
    await store.close()
    await store.open([].extend)
    assert await store.delete([block.key]) == 1


async def test_a_disk_filled_by_others_is_full() -> None:
    store = await opened()
    store.faults.disk_free_bytes = 1500
    await store.put([make_block(1, 1000)])
    store.faults.disk_free_bytes = 500
    with pytest.raises(StorageFullError, match="500 B above the disk floor"):
        await store.put([make_block(2, 1000)])


class ImaginedFiles:
    """One file that can rot."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def stamp(self, path: Path) -> Stamp | None:
        return len(self.content), 0, 0

    def read(self, path: Path, offset: int, length: int) -> bytes:
        return self.content[offset : offset + length]


async def test_linked_files_may_be_imagined() -> None:
    one, two = make_blocks(2, 1000)
    files = ImaginedFiles(one.data + two.data)
    store = MemoryStorage(0, files=files)
    lost: list[BlockKey] = []
    await store.open(lost.extend)
    await store.link(Path("/no/such/file"), [FileSlice(one.key, 0, 1000), FileSlice(two.key, 1000, 1000)])
    files.content = one.data + bytes(1000)
    assert await store.get_many([one.key, two.key]) == [one.data, None]
    assert lost == [two.key]


def test_no_method_suspends_so_that_a_simulator_needs_no_event_loop() -> None:
    def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
        with pytest.raises(StopIteration) as stopped:
            coroutine.send(None)
        return stopped.value.value

    store = MemoryStorage(1 << 20)
    block = make_block(1, 1000)
    run(store.open([].extend))
    run(store.put([block], run(store.reserve(1000))))
    assert run(store.get(block.key)) == block.data
    assert run(store.delete([block.key])) == 1
    run(store.close())
