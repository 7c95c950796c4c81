"""What broken adds and pulls have left is told, and goes only when it is asked for and old enough."""

from __future__ import annotations

import time
from typing import Any

import pytest

from ralnode.api import NotFoundError, RefusedError, StorageError, Usage
from ralnode.api.limits import GIB, MIB
from ralnode.dag import cid as cids
from ralnode.host.ingest import AddOptions
from ralnode.host.ingest.unpublished import EXPECTED_SECONDS, Unpublished
from ralnode.host.leftovers import LeftoversState, LeftoversWatch
from ralnode.host.pulling import Pull
from ralnode.testing.content import build_file, content


async def test_a_store_of_sources_alone_has_no_leftovers(bench: Any) -> None:
    await bench.add(bench.write("kept", "a", "b"))
    counted = await bench.counted()
    assert (counted.state, counted.block_count, counted.works, counted.remark) == ("done", 0, (), "")
    assert (await bench.deleted(everything=True)).deleted_count == 0
    assert bench.storage.deletions == 0


async def test_an_interrupted_add_is_told_by_its_name_and_what_it_shares_is_not_counted(bench: Any) -> None:
    kept = await bench.add(bench.write("kept", "a"))
    top = bench.write("trip", "a", "b", "c", "d", "e", "f")
    await bench.interrupted(top)
    counted = await bench.counted()
    (work,) = counted.works
    assert (work.kind, work.name) == ("add", "trip")
    assert work.origin.startswith(str(top))
    assert 0 <= time.time() * 1000 - work.unix_ms < 60_000
    assert work.block_count + counted.nobodys_count == counted.block_count
    owned = [pair async for group in bench.storage.owned_blocks() for pair in group]
    mine = {*await bench.dag.leaf_keys(kept.source), *(await bench.dag.dag(kept.source)).interior}
    left = [size for key, size in owned if key not in mine]
    assert (counted.block_count, counted.size_bytes) == (len(left), sum(left))
    assert work.size_bytes >= 3 * MIB, "one file at least was finished"


async def test_young_ones_stay_and_go_on_where_they_stopped(bench: Any) -> None:
    kept = await bench.add(bench.write("kept", "z"))
    top = bench.write("trip", "a", "b", "c", "d", "e", "f")
    began_ms = time.time_ns() // 1_000_000
    await bench.interrupted(top)
    left = await bench.deleted(before_unix_ms=began_ms)
    assert left.deleted_count == 0
    assert left.works
    added = await bench.add(top)
    assert added.reused_bytes >= 2 * 3 * MIB
    assert await bench.whole(added.source)
    assert await bench.whole(kept.source)


async def test_old_ones_go_with_their_notes_and_what_no_note_tells_of_only_when_asked(bench: Any) -> None:
    kept = await bench.add(bench.write("kept", "a"))
    used_bytes = bench.storage.usage().used_bytes
    top = bench.write("trip", "a", "b", "c", "d", "e", "f")
    await bench.interrupted(top)
    before = await bench.counted()
    assert before.nobodys_count > 0
    after = await bench.deleted()
    assert after.deleted_count == before.block_count - before.nobodys_count
    assert after.deleted_bytes == before.size_bytes - before.nobodys_bytes
    assert (after.works, after.block_count, after.remark) == ((), before.nobodys_count, "")
    assert await bench.storage.load_state(b"ingest/") == {}
    after = await bench.deleted(everything=True)
    assert (after.deleted_count, after.block_count) == (before.nobodys_count, 0)
    assert bench.storage.usage().used_bytes < used_bytes + MIB
    assert await bench.whole(kept.source)
    assert await bench.whole((await bench.add(top)).source)


async def test_with_no_source_known_what_no_note_tells_of_may_be_everything(bench: Any) -> None:
    """As after the loss of the catalogue: the blocks are all that there is."""
    added = await bench.add(bench.write("kept", "a", "b"))
    bench.sources.clear()
    assert (await bench.counted()).nobodys_count > 0
    with pytest.raises(RefusedError, match="knows of no source"):
        bench.job.delete(1 << 60, everything=True)
    assert (await bench.deleted()).deleted_count == 0
    bench.sources.append(added.source)
    assert await bench.whole(added.source)


