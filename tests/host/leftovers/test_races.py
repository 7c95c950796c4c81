"""Whatever happens at the same moment, no block that anybody relies on goes. With the real store."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ralnode.api import RefusedError
from ralnode.api.limits import MIB
from ralnode.host.ingest import AddOptions, UploadEntry, UploadFile
from ralnode.host.ingest.ingest import uploaded_totals
from ralnode.host.ingest.unpublished import Unpublished
from ralnode.testing.content import content

SEEDS = ("a", "b", "c", "d", "e", "f")


async def test_a_running_add_keeps_a_deletion_from_beginning(bench: Any) -> None:
    top = bench.write("trip", *SEEDS)
    await bench.interrupted(top)
    async with bench.ingest.unpublished.work():
        with pytest.raises(RefusedError, match="under way"):
            bench.job.delete(1 << 60, everything=False)
        assert "under way" in (await bench.counted()).remark
    assert bench.storage.deletions == 0


async def test_an_add_that_begins_between_two_portions_ends_the_deletion_and_is_whole(bench: Any) -> None:
    top = bench.write("trip", *SEEDS)
    await bench.interrupted(top)
    adds: list[asyncio.Task[Any]] = []

    async def begin() -> None:
        adds.append(asyncio.create_task(bench.add(top)))
        await asyncio.sleep(0)

    bench.storage.before_delete = begin
    after = await bench.deleted()
    assert bench.storage.deletions == 1
    assert 0 < after.deleted_count <= 3
    assert "under way" in after.remark
    added = await adds[0]
    assert await bench.whole(added.source)


async def test_an_add_that_is_resumed_during_a_portion_waits_for_it_and_is_whole(bench: Any) -> None:
    """It begins while blocks that it has a note about are being deleted."""
    top = bench.write("trip", *SEEDS)
    await bench.interrupted(top)
    adds: list[asyncio.Task[Any]] = []

    async def begin() -> None:
        adds.append(asyncio.create_task(bench.add(top)))
        for _ in range(20):
            await asyncio.sleep(0)

    bench.storage.with_delete = begin
    after = await bench.deleted()
    assert bench.storage.deletions == 1
    assert after.deleted_count
    assert await bench.whole((await adds[0]).source)


async def test_work_that_begins_waits_for_the_portion_under_way() -> None:
    """Else it could be told of a block that it is here, a moment before it goes."""
    unpublished, steps, going_on = Unpublished(), list[str](), asyncio.Event()

    async def deletion() -> int:
        steps.append("deletion begins")
        await going_on.wait()
        steps.append("deletion ends")
        return 1

    async def work() -> None:
        async with unpublished.work():
            steps.append("work begins")

    deleting = asyncio.create_task(unpublished.unless_begun(unpublished.begun_count, deletion))
    working = asyncio.create_task(work())
    for _ in range(10):
        await asyncio.sleep(0)
    going_on.set()
    await asyncio.gather(deleting, working)
    assert steps == ["deletion begins", "deletion ends", "work begins"]


async def test_an_upload_that_was_told_its_offset_finds_what_it_was_told_of(bench: Any) -> None:
    data = content("big", 90 * MIB)

    async def upload(offset: int) -> Any:
        async def chunks() -> Any:
            yield data[offset:]

        async def entries() -> Any:
            yield UploadEntry("", "file", len(data), origin="h:/big", mtime_ns=5, offset=offset, chunks=chunks())

        totals = uploaded_totals(len(data), 1, here_bytes=offset)
        return await bench.ingest.add_tree("big", entries(), totals, AddOptions())

    bench.storage.left_bytes = 86 * MIB
    with pytest.raises(Exception, match="plug"):
        await upload(0)
    (offset,) = await bench.ingest.resume_offsets([UploadFile("h:/big", len(data), 5)])
    assert offset == 64 * MIB
    with pytest.raises(RefusedError, match="about to go on"):
        bench.job.delete(1 << 60, everything=False)
    added = await upload(offset)
    bench.publish(added)
    assert await bench.whole(added.source)


async def test_a_source_that_comes_from_another_node_before_a_portion_keeps_its_blocks(bench: Any) -> None:
    """All of it is here already, left by an add whose record was never made."""
    kept = await bench.add(bench.write("kept", "z"))
    added = await bench.ingest.add_path(bench.write("theirs", *SEEDS), AddOptions())
    await bench.interrupted(bench.write("trip", "1", "2", "3", "4", "5", "6"))

    class Arriving(list):  # type: ignore[type-arg]
        """The catalogue: looked at for the refusal, for finding what is left over, and just before a portion."""

        looks = 0

        def __iter__(self) -> Any:
            self.looks += 1
            if self.looks == 3:
                self.append(added.source)
                bench.told[added.source.root] = added.holding
            return super().__iter__()

    bench.sources = Arriving(bench.sources)
    after = await bench.deleted(everything=True)
    assert bench.sources.looks > 3
    assert await bench.whole(added.source)
    assert await bench.whole(kept.source)
    assert after.deleted_count > 0
    assert after.block_count == 0


async def test_a_source_that_comes_during_a_portion_is_told_what_is_here_afterwards(bench: Any) -> None:
    """It may have been found whole a moment before: nothing is advertised that is gone."""
    kept = await bench.add(bench.write("kept", "z"))
    added = await bench.ingest.add_path(bench.write("theirs", *SEEDS), AddOptions())

    async def arrive() -> None:
        bench.publish(added)

    bench.storage.with_delete = arrive
    after = await bench.deleted(everything=True)
    assert after.deleted_count <= 3, "what came later is left alone"
    assert bench.told[added.source.root] == await bench.dag.locate(added.source)
    assert len(bench.told[added.source.root].owned) < added.source.leaf_count
    assert await bench.whole(kept.source)


async def test_a_removal_at_the_same_time_takes_only_its_own(bench: Any) -> None:
    """`ralnode rm`: the source goes from the catalogue, and its blocks are deleted beside the leftovers."""
    kept, gone = await bench.add(bench.write("kept", "a", "z")), await bench.add(bench.write("gone", "a", "y"))
    await bench.interrupted(bench.write("trip", *SEEDS))

    async def remove() -> None:
        bench.sources.remove(gone.source)
        for key in await bench.dag.keys_to_drop(gone.source, [kept.source]):
            await bench.storage.delete([key])

    bench.storage.before_delete = remove
    await bench.deleted(everything=True)
    assert (await bench.counted()).block_count == 0
    assert await bench.whole(kept.source)


async def test_interrupting_a_deletion_leaves_a_store_that_goes_on(bench: Any) -> None:
    top = bench.write("trip", *SEEDS)
    kept = await bench.add(bench.write("kept", "z"))
    await bench.interrupted(top)
    stopping: list[asyncio.Task[None]] = []

    async def stop() -> None:
        stopping.append(asyncio.create_task(bench.job.stop()))
        await asyncio.sleep(0)

    bench.storage.before_delete = stop
    bench.job.delete(1 << 60, everything=True)
    await bench.ended()
    await stopping[0]
    assert bench.job.state.state == "failed"
    assert bench.storage.deletions == 1
    assert await bench.whole(kept.source)
    assert await bench.whole((await bench.add(top)).source)
