"""What was hashed a short while ago is not hashed again; the scrub, users' files and a read after that while are."""

from __future__ import annotations

import asyncio
import os
import random
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from ralnode.api import Block
from ralnode.testing.store_under_test import keys_of, make_block, make_blocks, write_file
from ralnode_storage_sqlite.disk import Disk
from ralnode_storage_sqlite.index import Place
from ralnode_storage_sqlite.verified import Verified

Open = Callable[..., Awaitable[Any]]
PLACE = Place(1, 59, 100)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def spoil(folder: Path, block: Block) -> None:
    """One byte on the disk, behind the store's back."""
    (path,) = (folder / "segments").glob("*.car")
    at = path.read_bytes().index(block.data)
    with path.open("r+b") as file:
        file.seek(at)
        file.write(bytes([block.data[0] ^ 1]))


@pytest.mark.parametrize("begins_after", [0.0, 1.0, 299.0, 301.0, 550.0, 5000.0])
def test_it_remembers_for_half_of_its_time_at_least_and_for_all_of_it_at_most(begins_after: float) -> None:
    clock = Clock()
    verified = Verified(600, clock)
    clock.now += begins_after
    verified.add([PLACE], verified.epoch)
    started = clock.now
    for seconds in (0.0, 150.0, 299.0):
        clock.now = started + seconds
        assert verified.has(PLACE)
    clock.now = started + 601
    assert not verified.has(PLACE)


def test_another_place_is_not_known() -> None:
    verified = Verified(600, Clock())
    verified.add([PLACE], verified.epoch)
    assert not verified.has(PLACE._replace(offset=60))
    assert not verified.has(PLACE._replace(file=2))


def test_it_stays_small_and_forgets_the_oldest_first() -> None:
    verified, places = Verified(600, Clock()), [Place(1, number, 1) for number in range(100_000)]
    verified.add(places, verified.epoch)
    known = [verified.has(place) for place in places]
    assert 16_384 <= sum(known) <= 2 * 16_384
    assert known == sorted(known), "the newest are those that it knows"


def test_no_time_at_all_remembers_nothing() -> None:
    verified = Verified(0, Clock())
    verified.add([PLACE], verified.epoch)
    assert not verified.has(PLACE)


def test_what_is_given_up_is_forgotten_and_not_learnt_from_a_read_that_began_before() -> None:
    verified = Verified(600, Clock())
    before = verified.epoch
    verified.add([PLACE], before)
    verified.forget([PLACE])
    assert not verified.has(PLACE)
    verified.add([PLACE], before)
    assert not verified.has(PLACE)


async def test_a_block_deleted_between_its_look_up_and_its_reading_is_never_read_as_zeros(open_store: Open) -> None:
    """Without asking for the memory after the reading, or without telling it of holes, this serves zeros."""
    disk = SlowToOpen()
    store = await open_store(disk=disk)
    blocks = make_blocks(4, 100_000)
    await store.put(blocks)
    await store.get_many(keys_of(blocks))
    for block in blocks[:3]:
        disk.hold()
        reading = asyncio.create_task(store.get(block.key))
        await asyncio.to_thread(disk.reached.wait)
        await store.delete([block.key])
        disk.let_go()
        assert await reading is None


class SlowToOpen(Disk):
    """Reads stop before they open a file, once told so."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._go_on = threading.Event()
        self._go_on.set()

    def hold(self) -> None:
        self.reached.clear()
        self._go_on.clear()

    def let_go(self) -> None:
        self._go_on.set()

    def open_to_read(self, path: Path | bytes) -> int:
        self.reached.set()
        assert self._go_on.wait(10)
        return super().open_to_read(path)


async def test_a_block_that_was_just_stored_is_served_without_hashing(open_store: Open, tmp_path: Path) -> None:
    store = await open_store()
    block = make_block(1, 5000)
    await store.put([block])
    spoil(tmp_path / "store", block)
    assert await store.get(block.key) is not None, "or it was hashed again, and this has no purpose"
    await store.close()
    store = await open_store()
    assert await store.get(block.key) is None


async def test_a_block_that_was_just_read_is_served_without_hashing_and_the_scrub_hashes_it_all_the_same(
    open_store: Open, tmp_path: Path
) -> None:
    lost: list[bytes] = []
    store = await open_store(lost=lost)
    read, unread = make_blocks(2, 5000)
    await store.put([read, unread])
    await store.close()
    store = await open_store(lost=lost)
    assert await store.get(read.key) == read.data
    for block in (read, unread):
        spoil(tmp_path / "store", block)
    assert await store.get(unread.key) is None
    assert await store.get(read.key) is not None, "or it was hashed again, and this file has no purpose"
    reports = [report async for report in store.verify()]
    assert [key for report in reports for key in report.bad] == [read.key]
    assert await store.get(read.key) is None
    assert sorted(lost) == sorted(keys_of([read, unread]))
    await store.put([read])
    assert await store.get(read.key) == read.data


async def test_with_no_time_set_every_read_hashes(open_store: Open, tmp_path: Path) -> None:
    store = await open_store(verified_seconds=0)
    block = make_block(1, 5000)
    await store.put([block])
    assert await store.get(block.key) == block.data
    spoil(tmp_path / "store", block)
    assert await store.get(block.key) is None


async def test_a_block_cut_off_after_it_was_read_is_noticed(open_store: Open, tmp_path: Path) -> None:
    lost: list[bytes] = []
    store = await open_store(lost=lost)
    block = make_block(1, 5000)
    await store.put([block])
    assert await store.get(block.key) == block.data
    (path,) = (tmp_path / "store" / "segments").glob("*.car")
    os.truncate(path, path.stat().st_size - 100)
    assert await store.get(block.key) is None
    assert lost == [block.key]


async def test_a_users_file_is_hashed_at_every_read(open_store: Open, tmp_path: Path) -> None:
    store = await open_store()
    (block,), path = make_blocks(1, 5000), tmp_path / "file"
    await store.link(path, write_file(path, [block]))
    assert await store.get(block.key) == block.data
    stamp = path.stat().st_mtime_ns
    path.write_bytes(random.Random(1).randbytes(5000))
    os.utime(path, ns=(stamp, stamp))
    assert await store.get(block.key) is None