async def test_while_metadata_of_a_source_are_missing_nothing_goes(bench: Any) -> None:
    """A source of another node, of which this one has some blocks by chance, and does not know yet."""
    await bench.interrupted(bench.write("trip", "a", "b", "c", "d", "e", "f"))
    other = bench.write("other", "a")
    blocks: dict[bytes, bytes] = {}
    built = build_file(blocks, content("a", 3 * MIB))
    added = await bench.ingest.add_path(other / "a", AddOptions(name="theirs"))
    assert added.source.root == built.cid
    await bench.storage.delete([cids.to_key(built.cid)])
    bench.dag.forget(built.cid)
    bench.sources.append(added.source)
    assert "theirs" in (await bench.counted()).remark
    after = await bench.deleted(everything=True)
    assert after.deleted_count == 0
    assert "theirs" in after.remark
    leaves = [key for key in blocks if cids.codec_of(key) == cids.RAW]
    assert None not in await bench.storage.get_many(leaves)


async def test_files_by_reference_are_no_leftovers(bench: Any) -> None:
    top = bench.write("kept", "a", "b")
    added = await bench.ingest.add_path(top, AddOptions(link=True))
    bench.publish(added)
    (top / "a").unlink()
    assert (await bench.deleted()).deleted_count == 0
    assert len(await bench.storage.load_state(b"ingest/file/")) == 1
    assert (top / "b").read_bytes() == content("b", 3 * MIB)


# --- pulls ------------------------------------------------------------------------------------------------------------


class Upstream:
    """A gateway that gives a DAG block by block, up to one."""

    def __init__(self, blocks: dict[bytes, bytes], count: int) -> None:
        self.blocks = blocks
        self.count = count

    def block(self, key: bytes) -> bytes:
        self.count -= 1
        if self.count < 0:
            raise NotFoundError("the gateway has gone")
        return self.blocks[key]

    def car(self, root: bytes) -> Any:
        yield from ()

    def close(self) -> None: ...


async def pull(bench: Any, upstream: Upstream, root: bytes) -> Any:
    work = Pull(bench.storage, bench.dag, upstream, AddOptions("film"), lambda _progress: None)  # type: ignore[arg-type]
    try:
        async with bench.ingest.unpublished.work():
            return await work.run(root)
    finally:
        work.close()


async def test_an_interrupted_pull_is_told_and_deleted_or_gone_on_with(bench: Any) -> None:
    blocks: dict[bytes, bytes] = {}
    root = build_file(blocks, content("film", 20 * MIB)).cid
    with pytest.raises(NotFoundError):
        await pull(bench, Upstream(blocks, 14), root)
    (work,) = (counted := await bench.counted()).works
    assert (work.kind, work.name, work.origin) == ("pull", "film", cids.to_text(root))
    assert work.block_count == counted.block_count > 5
    assert (await bench.deleted()).block_count == 0
    with pytest.raises(NotFoundError):
        await pull(bench, Upstream(blocks, 14), root)
    added = await pull(bench, upstream := Upstream(blocks, 14), root)
    assert upstream.count > 0
    bench.publish(added)
    assert (await bench.counted()).block_count == 0
    assert await bench.storage.load_state(b"ingest/") == {}


async def test_a_failed_pull_is_as_young_as_its_last_attempt(bench: Any) -> None:
    blocks: dict[bytes, bytes] = {}
    root = build_file(blocks, content("film", 4 * MIB)).cid
    for _ in range(2):
        with pytest.raises(NotFoundError):
            await pull(bench, Upstream(blocks, 1), root)
        ended_ms = time.time_ns() // 1_000_000
    assert ended_ms - (await bench.counted()).works[0].unix_ms < 1000


