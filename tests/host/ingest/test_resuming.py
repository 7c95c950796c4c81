"""An interrupted add goes on where it stopped, and never believes a note that no longer holds."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import cbor2
import pytest

from ralnode.api import StorageError, UsageError
from ralnode.api.limits import MIB
from ralnode.dag.profile import V0_2015, V1_2025, Profile
from ralnode.host.ingest import AddOptions, UploadEntry, UploadFile
from ralnode.host.ingest.ingest import uploaded_totals
from ralnode.testing.content import build_file, build_tree, content, key_stream
from ralnode.testing.memory_storage import MemoryStorage

BIG = 90 * MIB


class Breaking(MemoryStorage):
    """Fails once, after so many bytes were handed to it."""

    left_bytes: int | None = None

    async def put(self, blocks, reservation=None, written=None) -> None:  # type: ignore[no-untyped-def]
        self._use(sum(len(block.data) for block in blocks))
        await super().put(blocks, reservation, written)

    async def link(self, path, slices) -> None:  # type: ignore[no-untyped-def]
        self._use(sum(piece.length for piece in slices))
        await super().link(path, slices)

    def _use(self, size_bytes: int) -> None:
        if self.left_bytes is not None:
            self.left_bytes -= size_bytes
            if self.left_bytes < 0:
                self.left_bytes = None
                raise StorageError("the plug was pulled")


@pytest.fixture
async def breaking(make_bench):  # type: ignore[no-untyped-def]
    storage = Breaking(1 << 30)
    await storage.open(lambda keys: None)
    return make_bench(storage)


def write_big(path: Path, seed: str = "big") -> None:
    with path.open("wb") as out:
        for chunk in key_stream(seed, BIG):
            out.write(chunk)


def expected(profile: Profile, seed: str = "big") -> bytes:
    return build_file({}, content(seed, BIG), profile).cid


@pytest.mark.parametrize(
    ("profile", "link"), [(V1_2025, False), (V0_2015, False), (V1_2025, True)], ids=["v1", "v0", "linked"]
)
async def test_big_file_goes_on_at_its_last_checkpoint(breaking, tmp_path: Path, profile: Profile, link: bool) -> None:
    write_big(tmp_path / "big")
    options = AddOptions(profile=profile, link=link)
    breaking.storage.left_bytes = 86 * MIB
    with pytest.raises(StorageError, match="plug"):
        await breaking.ingest.add_path(tmp_path / "big", options)
    again = breaking.again()
    added = await again.ingest.add_path(tmp_path / "big", options, again.progress.append)
    assert added.reused_bytes == 64 * MIB
    assert added.source.root == expected(profile)
    assert len(added.holding.servable) == added.source.leaf_count
    assert again.progress[-1].bytes_done == BIG
    notes = await breaking.storage.load_state(b"ingest/")
    assert [name for name in notes if not name.startswith(b"ingest/file/")] == []
    assert len(notes) == link


async def test_finished_files_of_a_folder_are_not_read_again(breaking, tmp_path: Path) -> None:
    top = tmp_path / "t"
    top.mkdir()
    tree = {f"{number:02}": content(f"{number}", 5 * MIB) for number in range(16)}
    for name, data in tree.items():
        (top / name).write_bytes(data)
    breaking.storage.left_bytes = 70 * MIB
    with pytest.raises(StorageError, match="plug"):
        await breaking.ingest.add_path(top, AddOptions())
    added = await breaking.again().ingest.add_path(top, AddOptions())
    assert 20 * MIB <= added.reused_bytes <= 70 * MIB
    assert added.source.root == build_tree({}, tree).cid
    assert len(added.holding.owned) == added.source.leaf_count
    assert await breaking.storage.load_state(b"ingest/") == {}


@pytest.mark.parametrize("change", ["content", "profile", "spoilt note", "half a note", "link"])
async def test_note_that_does_not_fit_is_not_used(breaking, tmp_path: Path, change: str) -> None:
    write_big(tmp_path / "big")
    breaking.storage.left_bytes = 86 * MIB
    with pytest.raises(StorageError, match="plug"):
        await breaking.ingest.add_path(tmp_path / "big", AddOptions())
    options, seed = AddOptions(), "big"
    if change == "content":
        write_big(tmp_path / "big", seed := "other")
        os.utime(tmp_path / "big", ns=(9, 9))
    elif change == "profile":
        options = AddOptions(profile=V0_2015)
    elif change == "link":
        options = AddOptions(link=True)
    else:
        notes = await breaking.storage.load_state(b"ingest/part/")
        spoilt = b"\xff" if change == "spoilt note" else cbor2.dumps([1, 36, b"x" * 36, bytes(8)])
        await breaking.storage.save_state(dict.fromkeys(notes, spoilt))
    added = await breaking.again().ingest.add_path(tmp_path / "big", options)
    assert added.reused_bytes == 0
    assert added.source.root == expected(options.profile, seed)


async def test_note_about_blocks_that_are_gone_is_found_out(breaking, tmp_path: Path) -> None:
    write_big(tmp_path / "big")
    breaking.storage.left_bytes = 86 * MIB
    with pytest.raises(StorageError, match="plug"):
        await breaking.ingest.add_path(tmp_path / "big", AddOptions())
    first_leaf = build_file(blocks := {}, content("big", MIB)).cid
    assert await breaking.storage.delete([first_leaf]) == 1
    added = await breaking.again().ingest.add_path(tmp_path / "big", AddOptions())
    assert added.source.root == expected(V1_2025)
    assert len(added.holding.owned) == 90
    assert await breaking.storage.get(first_leaf) == blocks[first_leaf]


async def test_interrupted_add_needs_room_only_for_the_rest(make_bench, tmp_path: Path) -> None:
    storage = Breaking(112 * MIB)
    await storage.open(lambda keys: None)
    bench = make_bench(storage)
    write_big(tmp_path / "big")
    storage.left_bytes = 86 * MIB
    with pytest.raises(StorageError, match="plug"):
        await bench.ingest.add_path(tmp_path / "big", AddOptions())
    assert (await bench.again().ingest.add_path(tmp_path / "big", AddOptions())).source.size_bytes == BIG


# --- uploads --------------------------------------------------------------------------------------------------------


async def upload(bench, seed: str, offset: int, *, size: int = BIG, piece_bytes: int = 3_000_001, **options):  # type: ignore[no-untyped-def]
    data = content(seed, BIG)

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(offset, len(data), piece_bytes):
            yield data[start : start + piece_bytes]

    async def entries() -> AsyncIterator[UploadEntry]:
        yield UploadEntry("", "file", size, origin=f"host:/home/{seed}", mtime_ns=5, offset=offset, chunks=chunks())

    return await bench.ingest.add_tree(
        seed, entries(), uploaded_totals(BIG, 1, here_bytes=offset), AddOptions(**options)
    )


async def interrupted_upload(bench, seed: str = "big") -> int:  # type: ignore[no-untyped-def]
    bench.storage.left_bytes = 86 * MIB
    with pytest.raises(StorageError, match="plug"):
        await upload(bench, seed, 0)
    (offset,) = await bench.again().ingest.resume_offsets([UploadFile(f"host:/home/{seed}", BIG, 5)])
    return offset


async def test_upload_goes_on_where_the_node_says(breaking) -> None:
    offset = await interrupted_upload(breaking)
    assert offset == 64 * MIB
    added = await upload(breaking.again(), "big", offset)
    assert added.source.root == expected(V1_2025)
    assert added.reused_bytes == offset
    assert len(added.holding.owned) == 90


async def test_upload_may_begin_again_all_the_same(breaking) -> None:
    await interrupted_upload(breaking)
    added = await upload(breaking.again(), "big", 0)
    assert (added.source.root, added.reused_bytes) == (expected(V1_2025), 0)


async def test_offset_is_only_for_the_same_file_and_profile(breaking) -> None:
    await interrupted_upload(breaking)
    files = [
        UploadFile("host:/home/big", BIG + 1, 5), UploadFile("host:/home/big", BIG, 6),
        UploadFile("host:/home/other", BIG, 5), UploadFile("", BIG, 5), UploadFile("host:/home/big", 10, 5),
    ]  # fmt: skip
    assert await breaking.ingest.resume_offsets(files) == [0] * 5
    assert await breaking.ingest.resume_offsets([UploadFile("host:/home/big", BIG, 5)], V0_2015) == [0]


@pytest.mark.parametrize("offset", [1, 64 * MIB - 1, MIB, 89 * MIB, BIG])
async def test_offset_that_the_node_did_not_say_is_refused(breaking, offset: int) -> None:
    await interrupted_upload(breaking)
    with pytest.raises(UsageError, match="cannot continue"):
        await upload(breaking.again(), "big", offset)


async def test_finished_file_of_an_interrupted_folder_need_not_be_sent_again(breaking) -> None:
    data = {"a": content("a", 21 * MIB), "b": content("b", 60 * MIB)}

    async def entries(offsets: dict[str, int]) -> AsyncIterator[UploadEntry]:
        for name, each in data.items():

            async def chunks(name: str = name, each: bytes = each) -> AsyncIterator[bytes]:
                yield each[offsets[name] :]

            yield UploadEntry(
                name, "file", len(each), origin=f"h:/{name}", mtime_ns=1, offset=offsets[name], chunks=chunks()
            )

    breaking.storage.left_bytes = 70 * MIB
    with pytest.raises(StorageError, match="plug"):
        await breaking.ingest.add_tree("t", entries({"a": 0, "b": 0}), uploaded_totals(81 * MIB, 2), AddOptions())
    asked = [UploadFile(f"h:/{name}", len(each), 1) for name, each in data.items()]
    offsets = dict(zip(data, await breaking.ingest.resume_offsets(asked), strict=True))
    assert offsets["a"] == 21 * MIB
    added = await breaking.again().ingest.add_tree("t", entries(offsets), uploaded_totals(81 * MIB, 2), AddOptions())
    assert added.source.root == build_tree({}, data).cid
    assert added.reused_bytes == sum(offsets.values())
    assert await breaking.storage.load_state(b"ingest/") == {}


# --- what may come in an upload -------------------------------------------------------------------------------------


async def send(bench, *listed: UploadEntry):  # type: ignore[no-untyped-def]
    async def entries() -> AsyncIterator[UploadEntry]:
        for each in listed:
            yield each

    return await bench.ingest.add_tree("t", entries(), uploaded_totals(100, len(listed)), AddOptions())


async def pieces(*listed: bytes) -> AsyncIterator[bytes]:
    for each in listed:
        yield each


async def test_uploaded_folder_is_the_local_one(bench) -> None:
    added = await send(
        bench,
        UploadEntry("", "directory"),
        UploadEntry("d", "directory"),
        UploadEntry("d/x", "file", 3, chunks=pieces(b"a", b"", b"bc")),
        UploadEntry("d/e", "file", 0),
        UploadEntry("h", "directory"),
        UploadEntry("l", "symlink", target="d/x"),
    )
    assert added.source.root == build_tree({}, {"d/x": b"abc", "d/e": b"", "h": None, "l@": b"d/x"}).cid
    assert len(added.holding.owned) == added.source.leaf_count == 4


@pytest.mark.parametrize(
    ("size", "sent"), [(3, b""), (3, b"ab"), (3, b"abcd"), (0, b"x"), (5_000_000, b"x" * 4_999_999)]
)
async def test_file_that_is_not_as_long_as_announced_is_refused(bench, size: int, sent: bytes) -> None:
    with pytest.raises(UsageError, match="was announced with"):
        await send(bench, UploadEntry("x", "file", size, chunks=pieces(sent)))


@pytest.mark.parametrize(
    "entry",
    [UploadEntry("../x", "file"), UploadEntry("a//b", "file"), UploadEntry("/x", "file"), UploadEntry("a/..", "directory"),
     UploadEntry("x\0", "file"), UploadEntry("x", "device"), UploadEntry("x", "file", -1), UploadEntry("d/" * 200, "directory"),
     UploadEntry("n" * 2000, "file"), UploadEntry("./x", "symlink", target="y"),
     UploadEntry("\ud800", "file"), UploadEntry("x", "symlink", target="\ud800"), UploadEntry("x", "file", origin="\ud800")],
    ids=lambda entry: f"{entry.path[:9]!r} {entry.kind}",
)  # fmt: skip
async def test_entry_that_cannot_be_is_refused(bench, entry: UploadEntry) -> None:
    with pytest.raises(UsageError):
        await send(bench, entry)
    assert bench.storage.usage().reserved_bytes == 0


async def test_entry_sent_twice_is_refused(bench) -> None:
    with pytest.raises(UsageError, match="two entries"):
        await send(bench, UploadEntry("x", "file"), UploadEntry("x", "directory"))


async def test_upload_cannot_be_linked(bench) -> None:
    async def nothing() -> AsyncIterator[UploadEntry]:
        return
        yield

    with pytest.raises(UsageError, match="by reference"):
        await bench.ingest.add_tree("t", nothing(), uploaded_totals(0, 0), AddOptions(link=True))


async def test_upload_that_breaks_off_publishes_nothing(bench) -> None:
    async def torn() -> AsyncIterator[bytes]:
        yield b"ab"
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await send(bench, UploadEntry("x", "file", 5, chunks=torn()))
    assert bench.storage.usage().reserved_bytes == 0
