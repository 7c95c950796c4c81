"""Adding local files and folders: the same CIDs as everybody's, all blocks there, nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path

import pytest

from ralnode.api import BlockSet, Holding, LocalError, NotFoundError, Source, StorageFullError, UsageError
from ralnode.api.limits import KIB, MIB
from ralnode.dag import pb
from ralnode.dag.profile import POC_TOOL, V0_2015, V1_2025, Profile
from ralnode.dag.walk import enumerate_dag, run
from ralnode.host.ingest import AddOptions, UploadEntry
from ralnode.host.ingest.ingest import uploaded_totals
from ralnode.testing.content import Blocks, Tree, build_file, build_tree, content, key_stream
from ralnode.testing.memory_storage import MemoryStorage

TINY = Profile("tiny", chunk_bytes=10_000, max_links=5, hamt_fanout=16, hamt_threshold_bytes=300)
PROFILES = [V1_2025, V0_2015, POC_TOOL, TINY]
TREE: Tree = {
    "a.bin": content("a", 3 * MIB + 5),
    "b/c/deep.txt": b"deep",
    "b/copy.bin": content("a", 3 * MIB + 5),
    "empty": b"",
    "hollow/inner": None,
    "link@": b"b/c/deep.txt",
    "ä/中 文.txt": b"unicode",
    **{f"many/{number:03}": b"%d" % number for number in range(300)},
}


def write_tree(top: Path, tree: Tree) -> None:
    top.mkdir()
    for path, data in tree.items():
        place = top / path.removesuffix("@")
        place.parent.mkdir(parents=True, exist_ok=True)
        if data is None:
            place.mkdir()
        elif path.endswith("@"):
            place.symlink_to(data.decode())
        else:
            place.write_bytes(data)


async def holds(storage: MemoryStorage, blocks: Blocks) -> bool:
    return [await storage.get(key) for key in blocks] == list(blocks.values())


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
@pytest.mark.parametrize("size", [0, 1, 1000, 256 * KIB, 256 * KIB + 1, 5 * MIB, 9 * MIB + 1])
async def test_file_becomes_the_dag_that_everybody_makes_of_it(
    bench, tmp_path: Path, profile: Profile, size: int
) -> None:
    file = tmp_path / "film.mkv"
    data = content("film", size)
    file.write_bytes(data)
    added = await bench.ingest.add_path(file, AddOptions(profile=profile), bench.progress.append)
    blocks: Blocks = {}
    built = build_file(blocks, data, profile)
    dag = run(enumerate_dag(built.cid), blocks.get)
    assert added.source == Source(
        built.cid, "film.mkv", size, len(dag.leaves), dag.leaves.total_bytes, len(dag.interior), dag.interior_bytes
    )
    assert added.holding == Holding(has_interior=True, owned=BlockSet.full(len(dag.leaves)))
    assert await holds(bench.storage, blocks)
    assert bench.storage.usage().block_count == len(blocks)
    assert list(await bench.index.leaf_keys(added.source)) == list(dag.leaves)


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
async def test_folder_becomes_the_dag_that_everybody_makes_of_it(bench, tmp_path: Path, profile: Profile) -> None:
    write_tree(tmp_path / "tree", TREE)
    added = await bench.ingest.add_path(tmp_path / "tree", AddOptions(profile=profile, copies=3, priority=7))
    blocks: Blocks = {}
    built = build_tree(blocks, TREE, profile)
    assert added.source.root == built.cid
    assert (added.source.name, added.source.copies, added.source.priority) == ("tree", 3, 7)
    assert added.source.is_directory
    assert added.source.size_bytes == built.content_bytes
    assert await holds(bench.storage, blocks)
    assert len(added.holding.owned) == added.source.leaf_count
    assert bench.storage.usage().block_count == len(blocks)


async def test_hidden_files_come_in_only_when_asked(bench, tmp_path: Path) -> None:
    tree = {"seen": b"1", ".hidden": b"2", ".git/config": b"3", "d/.x": b"4", "d/y": b"5"}
    write_tree(tmp_path / "t", tree)
    plain = await bench.ingest.add_path(tmp_path / "t", AddOptions())
    assert plain.source.root == build_tree({}, {"seen": b"1", "d/y": b"5"}).cid
    everything = await bench.ingest.add_path(tmp_path / "t", AddOptions(hidden=True))
    assert everything.source.root == build_tree({}, tree).cid


async def test_hidden_file_that_is_named_itself_is_added(bench, tmp_path: Path) -> None:
    (tmp_path / ".profile").write_bytes(b"x")
    assert (await bench.ingest.add_path(tmp_path / ".profile", AddOptions())).source.name == ".profile"


async def test_link_that_is_named_is_followed_and_links_below_are_kept(bench, tmp_path: Path) -> None:
    write_tree(tmp_path / "real", {"x": b"x", "out@": b"/nowhere"})
    (tmp_path / "alias").symlink_to("real")
    added = await bench.ingest.add_path(tmp_path / "alias", AddOptions())
    assert added.source.root == build_tree({}, {"x": b"x", "out@": b"/nowhere"}).cid
    assert added.source.name == "alias"


async def test_name_may_be_given(bench, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"x")
    assert (await bench.ingest.add_path(tmp_path / "x", AddOptions(name="talks/1"))).source.name == "talks/1"
    with pytest.raises(UsageError, match="at most"):
        await bench.ingest.add_path(tmp_path / "x", AddOptions(name="n" * 1025))


async def test_name_that_is_no_text_is_replaced_in_the_record_and_kept_in_the_dag(bench, tmp_path: Path) -> None:
    folder = tmp_path / "odd\udcff"
    folder.mkdir()
    (folder / "\udcfe").touch()
    added = await bench.ingest.add_path(folder, AddOptions())
    assert added.source.name == "odd\ufffd"
    (entry,) = pb.decode(await bench.storage.get(added.source.root)).links
    assert entry.name == b"\xfe"
    with pytest.raises(UsageError, match="no text"):
        await bench.ingest.add_path(tmp_path, AddOptions(name="\ud800"))


async def test_folder_may_be_named_by_dots(bench, tmp_path: Path) -> None:
    (tmp_path / "here" / "below").mkdir(parents=True)
    added = await bench.ingest.add_path(tmp_path / "here" / "below" / "..", AddOptions())
    assert added.source.name == "here"


async def test_progress_rises_to_the_total(bench, tmp_path: Path) -> None:
    write_tree(tmp_path / "t", {f"f{number}": content(f"{number}", 7 * MIB) for number in range(9)})
    await bench.ingest.add_path(tmp_path / "t", AddOptions(), bench.progress.append)
    done = [each.bytes_done for each in bench.progress]
    assert done == sorted(done)
    assert len(done) > 3
    assert bench.progress[-1].bytes_done == bench.progress[-1].bytes_total == 63 * MIB
    assert bench.progress[-1].files_done == 9


async def test_what_is_there_already_is_not_stored_twice(bench, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(content("x", 3 * MIB))
    await bench.ingest.add_path(tmp_path / "x", AddOptions())
    used = bench.storage.usage().used_bytes
    (tmp_path / "y").write_bytes(content("x", 3 * MIB))
    await bench.ingest.add_path(tmp_path / "y", AddOptions())
    assert bench.storage.usage().used_bytes == used


async def test_nothing_is_left_reserved_or_noted_after_an_add(bench, tmp_path: Path) -> None:
    write_tree(tmp_path / "tree", TREE)
    before = len(asyncio.all_tasks())
    await bench.ingest.add_path(tmp_path / "tree", AddOptions())
    assert bench.storage.usage().reserved_bytes == 0
    assert await bench.storage.load_state(b"ingest/") == {}
    assert len(asyncio.all_tasks()) == before


async def test_two_adds_beside_each_other_do_not_mix(bench, tmp_path: Path) -> None:
    for name in "abcd":
        (tmp_path / name).write_bytes(content(name, 9 * MIB))
    added = await asyncio.gather(*(bench.ingest.add_path(tmp_path / name, AddOptions()) for name in "abcd"))
    assert [each.source.root for each in added] == [build_file({}, content(name, 9 * MIB)).cid for name in "abcd"]


# --- refusals -------------------------------------------------------------------------------------------------------


async def test_more_than_fits_is_refused_before_anything_is_stored(make_bench, tmp_path: Path) -> None:
    bench = make_bench(capacity_bytes=10 * MIB)
    await bench.storage.open(lambda keys: None)
    (tmp_path / "x").write_bytes(content("x", 12 * MIB))
    with pytest.raises(
        StorageFullError, match=r"(?s)x: it needs .*Nothing was stored.*--link.*capacity.*another node.*ralnode rm"
    ):
        await bench.ingest.add_path(tmp_path / "x", AddOptions())
    usage = bench.storage.usage()
    assert (usage.used_bytes, usage.reserved_bytes, usage.block_count) == (0, 0, 0)
    assert (await bench.ingest.add_path(tmp_path / "x", AddOptions(link=True))).source.size_bytes == 12 * MIB


async def test_refusal_of_a_linked_add_does_not_advise_to_link(make_bench, tmp_path: Path) -> None:
    bench = make_bench(capacity_bytes=100)
    await bench.storage.open(lambda keys: None)
    (tmp_path / "x").write_bytes(content("x", 12 * MIB))
    with pytest.raises(StorageFullError) as caught:
        await bench.ingest.add_path(tmp_path / "x", AddOptions(link=True))
    assert "--link" not in str(caught.value)


async def test_path_that_is_not_there_is_named(bench, tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere", tmp_path / "loop"):
        if path.name == "loop":
            path.symlink_to("loop")
        with pytest.raises(NotFoundError, match=path.name):
            await bench.ingest.add_path(path, AddOptions())


async def test_pipe_in_a_folder_is_refused_and_named(bench, tmp_path: Path) -> None:
    write_tree(tmp_path / "t", {"x": b"x"})
    os.mkfifo(tmp_path / "t" / "pipe")
    with pytest.raises(UsageError, match="pipe"):
        await bench.ingest.add_path(tmp_path / "t", AddOptions())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
async def test_file_that_may_not_be_read_is_named(bench, tmp_path: Path) -> None:
    write_tree(tmp_path / "t", {"x": b"x", "secret": b"y"})
    (tmp_path / "t" / "secret").chmod(0)
    with pytest.raises(LocalError, match="secret"):
        await bench.ingest.add_path(tmp_path / "t", AddOptions())


async def test_folders_too_deep_are_refused(bench, tmp_path: Path) -> None:
    place = tmp_path
    for _ in range(130):
        place = place / "d"
    place.mkdir(parents=True)
    with pytest.raises(UsageError, match="deep"):
        await bench.ingest.add_path(tmp_path / "d", AddOptions())


class Meddling(MemoryStorage):
    """Does something to the user's files while an add is going on."""

    meddle = staticmethod(lambda: None)

    async def put(self, blocks, reservation=None, written=None) -> None:  # type: ignore[no-untyped-def]
        self.meddle()
        await super().put(blocks, reservation, written)

    async def link(self, path, slices) -> None:  # type: ignore[no-untyped-def]
        self.meddle()
        await super().link(path, slices)