# --- what keeps out of the way ----------------------------------------------------------------------------------------


async def test_nothing_is_deleted_while_work_runs_or_is_expected() -> None:
    now = [0.0]
    unpublished = Unpublished(lambda: now[0])
    gone: list[int] = []

    async def deletion() -> int:
        gone.append(1)
        return 7

    since = unpublished.begun_count
    assert await unpublished.unless_begun(since, deletion) == 7
    async with unpublished.work():
        assert unpublished.is_busy
        assert await unpublished.unless_begun(unpublished.begun_count, deletion) is None
    assert not unpublished.is_busy
    assert await unpublished.unless_begun(since, deletion) is None, "something began and ended in between"
    unpublished.expect()
    assert await unpublished.unless_begun(unpublished.begun_count, deletion) is None
    now[0] += EXPECTED_SECONDS + 1
    assert await unpublished.unless_begun(unpublished.begun_count, deletion) == 7
    assert len(gone) == 2


class _Job:
    def __init__(self) -> None:
        self.state = LeftoversState()
        self.counts = 0

    def count(self) -> None:
        self.counts += 1
        if self.counts == 3:
            raise RefusedError("leftovers are being deleted at the moment")


@pytest.mark.parametrize(
    ("used_bytes", "left_bytes", "counts", "told_bytes"),
    [
        (10 * GIB, 0, 0, 0), (10 * GIB + 63 * MIB, 0, 0, 0), (11 * GIB, 0, 1, 0), (11 * GIB, 800 * MIB, 1, 800 * MIB),
        (11 * GIB, 100 * MIB, 1, 0), (10 * GIB, 700 * MIB, 1, 700 * MIB),
    ],
)  # fmt: skip
async def test_notable_room_is_counted_and_told(used_bytes: int, left_bytes: int, counts: int, told_bytes: int) -> None:
    job, unpublished = _Job(), Unpublished()
    job.state = LeftoversState("done", size_bytes=left_bytes)
    watch = LeftoversWatch(job, unpublished, lambda: Usage(12 * GIB, used_bytes), lambda: 10 * GIB)  # type: ignore[arg-type]
    watch.look()
    assert (job.counts, watch.notable_bytes) == (counts, told_bytes)
    async with unpublished.work():
        watch.look()
    assert job.counts == counts


async def test_what_turned_out_to_be_no_leftovers_is_not_counted_again_and_again() -> None:
    job, used = _Job(), [2 * GIB]
    watch = LeftoversWatch(job, Unpublished(), lambda: Usage(100 * GIB, used[0]), lambda: 0)  # type: ignore[arg-type]
    watch.look()
    for used[0] in (2 * GIB, 3 * GIB - 1, GIB):
        watch.look()
        assert job.counts == 1
    used[0] = 3 * GIB
    watch.look()
    assert job.counts == 2
    job.state = LeftoversState("done", size_bytes=2 * GIB)
    watch.look()  # refused, and it lives on
    assert (job.counts, watch.notable_bytes) == (3, 2 * GIB)


async def test_a_deletion_that_fails_says_so_and_another_one_is_possible(bench: Any) -> None:
    await bench.interrupted(bench.write("trip", "a", "b", "c", "d", "e", "f"))

    async def fail() -> None:
        raise StorageError("the disk is read-only")

    bench.storage.before_delete = fail
    after = await bench.deleted()
    assert (after.state, after.deleted_count) == ("failed", 0)
    assert "read-only" in after.remark
    assert (await bench.deleted()).works == ()


async def test_two_at_once_are_refused(bench: Any) -> None:
    await bench.interrupted(bench.write("trip", "a", "b", "c", "d", "e", "f"))
    bench.job.delete(1 << 60, everything=False)
    with pytest.raises(RefusedError, match="at the moment"):
        bench.job.delete(1 << 60, everything=False)
    with pytest.raises(RefusedError, match="being deleted"):
        bench.job.count()
    assert (await bench.ended()).deleted_count
