"""A disk that fails: an fsync error is never retried, the store goes on serving, nothing half done is ever acknowledged."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from ralnode.api import Held, StorageError, StorageFullError
from ralnode.testing.store_under_test import keys_of, make_block, make_blocks, write_file

Open = Callable[..., Awaitable[Any]]
Faulty = Any


@pytest.mark.parametrize(
    ("call", "code"),
    [("sync", errno.EIO), ("sync", errno.ENOSPC), ("sync_folder", errno.EIO), ("write", errno.EIO)],
)
async def test_a_failed_write_or_sync_makes_the_store_read_only_until_the_next_start(
    open_store: Open, faulty_disk: Faulty, call: str, code: int
) -> None:
    store = await open_store(disk=faulty_disk, segment_bytes=100_000)
    kept, never = make_block(1, 60_000), make_block(2, 60_000)
    await store.put([kept])
    faulty_disk.fail(call, code)
    with pytest.raises(StorageError, match=r"read-only.*restart the node") as caught:
        await store.put([never])
    assert not isinstance(caught.value, StorageFullError)
    assert store.usage().read_only_reason

    syncs = faulty_disk.calls.count("sync")
    for attempt in (store.put([never]), store.delete([kept.key]), store.save_state({b"a": b"b"}), store.reserve(1)):
        with pytest.raises(StorageError, match="read-only"):
            await attempt
    assert faulty_disk.calls.count("sync") == syncs, "a failed sync must not be retried"
    assert await store.get_many([kept.key, never.key]) == [kept.data, None]
    assert await store.held([kept.key, never.key]) == [Held.OWNED, Held.NO]

    await store.close()
    again = await open_store(disk=faulty_disk, segment_bytes=100_000)
    assert again.usage().read_only_reason == ""
    assert await again.get_many([kept.key, never.key]) == [kept.data, None]
    await again.put([never])
    assert await again.get(never.key) == never.data


async def test_a_failed_sync_fails_every_put_of_its_group_and_those_that_wait(
    open_store: Open, faulty_disk: Faulty
) -> None:
    store = await open_store(disk=faulty_disk, group_bytes=50_000)
    blocks = make_blocks(12, 20_000)
    faulty_disk.fail("sync", errno.EIO, after=1)
    results = await asyncio.gather(*(store.put([block]) for block in blocks), return_exceptions=True)
    stored = [result is None for result in results]
    assert stored == [True] * 2 + [False] * 10
    held = await store.held(keys_of(blocks))
    assert held == [Held.OWNED] * 2 + [Held.NO] * 10


async def test_a_full_disk_refuses_and_recovers(open_store: Open, faulty_disk: Faulty) -> None:
    store = await open_store(disk=faulty_disk, segment_bytes=100_000)
    blocks = make_blocks(6, 30_000)
    await store.put(blocks[:2])
    before = store.usage()
    faulty_disk.fail("write", errno.ENOSPC)
    with pytest.raises(StorageFullError, match="Nothing was stored"):
        await store.put(blocks[2:])
    assert store.usage() == before
    assert await store.held(keys_of(blocks)) == [Held.OWNED] * 2 + [Held.NO] * 4
    await store.put(blocks)
    assert await store.get_many(keys_of(blocks)) == [block.data for block in blocks]


async def test_what_was_cut_off_on_a_full_disk_leaves_no_trace(
    open_store: Open, faulty_disk: Faulty, tmp_path: Path
) -> None:
    store = await open_store(disk=faulty_disk, segment_bytes=100_000)
    await store.put(make_blocks(2, 30_000))
    sizes = {path.name: path.stat().st_size for path in (tmp_path / "store/segments").iterdir()}
    faulty_disk.fail("write", errno.ENOSPC, after=2)  # in the middle of the second new segment
    with pytest.raises(StorageFullError):
        await store.put(make_blocks(8, 60_000, first_seed=50))
    assert {path.name: path.stat().st_size for path in (tmp_path / "store/segments").iterdir()} == sizes


async def test_a_put_that_relied_on_another_of_its_group_fails_with_it(open_store: Open, faulty_disk: Faulty) -> None:
    store = await open_store(disk=faulty_disk)
    block = make_block(1, 30_000)
    faulty_disk.fail("write", errno.ENOSPC)
    results = await asyncio.gather(store.put([block]), store.put([block]), return_exceptions=True)
    assert [type(result) for result in results] == [StorageFullError] * 2
    assert await store.held([block.key]) == [Held.NO]


async def test_a_put_takes_over_what_a_refused_one_of_its_group_would_have_stored(open_store: Open) -> None:
    store = await open_store(capacity_bytes=8 << 20)
    shared = make_block(1, 1 << 20)
    too_much = [shared, *make_blocks(8, 1 << 20, first_seed=10)]
    results = await asyncio.gather(store.put(too_much), store.put([shared]), return_exceptions=True)
    assert [type(result) for result in results] == [StorageFullError, type(None)]
    assert await store.get(shared.key) == shared.data


async def test_a_failed_put_gives_its_reservation_back(open_store: Open, faulty_disk: Faulty) -> None:
    store = await open_store(disk=faulty_disk)
    reservation = await store.reserve(100_000)
    reserved = store.usage().reserved_bytes
    faulty_disk.fail("write", errno.ENOSPC)
    with pytest.raises(StorageFullError):
        await store.put(make_blocks(2, 30_000), reservation)
    assert (reservation.remaining_bytes, store.usage().reserved_bytes) == (100_000, reserved)
    await reservation.release()
    assert store.usage().reserved_bytes == 0


async def test_a_failed_sync_while_giving_space_back_makes_the_store_read_only(
    open_store: Open, faulty_disk: Faulty
) -> None:
    store = await open_store(disk=faulty_disk)
    blocks = make_blocks(3, 60_000)
    await store.put(blocks)
    faulty_disk.fail("sync", errno.EIO)
    with pytest.raises(StorageError, match="read-only"):
        await store.delete([blocks[0].key])
    assert store.usage().read_only_reason
    assert await store.get(blocks[1].key) == blocks[1].data


async def test_an_unreadable_block_is_lost_and_its_neighbours_are_not(open_store: Open, faulty_disk: Faulty) -> None:
    lost: list[bytes] = []
    store = await open_store(disk=faulty_disk, lost=lost)
    blocks = make_blocks(3, 200_000)
    await store.put(blocks)
    faulty_disk.fail("read", errno.EIO)  # the three together
    assert await store.get_many(keys_of(blocks)) == [block.data for block in blocks]
    faulty_disk.fail("read", errno.EIO)
    assert await store.get(blocks[1].key) is None
    assert lost == [blocks[1].key]
    assert await store.held(keys_of(blocks)) == [Held.OWNED, Held.NO, Held.OWNED]


async def test_a_read_only_store_never_serves_what_it_found_bad(
    open_store: Open, faulty_disk: Faulty, tmp_path: Path
) -> None:
    lost: list[bytes] = []
    store = await open_store(disk=faulty_disk, lost=lost, verified_seconds=0)
    good, bad, linked = make_blocks(3, 20_000)
    await store.put([good, bad])
    path = tmp_path / "file"
    await store.link(path, write_file(path, [linked]))
    faulty_disk.fail("sync", errno.EIO)
    with pytest.raises(StorageError):
        await store.put([make_block(9)])
    segment = next((tmp_path / "store/segments").glob("*.car"))
    content = bytearray(segment.read_bytes())
    content[content.find(bad.data) + 5] ^= 1
    segment.write_bytes(content)
    path.write_bytes(b"")
    for _ in range(2):
        assert await store.get_many(keys_of([good, bad, linked])) == [good.data, None, None]
        assert await store.held(keys_of([good, bad, linked])) == [Held.OWNED, Held.NO, Held.NO]
    assert sorted(lost) == sorted([bad.key, linked.key])


async def test_a_cancelled_put_is_stored_whole_or_not_at_all_and_the_store_goes_on(open_store: Open) -> None:
    store = await open_store()
    blocks = make_blocks(4, 50_000)
    waiting = asyncio.create_task(store.put(blocks))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await store.put([make_block(99)])
    assert len(set(await store.held(keys_of(blocks)))) == 1
    assert store.usage().reserved_bytes == 0


async def test_a_disk_too_full_to_punch_holes_deletes_all_the_same(
    open_store: Open, faulty_disk: Faulty, disk_usage_bytes: Callable[[Path], int], tmp_path: Path
) -> None:
    store = await open_store(disk=faulty_disk)
    blocks = make_blocks(4, 200_000)
    await store.put(blocks)
    before = disk_usage_bytes(tmp_path / "store")
    faulty_disk.fail("punch", errno.ENOSPC)
    assert await store.delete([blocks[0].key]) == 1
    assert store.usage().read_only_reason == ""
    assert disk_usage_bytes(tmp_path / "store") == before
    assert await store.delete([blocks[1].key]) == 1
    assert before - disk_usage_bytes(tmp_path / "store") > 2 * 190_000


async def test_a_rebuild_that_fails_leaves_an_open_store_open(open_store: Open, faulty_disk: Faulty) -> None:
    store = await open_store(disk=faulty_disk)
    blocks = make_blocks(4, 20_000)
    await store.put(blocks)
    faulty_disk.fail("sync", errno.EIO)
    with pytest.raises(StorageError, match="The old index is as it was"):
        await store.rebuild_index(lambda done, total: None)
    assert await store.get_many(keys_of(blocks)) == [block.data for block in blocks]
    await store.put(make_blocks(2, 20_000, first_seed=50))
    assert store.usage().block_count == 6


async def test_room_taken_by_a_put_is_settled_before_it_is_answered(open_store: Open) -> None:
    """Or a full store would look fuller than its capacity for a moment."""
    store = await open_store(capacity_bytes=16 << 20)
    for seed in range(100):
        try:
            await store.put([make_block(seed, 150_000)])
        except StorageFullError:
            break
        assert store.usage().reserved_bytes == 0
    else:
        raise AssertionError("the store never got full")
