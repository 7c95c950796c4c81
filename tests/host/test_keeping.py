"""Interior nodes come whole or not at all; sources are counted, dropped and counted afresh."""

import asyncio
from typing import Any

from ralnode.api import BadBlockError, Block, BlockSet, UnavailableError
from ralnode.core.events import (
    CancelFetch,
    DropSource,
    FetchBlocks,
    FetchEnded,
    FetchInterior,
    HoldingFound,
    InteriorFailed,
    InteriorStored,
    LocateBlocks,
)
from ralnode.host import keeping as module
from ralnode.host.fetches import Fetches
from ralnode.host.ingest.unpublished import Unpublished
from ralnode.host.keeping import Keeping, LostBlocks
from ralnode.testing.content import content

SIZE_BYTES = 40 * 16 * 1024


def keeper(bench: Any, *sources: Any) -> Keeping:
    return Keeping(bench.parts, Fetches(bench.parts), lambda: sources)


async def test_interior_nodes_are_stored_before_it_is_told(bench: Any) -> None:
    source = await bench.source(content("a", SIZE_BYTES), with_interior=False)
    keeper(bench).begin_interior(FetchInterior(source, bench.peer))
    assert await bench.until(InteriorStored) == [InteriorStored(source.root)]
    assert await bench.dag.has_interior(source)


async def test_a_part_of_the_interior_nodes_is_not_taken_for_the_whole(bench: Any) -> None:
    source = await bench.source(content("a", SIZE_BYTES), with_interior=False)
    bench.holder.tamper = lambda blocks: list(blocks)[:1]
    keeper(bench).begin_interior(FetchInterior(source, bench.peer))
    (failed,) = await bench.until(InteriorFailed)
    assert (failed.root, failed.peer, failed.peer_fault) == (source.root, bench.peer.id, False)
    assert "only a part" in failed.reason


async def test_more_interior_nodes_than_the_record_tells_of_are_the_peers_fault(bench: Any) -> None:
    source = await bench.source(content("a", SIZE_BYTES), with_interior=False)
    bench.holder.tamper = lambda blocks: [*blocks, Block(b"k", bytes(2 * module.INTERIOR_BYTES_MARGIN))]
    keeper(bench).begin_interior(FetchInterior(source, bench.peer))
    (failed,) = await bench.until(InteriorFailed)
    assert failed.peer_fault
    assert bench.transport.open_streams == 0


async def test_failures_of_the_peer_and_of_the_store_are_told_apart(bench: Any) -> None:
    source = await bench.source(content("a", SIZE_BYTES), with_interior=False)

    def wrong(_blocks: Any) -> Any:
        raise BadBlockError("not linked")

    bench.holder.tamper = wrong
    keeper(bench).begin_interior(FetchInterior(source, bench.peer))
    assert (await bench.until(InteriorFailed))[0].peer_fault
    bench.transport.services.clear()
    keeper(bench).begin_interior(FetchInterior(source, bench.peer))
    (failed,) = await bench.until(InteriorFailed)
    assert (failed.peer_fault, failed.reason) == (False, str(UnavailableError("cannot reach the peer")))


async def test_locating_finds_what_the_store_has(bench: Any) -> None:
    source = await bench.source(content("a", SIZE_BYTES))
    keeper(bench).begin_locate(LocateBlocks(source))
    (found,) = await bench.until(HoldingFound)
    assert (found.root, found.holding.has_interior, len(found.holding.owned)) == (source.root, True, 0)