@pytest.mark.parametrize("link", [False, True])
@pytest.mark.parametrize("change", ["append", "truncate", "touch", "replace"])
async def test_file_that_changes_while_it_is_read_is_refused(
    make_bench, tmp_path: Path, change: str, link: bool
) -> None:
    storage = Meddling(1 << 30)
    await storage.open(lambda keys: None)
    bench = make_bench(storage)
    file = tmp_path / "log"
    file.write_bytes(content("log", 50 * MIB))

    def meddle() -> None:
        storage.meddle = lambda: None
        if change == "append":
            with file.open("ab") as out:
                out.write(b"more")
        elif change == "truncate":
            os.truncate(file, 49 * MIB)
        elif change == "touch":
            os.utime(file, ns=(1, 1))
        else:
            (tmp_path / "new").write_bytes(content("other", 50 * MIB))
            (tmp_path / "new").replace(file)

    storage.meddle = meddle
    with pytest.raises(LocalError, match="log was changed while it was being read"):
        await bench.ingest.add_path(file, AddOptions(link=link))
    assert storage.usage().reserved_bytes == 0


async def test_failing_disk_ends_the_add_with_its_error(bench, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(content("x", 50 * MIB))
    bench.storage.faults.next_put = StorageFullError("the disk is full")
    with pytest.raises(StorageFullError, match="the disk is full"):
        await bench.ingest.add_path(tmp_path / "x", AddOptions())
    assert bench.storage.usage().reserved_bytes == 0


class Stuck(MemoryStorage):
    """Stores nothing until it is told to."""

    def __init__(self, capacity_bytes: int) -> None:
        super().__init__(capacity_bytes)
        self.go = asyncio.Event()
        self.asked = asyncio.Event()
        self.waiting_bytes = 0

    async def put(self, blocks, reservation=None, written=None) -> None:  # type: ignore[no-untyped-def]
        self.waiting_bytes += sum(len(block.data) for block in blocks)
        self.asked.set()
        await self.go.wait()
        await super().put(blocks, reservation, written)


@pytest.mark.parametrize("copies", [-1, 0, 17])
async def test_copies_that_cannot_be_kept_are_refused(make_bench, tmp_path: Path, copies: int) -> None:
    bench = make_bench()
    (tmp_path / "x").write_bytes(b"x")
    with pytest.raises(UsageError, match=f"{copies} copies: from 1 to 16.*Nothing was stored"):
        await bench.ingest.add_path(tmp_path / "x", AddOptions(copies=copies))
    assert bench.storage.usage().block_count == 0


async def test_slow_disk_stops_the_reading(make_bench) -> None:
    """An upload is read no further than what memory may hold, however long the disk takes."""
    storage = Stuck(1 << 30)
    await storage.open(lambda keys: None)
    bench = make_bench(storage)
    sent_bytes = 0
    idle = asyncio.Event()

    async def chunks():  # type: ignore[no-untyped-def]
        nonlocal sent_bytes
        for chunk in key_stream("slow", 200 * MIB):
            sent_bytes += len(chunk)
            yield chunk
        idle.set()

    async def entries():  # type: ignore[no-untyped-def]
        yield UploadEntry("", "file", 200 * MIB, chunks=chunks())

    task = asyncio.create_task(bench.ingest.add_tree("slow", entries(), uploaded_totals(200 * MIB, 1), AddOptions()))
    await storage.asked.wait()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(idle.wait(), 1)
    assert 20 * MIB <= sent_bytes <= 60 * MIB
    storage.go.set()
    assert (await task).source.size_bytes == 200 * MIB


async def test_cancelled_add_leaves_nothing_running(make_bench, tmp_path: Path) -> None:
    storage = Stuck(1 << 30)
    await storage.open(lambda keys: None)
    bench = make_bench(storage)
    (tmp_path / "x").write_bytes(content("x", 50 * MIB))
    before = len(asyncio.all_tasks())
    task = asyncio.create_task(bench.ingest.add_path(tmp_path / "x", AddOptions()))
    await storage.asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(asyncio.all_tasks()) == before
    assert storage.usage().reserved_bytes == 0
