"""Room: the quota holds against what the disk itself says, space comes back, full is a state."""

from __future__ import annotations

import asyncio
import hashlib
import random
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ralnode.api import Block, Held, StorageFullError
from ralnode.testing.store_under_test import keys_of, make_block, make_blocks, write_file
from ralnode_storage_sqlite import carfile
from ralnode_storage_sqlite.carfile import Record
from ralnode_storage_sqlite.disk import Disk

MIB = 1 << 20
Open = Callable[..., Awaitable[Any]]
Measure = Callable[[Path], int]


async def fill(store: Any, sizes: Callable[[int], int], batch: int, first_seed: int = 0) -> list[Block]:
    """Puts batches until one is refused."""
    taken: list[Block] = []
    while True:
        seeds = range(first_seed + len(taken), first_seed + len(taken) + batch)
        blocks = [make_block(seed, sizes(seed)) for seed in seeds]
        try:
            await store.put(blocks)
        except StorageFullError:
            return taken
        taken += blocks


@pytest.mark.parametrize(
    ("capacity_mib", "size_bytes", "batch", "share"),
    [(64, MIB, 4, 0.85), (32, 100_000, 10, 0.8), (12, 900, 500, 0.4), (8, 40, 1000, 0.03)],
)
async def test_the_quota_is_never_exceeded_as_du_counts(
    open_store: Open,
    disk_usage_bytes: Measure,
    tmp_path: Path,
    capacity_mib: int,
    size_bytes: int,
    batch: int,
    share: float,
) -> None:
    """Filling, overfilling, deleting at random, filling again, saving state all along."""
    store, dice = await open_store(capacity_bytes=capacity_mib * MIB), random.Random(1)
    held: list[Block] = []
    for turn in range(3):
        held += await fill(store, lambda seed: size_bytes + seed % 7, batch, first_seed=turn * 1_000_000)
        data_bytes = sum(len(block.data) for block in held)
        assert data_bytes > share * capacity_mib * MIB, "a store must not be full of nothing"
        check_quota(store, disk_usage_bytes(tmp_path / "store"), capacity_mib * MIB)
        await store.save_state({b"state/%d" % turn: bytes(50_000)})
        dice.shuffle(held)
        doomed, held = held[len(held) // 3 :], held[: len(held) // 3]
        assert await store.delete(keys_of(doomed)) == len(doomed)
        check_quota(store, disk_usage_bytes(tmp_path / "store"), capacity_mib * MIB)
        await settled(store)
        check_quota(store, disk_usage_bytes(tmp_path / "store"), capacity_mib * MIB)
    assert await store.get_many(keys_of(held)) == [block.data for block in held]


def check_quota(store: Any, on_disk_bytes: int, capacity_bytes: int) -> None:
    """What is being written counts as reserved until it is committed."""
    usage = store.usage()
    assert on_disk_bytes <= usage.used_bytes + usage.reserved_bytes <= capacity_bytes


async def settled(store: Any) -> None:
    """Until no segment is worth rewriting."""
    reclaimer = store._opened.reclaimer
    for _ in range(2000):
        if not any(reclaimer._is_wasteful(row) for row in reclaimer._table.rows):
            return
        await asyncio.sleep(0.005)
    raise AssertionError("space is not given back")


@pytest.mark.parametrize("can_punch", [True, False])
async def test_space_of_small_blocks_comes_back_by_rewriting_segments(
    open_store: Open, faulty_disk: Any, disk_usage_bytes: Measure, tmp_path: Path, can_punch: bool
) -> None:
    faulty_disk.can_punch = can_punch
    lost: list[bytes] = []
    store = await open_store(disk=faulty_disk, lost=lost, segment_bytes=4 * MIB)
    blocks = make_blocks(6000, 3000)
    await store.put(blocks)
    full = disk_usage_bytes(tmp_path / "store")
    kept = blocks[::4]
    reading = asyncio.create_task(read_all_along(store, kept))
    await store.delete(keys_of([block for block in blocks if block not in set(kept)]))
    await settled(store)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert disk_usage_bytes(tmp_path / "store") < 0.5 * full
    assert await store.get_many(keys_of(kept)) == [block.data for block in kept]
    await store.close()
    again = await open_store(lost=lost)
    assert await again.get_many(keys_of(kept)) == [block.data for block in kept]
    assert not lost


async def read_all_along(store: Any, blocks: list[Block]) -> None:
    """No read may ever come back empty while segments are rewritten underneath it."""
    dice = random.Random(2)
    while True:
        some = dice.sample(blocks, 50)
        assert await store.get_many(keys_of(some)) == [block.data for block in some]


async def test_deleted_records_become_pads_and_the_segment_stays_a_car_file(
    open_store: Open, tmp_path: Path, disk_usage_bytes: Measure
) -> None:
    store = await open_store()
    blocks = make_blocks(12, 200_000)
    await store.put(blocks)
    before = disk_usage_bytes(tmp_path / "store")
    await store.delete(keys_of(blocks[1::2]))
    assert before - disk_usage_bytes(tmp_path / "store") > 6 * 190_000
    content = (tmp_path / "store/segments/000001.car").read_bytes()
    records = list(carfile.records(lambda at, length: content[at : at + length], len(content)))
    assert all(isinstance(record, Record) for record in records), "every record of it still verifies"
    pad = carfile.pad_key(200_000)
    assert [r.key for r in records if isinstance(r, Record)] == [
        pad if index % 2 else block.key for index, block in enumerate(blocks)
    ]
    assert not any(block.data[1000:2000] in content for block in blocks[1::2])


async def test_blocks_with_long_keys_are_deleted_without_harming_their_neighbours(open_store: Open) -> None:
    """A pad's key would not fit over another hash's: such records wait for the segment to be rewritten."""
    store = await open_store()
    one, two = make_blocks(2, 50_000)
    data = make_block(3, 50_000).data
    odd = Block(b"\x01\x55\x13\x40" + hashlib.sha512(data).digest(), data)
    await store.put([one, odd, two])
    assert await store.get(odd.key) == data
    await store.delete([odd.key])
    assert await store.get_many([one.key, odd.key, two.key]) == [one.data, None, two.data]


async def test_an_emptied_store_has_no_segments_left_but_its_tail(open_store: Open, tmp_path: Path) -> None:
    store = await open_store(segment_bytes=100_000)
    blocks = make_blocks(20, 30_000)
    await store.put(blocks)
    assert len(list((tmp_path / "store/segments").glob("*.car"))) == 7
    await store.delete(keys_of(blocks))
    assert len(list((tmp_path / "store/segments").glob("*.car"))) == 1
    await store.put(blocks)
    await store.close()
    again = await open_store(segment_bytes=100_000)
    assert await again.get_many(keys_of(blocks)) == [block.data for block in blocks]


async def test_dead_bytes_left_by_a_crash_are_given_back_at_the_next_start(
    open_store: Open, faulty_disk: Any, disk_usage_bytes: Measure, tmp_path: Path
) -> None:
    store = await open_store(disk=faulty_disk)
    blocks = make_blocks(10, 300_000)
    await store.put(blocks)
    before = disk_usage_bytes(tmp_path / "store")
    faulty_disk.fail("punch", 5)
    with pytest.raises(Exception, match="read-only"):
        await store.delete(keys_of(blocks[:5]))
    await store.close()
    again = await open_store()
    for _ in range(400):
        if before - disk_usage_bytes(tmp_path / "store") > 5 * 280_000:
            break
        await asyncio.sleep(0.005)
    assert before - disk_usage_bytes(tmp_path / "store") > 5 * 280_000
    assert await again.held(keys_of(blocks)) == [Held.NO] * 5 + [Held.OWNED] * 5


async def test_references_cost_almost_nothing(open_store: Open, disk_usage_bytes: Measure, tmp_path: Path) -> None:
    store = await open_store()
    blocks = make_blocks(64, MIB)
    await store.link(tmp_path / "file", write_file(tmp_path / "file", blocks))
    await store.close()
    assert disk_usage_bytes(tmp_path / "store") < 0.01 * 64 * MIB


async def test_segments_cost_under_one_percent(open_store: Open, disk_usage_bytes: Measure, tmp_path: Path) -> None:
    store = await open_store()
    await store.put(make_blocks(64, MIB))
    await store.close()
    assert disk_usage_bytes(tmp_path / "store") < 1.01 * 64 * MIB


# --- a disk that is really full


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A tmpfs of 24 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"needs root to mount a small disk: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


async def test_a_really_full_disk_is_a_state_and_not_a_crash(open_store: Open, small_disk: Path) -> None:
    store = await open_store(small_disk / "store", capacity_bytes=1 << 30)
    taken = await fill(store, lambda seed: 100_000, 5)
    assert len(taken) > 150
    assert store.usage().read_only_reason == ""
    hog = small_disk / "hog"
    with pytest.raises(OSError, match="No space left"), hog.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    with pytest.raises(StorageFullError):
        await store.put([make_block(-1, 1)])
    assert await store.get_many(keys_of(taken)) == [block.data for block in taken]
    assert await store.delete(keys_of(taken[:60])) == 60
    assert store.usage().read_only_reason == ""
    await store.put(make_blocks(30, 100_000, first_seed=5000))
    await store.close()
    hog.unlink()
    again = await open_store(small_disk / "store", capacity_bytes=1 << 30)
    assert again.usage().block_count == len(taken) - 30
    assert await again.get_many(keys_of(taken[60:])) == [block.data for block in taken[60:]]


class Optimist(Disk):
    """Always sees room."""

    def free_bytes(self, path: Path) -> tuple[int, int]:
        return 1 << 40, 1 << 40


async def test_a_disk_filled_behind_our_back_stores_all_or_nothing(open_store: Open, small_disk: Path) -> None:
    """The check before the write is passed with room that somebody else then takes."""

    store = await open_store(small_disk / "store", capacity_bytes=1 << 30, disk=Optimist())
    taken = await fill(store, lambda seed: 100_000, 20)
    assert store.usage().read_only_reason == ""
    assert store.usage().block_count == len(taken)
    await store.delete(keys_of(taken[:40]))
    await store.put(make_blocks(20, 100_000, first_seed=5000))
    await store.close()
    again = await open_store(small_disk / "store", capacity_bytes=1 << 30)
    assert await again.get_many(keys_of(taken[40:])) == [block.data for block in taken[40:]]
