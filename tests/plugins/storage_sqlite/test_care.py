"""Scrubbing, rebuilding the index, and links: what is found bad is all found, and nothing good is lost with it."""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from ralnode.api import Block, FileSlice, Held, StorageError
from ralnode.dag import cid
from ralnode.dag.car import CarReader
from ralnode.testing.store_under_test import keys_of, make_block, make_blocks, write_file

Open = Callable[..., Awaitable[Any]]


def segments_of(folder: Path) -> list[Path]:
    return sorted((folder / "segments").glob("*.car"))


def flip_bits(folder: Path, blocks: list[Block], dice: random.Random) -> None:
    """One random bit in each of the blocks."""
    for path in segments_of(folder):
        content = bytearray(path.read_bytes())
        for block in blocks:
            if (at := content.find(block.data)) >= 0:
                content[at + dice.randrange(len(block.data))] ^= 1 << dice.randrange(8)
        path.write_bytes(content)


# --- scrub


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_one_bit_flipped_in_one_percent_of_blocks_is_all_found_by_one_scrub(
    open_store: Open, tmp_path: Path, seed: int
) -> None:
    dice, lost = random.Random(seed), []
    store = await open_store(lost=lost, segment_bytes=1 << 20)
    blocks = [make_block(number, dice.choice((100, 3000, 20_000))) for number in range(1000)]
    await store.put(blocks)
    bad = dice.sample(blocks, 10)
    flip_bits(tmp_path / "store", bad, dice)
    reports = [report async for report in store.verify()]
    found = [key for report in reports for key in report.bad]
    assert sorted(found) == sorted(lost) == sorted(keys_of(bad))
    assert reports[-1].checked_count == 1000
    good = [block for block in blocks if block not in bad]
    assert await store.get_many(keys_of(good)) == [block.data for block in good]
    assert await store.get_many(keys_of(bad)) == [None] * 10
    assert not [key async for report in store.verify() for key in report.bad]
    await store.put(bad)
    assert await store.get_many(keys_of(bad)) == [block.data for block in bad]


async def test_no_wrong_byte_is_ever_served_before_a_scrub(open_store: Open, tmp_path: Path) -> None:
    dice, lost = random.Random(4), []
    store = await open_store(lost=lost, verified_seconds=0)
    blocks = make_blocks(300, 5000)
    await store.put(blocks)
    bad = dice.sample(blocks, 30)
    flip_bits(tmp_path / "store", bad, dice)
    answers = await asyncio.gather(*(store.get(block.key) for block in blocks), store.get_many(keys_of(blocks)))
    for block, data in zip([*blocks, *blocks], [*answers[:-1], *answers[-1]], strict=True):
        assert data == (None if block in bad else block.data)
    assert sorted(lost) == sorted(keys_of(bad)), "each is reported once"


async def test_what_was_found_bad_is_written_down(open_store: Open, tmp_path: Path) -> None:
    store = await open_store(verified_seconds=0)
    blocks = make_blocks(3, 20_000)
    await store.put(blocks)
    flip_bits(tmp_path / "store", blocks[1:2], random.Random(1))
    await store.get(blocks[1].key)
    await store.close()
    with sqlite3.connect(tmp_path / "store/index.db") as index:
        rows = index.execute("SELECT key, file, length, reason FROM quarantine").fetchall()
    index.close()
    assert rows == [(blocks[1].key, 1, 20_000, "does not match its CID")]


async def test_a_scrub_keeps_to_its_pace(open_store: Open) -> None:
    store = await open_store()
    await store.put(make_blocks(40, 500_000))
    start = time.monotonic()
    reports = [report async for report in store.verify(bytes_per_second=50_000_000)]
    assert reports[-1].checked_bytes == 20_000_000
    assert time.monotonic() - start > 0.35


async def test_a_scrub_lives_with_puts_and_deletes(open_store: Open) -> None:
    lost: list[bytes] = []
    store = await open_store(lost=lost, segment_bytes=500_000)
    blocks = make_blocks(600, 5000)
    await store.put(blocks[:400])
    async for _ in store.verify():
        await store.delete(keys_of(blocks[:200]))
        await store.put(blocks[400:])
    assert not lost
    assert store.usage().block_count == 400


# --- rebuild