async def test_dropping_a_source_deletes_only_what_no_other_source_uses(bench: Any) -> None:
    shared, own = content("shared", SIZE_BYTES // 2), content("own", SIZE_BYTES // 2)
    source, kept = await bench.source(own + shared), await bench.source(shared)
    fetches = Fetches(bench.parts)
    for task, each in enumerate((source, kept)):
        fetches.begin_fetch(FetchBlocks(task, bench.peer, each, BlockSet.full(each.leaf_count)))
        await bench.until(FetchEnded)
    Keeping(bench.parts, fetches, lambda: [kept]).begin_drop(DropSource(source, (kept,)))
    await idle(bench)
    assert (await bench.dag.locate(kept)).owned == BlockSet.full(20)
    assert not (await bench.dag.has_interior(source))
    assert bench.storage.usage().used_bytes < SIZE_BYTES // 2 + 10_000


async def test_what_came_into_the_catalogue_after_the_removal_keeps_its_blocks(bench: Any) -> None:
    """The list that came with the order is old by the time it is carried out."""
    shared, own = content("shared", SIZE_BYTES // 2), content("own", SIZE_BYTES // 2)
    source, newer = await bench.source(own + shared), await bench.source(shared)
    fetches = Fetches(bench.parts)
    for task, each in enumerate((source, newer)):
        fetches.begin_fetch(FetchBlocks(task, bench.peer, each, BlockSet.full(each.leaf_count)))
        await bench.until(FetchEnded)
    Keeping(bench.parts, fetches, lambda: [newer]).begin_drop(DropSource(source, ()))
    await idle(bench)
    assert (await bench.dag.locate(newer)).owned == BlockSet.full(20)
    assert bench.storage.usage().used_bytes < SIZE_BYTES // 2 + 10_000


async def test_a_source_that_was_added_again_before_it_was_dropped_stays(bench: Any) -> None:
    source = await bench.source(content("a", SIZE_BYTES))
    fetches = Fetches(bench.parts)
    fetches.begin_fetch(FetchBlocks(1, bench.peer, source, BlockSet.full(40)))
    await bench.until(FetchEnded)
    Keeping(bench.parts, fetches, lambda: [source]).begin_drop(DropSource(source, ()))
    await idle(bench)
    assert (await bench.dag.locate(source)).owned == BlockSet.full(40)


async def test_a_source_is_dropped_only_after_its_fetches_have_ended(bench: Any) -> None:
    source = await bench.source(content("a", SIZE_BYTES))
    fetches, begun = Fetches(bench.parts), asyncio.Event()

    async def before_batch() -> None:
        begun.set()
        await asyncio.sleep(0)

    bench.transport.before_batch = before_batch
    fetches.begin_fetch(FetchBlocks(1, bench.peer, source, BlockSet.full(40)))
    await begun.wait()
    fetches.cancel(CancelFetch(1).task)
    Keeping(bench.parts, fetches, lambda: []).begin_drop(DropSource(source, ()))
    await idle(bench)
    assert bench.storage.usage().block_count == 0


async def test_lost_blocks_are_counted_afresh_and_said_once(bench: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "LOST_SECONDS", 0.01)
    source = await bench.source(content("a", SIZE_BYTES))
    lost = LostBlocks()
    lost.add([b"a"] * 2)
    lost.add([b"b"])
    bench.tasks.spawn("watch", keeper(bench, source).watch(lost))
    (found,) = await bench.until(HoldingFound)
    assert found.root == source.root
    assert [text for _level, text in bench.said] == [
        "3 blocks here were lost (bad, or their file has changed); fetching again"
    ]
    assert not lost.news.is_set()


async def idle(bench: Any) -> None:
    async with asyncio.timeout(30):
        while len(bench.tasks):
            await asyncio.sleep(0.001)


async def test_a_removal_leaves_what_is_being_published_at_that_moment(bench: Any) -> None:
    """It is on its way into the catalogue: looked at for the last time, its record not made yet."""
    source = await bench.source(content("a", SIZE_BYTES))
    fetches, unpublished = Fetches(bench.parts), Unpublished()
    fetches.begin_fetch(FetchBlocks(1, bench.peer, source, BlockSet.full(40)))
    await bench.until(FetchEnded)

    async def is_whole() -> bool:
        keeping.begin_drop(DropSource(source, ()))
        for _ in range(50):
            await asyncio.sleep(0)
        return len((await bench.dag.locate(source)).owned) == 40

    keeping = Keeping(bench.parts, fetches, lambda: unpublished.known([]), unpublished)
    async with unpublished.publishing(source, is_whole) as has_all:
        assert has_all
        await idle(bench)
        assert (await bench.dag.locate(source)).owned == BlockSet.full(40)


async def test_a_removal_does_not_wait_for_work_and_work_knows_of_it(bench: Any) -> None:
    source = await bench.source(content("a", SIZE_BYTES))
    fetches, unpublished = Fetches(bench.parts), Unpublished()
    fetches.begin_fetch(FetchBlocks(1, bench.peer, source, BlockSet.full(40)))
    await bench.until(FetchEnded)
    async with unpublished.work():
        assert unpublished.is_undisturbed
        Keeping(bench.parts, fetches, lambda: [], unpublished).begin_drop(DropSource(source, ()))
        await idle(bench)
        assert bench.storage.usage().block_count == 0
        assert not unpublished.is_undisturbed
    assert not unpublished.is_undisturbed
    async with unpublished.work():
        assert unpublished.is_undisturbed
