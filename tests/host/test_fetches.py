"""Fetching and copying blocks into the store: exact reports, exactly one end, whatever happens."""

import asyncio
from pathlib import Path
from typing import Any

from ralnode.api import (
    BadBlockError,
    BlockSet,
    FileSlice,
    Held,
    PeerError,
    Source,
    StorageError,
    StorageFullError,
    UnavailableError,
)
from ralnode.core.events import BlocksStored, CopyLinked, FetchBlocks, FetchEnded, HoldingFound
from ralnode.host.fetches import Fetches
from ralnode.testing.content import content

SIZE_BYTES = 40 * 16 * 1024
ALL = BlockSet.full(40)


async def fetch(bench: Any, source: Source, blocks: BlockSet = ALL, task: int = 7) -> tuple[BlockSet, FetchEnded]:
    Fetches(bench.parts).begin_fetch(FetchBlocks(task, bench.peer, source, blocks))
    return outcome(await bench.until(FetchEnded))


def outcome(events: list[Any]) -> tuple[BlockSet, FetchEnded]:
    (ended,) = [event for event in events if isinstance(event, FetchEnded)]
    stored = [event for event in events if isinstance(event, BlocksStored)]
    assert all(event.task == ended.task for event in stored)
    assert events[-1] is ended
    return BlockSet.of(index for event in stored for index in event.blocks), ended


async def held(bench: Any, source: Source) -> BlockSet:
    return (await bench.dag.locate(source)).owned


async def test_what_is_reported_stored_is_exactly_what_is_held(bench: Any) -> None:
    source = await bench.source(content("a", SIZE_BYTES))
    wanted = BlockSet.from_ranges([(0, 3), (11, 30)])
    stored, ended = await fetch(bench, source, wanted)
    assert (stored, ended) == (wanted, FetchEnded(7))
    assert await held(bench, source) == wanted
    assert bench.stored_count > 0
    assert bench.storage.usage().reserved_bytes == 0


async def test_a_block_that_stands_at_several_places_is_fetched_once(bench: Any) -> None:
    source = await bench.source(content("a", 16 * 1024) * 40)
    stored, ended = await fetch(bench, source)
    assert (stored, ended.reason) == (ALL, "")
    assert bench.transport.asked == [(source.root, [0])]


async def test_blocks_that_another_source_brought_are_not_fetched_again(bench: Any) -> None:
    source = await bench.source(content("a", SIZE_BYTES))
    await fetch(bench, source, BlockSet.full(10))
    stored, _ended = await fetch(bench, source, BlockSet.full(20), task=8)
    assert stored == BlockSet.full(20)
    assert bench.transport.asked[-1][1] == list(range(10, 20))
    stored, ended = await fetch(bench, source, BlockSet.full(20), task=9)
    assert (stored, ended, len(bench.transport.asked)) == (BlockSet.full(20), FetchEnded(9), 2)


async def test_blocks_the_holder_does_not_have_are_left_out_without_an_error(bench: Any) -> None:
    source = await bench.source(content("a", SIZE_BYTES))
    keys = await bench.dag.leaf_keys(source)
    await bench.holder.storage.delete([keys[5], keys[6]])
    stored, ended = await fetch(bench, source)
    assert (stored, ended.reason) == (ALL - BlockSet.of([5, 6]), "")


async def failing_after(bench: Any, count: int, error: Exception) -> None:
    async def before_batch() -> None:
        nonlocal count
        count -= 1
        if count < 0:
            raise error

    bench.transport.before_batch = before_batch


async def test_what_came_before_the_holder_failed_is_kept(bench: Any) -> None:
    source = await bench.source(content("a", SIZE_BYTES))
    await failing_after(bench, 3, UnavailableError("it went away"))
    stored, ended = await fetch(bench, source)
    assert stored == BlockSet.full(12) == await held(bench, source)
    assert ended == FetchEnded(7, "it went away")


async def test_wrong_bytes_are_the_peers_fault_and_a_broken_connection_is_not(bench: Any) -> None:
    source = await bench.source(content("a", SIZE_BYTES))
    await failing_after(bench, 0, BadBlockError("does not hash"))
    _stored, ended = await fetch(bench, source)
    assert ended == FetchEnded(7, "does not hash", peer_fault=True)
    await failing_after(bench, 0, PeerError("cut off"))
    assert (await fetch(bench, source))[1].peer_fault is False
    await failing_after(bench, 0, ConnectionResetError("reset"))
    assert (await fetch(bench, source))[1] == FetchEnded(7, "reset")


async def test_an_unreachable_holder_ends_the_task_with_a_reason(bench: Any) -> None:
    source = await bench.source(content("a", SIZE_BYTES))
    bench.transport.services.clear()
    stored, ended = await fetch(bench, source)
    assert (len(stored), ended.reason, ended.full) == (0, "cannot reach the peer", False)


async def test_a_full_store_is_told_as_full_before_anything_is_fetched(bench: Any) -> None:
    source = await bench.source(content("a", SIZE_BYTES))
    await bench.storage.set_capacity(bench.storage.usage().used_bytes + 16 * 1024)
    _stored, ended = await fetch(bench, source)
    assert ended.full
    assert bench.transport.asked == []