async def rebuild(make_store: Any, folder: Path) -> tuple[int, list[tuple[int, int]]]:
    steps: list[tuple[int, int]] = []
    count = await make_store(folder).rebuild_index(lambda done, total: steps.append((done, total)))
    return count, steps


async def test_a_deleted_index_is_rebuilt_from_the_segments(open_store: Open, make_store: Any, tmp_path: Path) -> None:
    folder = tmp_path / "store"
    store = await open_store(segment_bytes=300_000)
    blocks = make_blocks(60, 20_000)
    await store.put(blocks)
    await store.delete(keys_of(blocks[::3]))
    used = store.usage().used_bytes
    await store.close()
    for path in folder.glob("index.db*"):
        path.unlink()
    count, steps = await rebuild(make_store, folder)
    kept = [block for index, block in enumerate(blocks) if index % 3]
    assert count in (len(kept), len(kept) + 1), "the pads of deleted blocks are all one block of zeros"
    assert steps[-1][0] == steps[-1][1] > 0
    again = await open_store(segment_bytes=300_000)
    assert await again.get_many(keys_of(kept)) == [block.data for block in kept]
    assert abs(again.usage().used_bytes - used) < 200_000
    assert [report async for report in again.verify()][-1].checked_count == count
    await again.put(blocks)
    assert await again.get_many(keys_of(blocks)) == [block.data for block in blocks]


async def test_a_rebuild_skips_damage_says_so_and_cuts_a_torn_tail(
    open_store: Open, make_store: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "store"
    store = await open_store()
    blocks = make_blocks(10, 20_000)
    await store.put(blocks)
    await store.close()
    (folder / "index.db").unlink()
    (path,) = segments_of(folder)
    content = bytearray(path.read_bytes())
    content[content.find(blocks[4].key)] ^= 1
    content[content.find(blocks[7].data) + 9] ^= 1
    path.write_bytes(content[:-50])
    count, _ = await rebuild(make_store, folder)
    left = [block for index, block in enumerate(blocks) if index not in (4, 7, 9)]
    assert count == len(left)
    assert caplog.text.count("left out") == 3
    again = await open_store()
    assert await again.get_many(keys_of(left)) == [block.data for block in left]
    await again.put(blocks)
    await again.close()
    (folder / "index.db").unlink()
    assert (await rebuild(make_store, folder))[0] == len(blocks)


async def test_a_rebuild_keeps_links_state_and_quarantine_of_the_old_index(
    open_store: Open, make_store: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "store"
    store = await open_store(verified_seconds=0)
    owned, kept, changed = make_blocks(3, 9000), make_blocks(3, 9000, 50), make_blocks(3, 9000, 90)
    await store.put(owned)
    for name, blocks in (("kept", kept), ("changed", changed)):
        await store.link(tmp_path / name, write_file(tmp_path / name, blocks))
    await store.save_state({b"catalogue/1": b"one"})
    flip_bits(folder, owned[:1], random.Random(1))
    assert await store.get(owned[0].key) is None
    await store.close()
    (tmp_path / "changed").write_bytes(b"changed")
    assert (await rebuild(make_store, folder))[0] == 5
    again = await open_store()
    assert await again.held(keys_of(owned + kept + changed)) == [
        Held.NO, Held.OWNED, Held.OWNED, *[Held.LINKED] * 3, *[Held.NO] * 3
    ]  # fmt: skip
    assert await again.load_state(b"") == {b"catalogue/1": b"one"}
    assert (again.usage().linked_bytes, again.usage().block_count) == (27_000, 5)
    await again.close()
    with sqlite3.connect(folder / "index.db") as index:
        assert index.execute("SELECT count(*) FROM quarantine").fetchone() == (1,)
    index.close()
    assert sorted(path.name for path in folder.glob("index*")) == ["index.db"]


async def test_a_rebuild_cut_short_leaves_the_old_index(
    open_store: Open, make_store: Any, faulty_disk: Any, tmp_path: Path
) -> None:
    store = await open_store()
    await store.put(make_blocks(5, 20_000))
    await store.close()
    faulty_disk.fail("sync", 5)
    with pytest.raises(StorageError, match="The old index is as it was"):
        await make_store(tmp_path / "store", disk=faulty_disk).rebuild_index(lambda done, total: None)
    assert (await open_store()).usage().block_count == 5


# --- links


async def test_links_of_files_changed_while_the_node_was_down_are_dropped_at_the_start(
    open_store: Open, tmp_path: Path
) -> None:
    store, lost = await open_store(), []
    files = [make_blocks(3, 1000, first_seed=seed) for seed in (0, 100, 200)]
    for index, blocks in enumerate(files):
        await store.link(tmp_path / str(index), write_file(tmp_path / str(index), blocks))
    await store.close()
    (tmp_path / "0").unlink()
    os.utime(tmp_path / "1", ns=(1, 1))
    again = await open_store(lost=lost)
    for _ in range(400):
        if len(lost) == 6:
            break
        await asyncio.sleep(0.005)
    assert sorted(lost) == sorted(keys_of(files[0] + files[1]))
    assert await again.held(keys_of(files[2])) == [Held.LINKED] * 3


async def test_a_large_linked_file_that_changed_is_forgotten_in_pieces(open_store: Open, tmp_path: Path) -> None:
    lost: list[bytes] = []
    store = await open_store(lost=lost)
    blocks = make_blocks(1500, 50)
    await store.link(tmp_path / "file", write_file(tmp_path / "file", blocks))
    assert store.usage().block_count == 1500
    (tmp_path / "file").write_bytes(b"")
    assert await store.get(blocks[700].key) is None
    assert sorted(lost) == sorted(keys_of(blocks))
    assert store.usage().block_count == 0


async def test_a_linked_file_edited_in_place_under_the_same_stamp_loses_only_the_wrong_block(
    open_store: Open, tmp_path: Path
) -> None:
    lost: list[bytes] = []
    store = await open_store(lost=lost)
    blocks, path = make_blocks(3, 5000), tmp_path / "file"
    await store.link(path, write_file(path, blocks))
    stamp = path.stat().st_mtime_ns
    with path.open("r+b") as file:
        file.seek(7000)
        file.write(b"edited")
    os.utime(path, ns=(stamp, stamp))
    assert await store.get_many(keys_of(blocks)) == [blocks[0].data, None, blocks[2].data]
    assert lost == [blocks[1].key]


async def test_a_block_is_linked_anew_when_the_file_that_held_it_is_gone(open_store: Open, tmp_path: Path) -> None:
    lost: list[bytes] = []
    store = await open_store(lost=lost)
    blocks = make_blocks(4, 1000)
    await store.link(tmp_path / "old", write_file(tmp_path / "old", blocks))
    (tmp_path / "old").unlink()
    await store.link(tmp_path / "new", write_file(tmp_path / "new", blocks[1:]))
    assert await store.get_many(keys_of(blocks)) == [None, *(block.data for block in blocks[1:])]
    assert lost == [blocks[0].key]


async def test_a_pipe_under_the_name_of_a_linked_file_blocks_nobody(open_store: Open, tmp_path: Path) -> None:
    store = await open_store()
    blocks, path = make_blocks(2, 1000), tmp_path / "file"
    await store.link(path, write_file(path, blocks))
    path.unlink()
    os.mkfifo(path)
    assert await store.get_many(keys_of(blocks)) == [None, None]


async def test_overlapping_and_repeated_slices_are_held_once(open_store: Open, tmp_path: Path) -> None:
    store = await open_store()
    block, path = make_block(1, 1000), tmp_path / "file"
    path.write_bytes(block.data * 3)
    await store.link(path, [FileSlice(block.key, offset, 1000) for offset in (0, 1000, 2000)])
    assert (store.usage().block_count, store.usage().linked_bytes) == (1, 1000)
    assert await store.get(block.key) == block.data


# --- other tools


async def test_every_segment_is_a_car_file_after_a_life_of_puts_and_deletes(open_store: Open, tmp_path: Path) -> None:
    store, dice = await open_store(segment_bytes=200_000), random.Random(3)
    blocks = [make_block(number, dice.randrange(60_000)) for number in range(150)]
    for turn in range(6):
        await store.put(dice.sample(blocks, 60))
        await store.delete(keys_of(dice.sample(blocks, 50)))
        if turn == 3:
            await store.close()
            store = await open_store(segment_bytes=200_000)
    await store.close()
    for path in segments_of(tmp_path / "store"):
        reader = CarReader()
        for _ in reader.feed(path.read_bytes()):
            pass
        reader.finish()
        assert reader.roots == (cid.parse("bafkqaaa"),)