async def test_a_store_that_fills_up_in_the_middle_is_told_as_full(bench: Any) -> None:
    source = await bench.source(content("a", SIZE_BYTES))
    bench.storage.faults.next_put = StorageFullError("no room")
    stored, ended = await fetch(bench, source)
    assert (len(stored), ended) == (0, FetchEnded(7, "no room", full=True))
    assert bench.storage.usage().reserved_bytes == 0


async def test_a_store_that_went_read_only_takes_no_more(bench: Any) -> None:
    source = await bench.source(content("a", SIZE_BYTES))
    bench.storage.faults.read_only_reason = "fsync failed"
    assert (await fetch(bench, source))[1].full


async def test_missing_interior_nodes_end_the_task_with_a_reason(bench: Any) -> None:
    source = await bench.source(content("a", SIZE_BYTES), with_interior=False)
    assert "interior nodes" in (await fetch(bench, source))[1].reason


async def test_a_cancelled_fetch_ends_once_and_leaves_no_stream_open(bench: Any) -> None:
    source = await bench.source(content("a", SIZE_BYTES))
    begun, never = asyncio.Event(), asyncio.Event()

    async def before_batch() -> None:
        begun.set()
        await never.wait()

    bench.transport.before_batch = before_batch
    fetches = Fetches(bench.parts)
    fetches.begin_fetch(FetchBlocks(7, bench.peer, source, ALL))
    await begun.wait()
    fetches.cancel(7)
    fetches.cancel(99)
    await fetches.ended(source.root)
    assert outcome(await bench.until(FetchEnded)) == (BlockSet(), FetchEnded(7, "cancelled"))
    assert bench.transport.open_streams == 0
    assert bench.storage.usage().reserved_bytes == 0


async def test_a_fetch_cancelled_before_it_began_ends_too(bench: Any) -> None:
    source = await bench.source(content("a", SIZE_BYTES))
    fetches = Fetches(bench.parts)
    fetches.begin_fetch(FetchBlocks(7, bench.peer, source, ALL))
    fetches.cancel(7)
    assert outcome(await bench.until(FetchEnded))[1] == FetchEnded(7, "cancelled")


async def test_at_most_four_streams_run_at_once(bench: Any) -> None:
    source = await bench.source(content("a", SIZE_BYTES))
    most, go = 0, asyncio.Event()

    async def before_batch() -> None:
        nonlocal most
        most = max(most, bench.transport.open_streams)
        if bench.transport.open_streams >= 4:
            go.set()
        await go.wait()

    bench.transport.before_batch = before_batch
    fetches = Fetches(bench.parts)
    for task in range(8):
        fetches.begin_fetch(FetchBlocks(task, bench.peer, source, BlockSet.from_ranges([(task * 5, task * 5 + 5)])))
    ended: set[int] = set()
    while len(ended) < 8:
        ended |= {event.task for event in await bench.until(FetchEnded) if isinstance(event, FetchEnded)}
    assert most == 4
    assert await held(bench, source) == ALL


# --- copies of linked blocks ------------------------------------------------------------------------------------------


async def linked(bench: Any, tmp_path: Path) -> tuple[Source, Path]:
    data = content("a", SIZE_BYTES)
    path = tmp_path / "file"
    path.write_bytes(data)
    source = await bench.source(data)
    keys = await bench.dag.leaf_keys(source)
    await bench.storage.link(path, [FileSlice(key, i * 16384, 16384) for i, key in enumerate(keys)])
    return source, path


async def test_linked_blocks_become_own_copies(bench: Any, tmp_path: Path) -> None:
    source, _path = await linked(bench, tmp_path)
    Fetches(bench.parts).begin_copy(CopyLinked(3, source, BlockSet.full(30)))
    assert outcome(await bench.until(FetchEnded)) == (BlockSet.full(30), FetchEnded(3))
    holding = await bench.dag.locate(source)
    assert (holding.owned, holding.linked) == (BlockSet.full(30), ALL - BlockSet.full(30))


async def test_a_changed_file_is_told_before_the_copy_ends(bench: Any, tmp_path: Path) -> None:
    """Or the engine would ask for the same copy again and again."""
    source, path = await linked(bench, tmp_path)
    path.write_bytes(b"something else")
    Fetches(bench.parts).begin_copy(CopyLinked(3, source, ALL))
    events = await bench.until(FetchEnded)
    (found,) = [event for event in events if isinstance(event, HoldingFound)]
    assert len(found.holding.linked) == 0
    assert events[-1] == FetchEnded(3)


async def test_a_copy_that_the_disk_refuses_is_not_begun_again_at_once(bench: Any, tmp_path: Path) -> None:
    source, _path = await linked(bench, tmp_path)
    bench.storage.faults.next_put = StorageError("the disk failed")
    began = asyncio.get_running_loop().time()
    Fetches(bench.parts, copy_retry_seconds=0.05).begin_copy(CopyLinked(3, source, ALL))
    assert outcome(await bench.until(FetchEnded))[1] == FetchEnded(3, "the disk failed")
    assert asyncio.get_running_loop().time() - began >= 0.05


async def test_blocks_held_by_reference_are_fetched_when_the_engine_says_so(bench: Any, tmp_path: Path) -> None:
    source, _path = await linked(bench, tmp_path)
    stored, _ended = await fetch(bench, source, BlockSet.full(5))
    keys = await bench.dag.leaf_keys(source)
    assert stored == BlockSet.full(5)
    assert await bench.storage.held([keys[0]]) == [Held.OWNED]
