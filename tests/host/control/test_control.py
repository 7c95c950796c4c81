"""The control socket from the outside, with the client of the command line and the real ingest, index and reader."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from ralnode.api import (
    Block,
    ClusterStatus,
    NotFoundError,
    RalnodeError,
    RefusedError,
    StorageFullError,
    UnavailableError,
    UsageError,
)
from ralnode.cli.client import NodeClient, UnixConnection
from ralnode.cli.hashing import built_of
from ralnode.cli.packing import pack, survey
from ralnode.dag import cid, pb, varint
from ralnode.dag.car import CarReader, encode_header, encode_section
from ralnode.dag.profile import V1_2025, choose
from ralnode.host.frames import Entry, Frame, Tag, encode
from ralnode.host.jsonable import from_jsonable

T = TypeVar("T")
MIB = 1 << 20

if TYPE_CHECKING:
    from tests.host.control.conftest import ControlNode, FakeReading
else:
    ControlNode = FakeReading = Any


async def off_loop(work: Callable[[], T]) -> T:
    """The client blocks, the server is on this loop."""
    return await asyncio.to_thread(work)


async def frames_of(client: NodeClient, path: str, **params: Any) -> list[Frame]:
    return await off_loop(lambda: list(client.frames(path, params)))


def entries_of(frames: list[Frame]) -> dict[str, bytes]:
    """Path -> content, with kinds in the way of `ls -F`."""
    found: dict[str, list[bytes]] = {}
    name = ""
    for frame in frames:
        if frame.tag == Tag.ENTRY:
            entry = Entry.decode(frame.payload)
            name = entry.path + {"file": "", "directory": "/", "symlink": "@" + entry.target}[entry.kind]
            found[name] = []
        elif frame.tag == Tag.DATA:
            found[name].append(frame.payload)
    return {name: b"".join(pieces) for name, pieces in found.items()}


def nothing_there(items: Any) -> list[int]:
    return [0] * len(items)


def not_lent(_descriptor: int) -> str:
    """Everything is sent; see test_lending.py for what is lent."""
    return ""


def tree(folder: Path) -> Path:
    (folder / "t" / "deep" / "er").mkdir(parents=True)
    (folder / "t" / "a.txt").write_bytes(b"a")
    (folder / "t" / "deep" / "er" / "large").write_bytes(b"0123456789" * 250_000)
    (folder / "t" / "deep" / "empty").write_bytes(b"")
    (folder / "t" / "link").symlink_to("a.txt")
    (folder / "t" / "Grüße").write_bytes(b"x")
    (folder / "t" / ".hidden").write_bytes(b"h")
    return folder / "t"


async def upload(client: NodeClient, top: Path, **params: Any) -> list[dict[str, Any]]:
    found = survey(top, nothing_there, hidden=False)
    sums = {"content_bytes": found.content_bytes, "entry_count": found.entry_count}
    params = {"name": top.name, **sums, **params}
    return await off_loop(
        lambda: list(client.upload("/v1/add", params, pack(top, nothing_there, not_lent, hidden=False)))
    )


# --- commands -------------------------------------------------------------------------------------------------------


async def test_a_command_is_answered(client: NodeClient, node: ControlNode) -> None:
    answer = await off_loop(lambda: client.command("status"))
    assert from_jsonable(ClusterStatus, answer).me == node.status().me


async def test_an_error_comes_out_as_the_class_it_was(client: NodeClient) -> None:
    with pytest.raises(RefusedError, match="Nothing was changed"):
        await off_loop(lambda: client.command("capacity", {"capacity_bytes": 1}))
    with pytest.raises(NotFoundError, match="did you mean"):
        await off_loop(lambda: client.command("stat"))
    with pytest.raises(UsageError, match="unknown key"):
        await off_loop(lambda: client.command("status", {"x": 1}))


async def test_a_command_for_another_node_goes_there(client: NodeClient, other: ControlNode) -> None:
    assert (await off_loop(lambda: client.on("cellar").command("capacity")))["node"] == "cellar"
    with pytest.raises(RefusedError, match="leave --node out"):
        await off_loop(lambda: list(client.on("cellar").lines("GET", "/v1/watch")))


async def test_a_fault_of_ours_is_told_without_a_traceback(
    client: NodeClient, node: ControlNode, caplog: pytest.LogCaptureFixture
) -> None:
    node.join_code = lambda: 1 / 0
    with pytest.raises(RalnodeError, match="fault of ralnode"):
        await off_loop(lambda: client.command("invite"))
    assert "ZeroDivisionError" in caplog.text


def ask(client: NodeClient, method: str, target: str, body: bytes | None = None) -> tuple[int, Any]:
    connection: HTTPConnection = UnixConnection(client._sockets[0], 5)
    connection.request(method, target, body)
    response = connection.getresponse()
    found = response.status, json.loads(response.read())
    connection.close()
    return found


@pytest.mark.parametrize(
    ("method", "target", "body", "status", "kind"),
    [
        ("GET", "/v1/nothing", None, 404, "NotFoundError"),
        ("GET", "/v1/command/status", None, 404, "NotFoundError"),
        ("POST", "/v1/command/status", b"{", 400, "UsageError"),
        ("POST", "/v1/command/status", b"[1]", 400, "UsageError"),
        ("POST", "/v1/command/status", b"[" * 30_000, 400, "UsageError"),
        ("POST", "/v1/command/status", b" " * 70_000, 400, "UsageError"),
        ("GET", "/v1/read", None, 400, "UsageError"),
        ("GET", "/v1/read?ref=a&ref=b", None, 400, "UsageError"),
        ("GET", "/v1/read?ref=a&offset=-1", None, 400, "UsageError"),
        ("GET", "/v1/read?ref=a&offset=x", None, 400, "UsageError"),
        ("GET", "/v1/read?ref=nothing", None, 404, "NotFoundError"),
        ("GET", "/v1/list?name=a", None, 400, "UsageError"),
        ("POST", "/v1/add?copies=0", b"", 400, "UsageError"),
        ("POST", "/v1/add?profile=none", b"", 400, "UsageError"),
        ("POST", "/v1/add?name=%1b", b"", 400, "UsageError"),
        ("POST", "/v1/add-path?path=etc", None, 400, "UsageError"),
        ("POST", "/v1/add-offsets", b"{}", 400, "UsageError"),
        ("POST", "/v1/add-offsets", b'{"files": [["a", -1, 0]]}', 400, "UsageError"),
        ("POST", "/v1/add-offsets", b'{"files": [["a", 1]]}', 400, "UsageError"),
    ],
)
async def test_wrong_requests_are_refused_as_json(
    client: NodeClient, method: str, target: str, body: bytes | None, status: int, kind: str
) -> None:
    found, table = await off_loop(lambda: ask(client, method, target, body))
    assert (found, table["class"]) == (status, kind)
    assert table["error"] and isinstance(table["exit_code"], int)


async def test_without_a_node_the_client_says_what_to_do(short_folder: Path) -> None:
    with pytest.raises(UnavailableError, match="ralnode run"):
        NodeClient([short_folder / "a", short_folder / "b"]).command("status")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(short_folder / "a"))
        with pytest.raises(UnavailableError, match="ralnode run"):
            NodeClient([short_folder / "a"]).command("status")


# --- reading --------------------------------------------------------------------------------------------------------


@pytest.fixture
def shelf(node: ControlNode, request: pytest.FixtureRequest) -> dict[str, FakeReading]:
    made = type(node.control).reading
    node.control.tree = {
        "film": made("film", "file", bytes(range(256)) * 20_000),
        "link": made("link", "symlink", target="../elsewhere"),
        "box": made("box", "directory", children={
            "a": made("a", "file", b"aa"),
            "in": made("in", "directory", children={"b": made("b", "file"), "c": made("c", "symlink", target="b")}),
            "z": made("z", "file", b"z"),
        }),
    }  # fmt: skip
    return node.control.tree


async def test_a_file_is_read_whole_in_frames_of_bounded_size(
    client: NodeClient, shelf: dict[str, FakeReading]
) -> None:
    frames = await frames_of(client, "/v1/read", ref="film")
    assert entries_of(frames) == {"": shelf["film"].data}
    assert max(len(frame.payload) for frame in frames) <= MIB
    assert Entry.decode(frames[0].payload).cid == cid.to_text(shelf["film"].cid)


@pytest.mark.parametrize(("offset", "length"), [(0, 0), (0, 1), (5, 100), (5_000_000, 1 << 40), (9_999_999_999, 1)])
async def test_a_range_is_read(client: NodeClient, shelf: dict[str, FakeReading], offset: int, length: int) -> None:
    frames = await frames_of(client, "/v1/read", ref="film", offset=offset, length=length)
    assert entries_of(frames) == {"": shelf["film"].data[offset : offset + length]}


async def test_a_folder_is_read_depth_first(client: NodeClient, shelf: dict[str, FakeReading]) -> None:
    found = entries_of(await frames_of(client, "/v1/read", ref="box"))
    assert list(found) == ["/", "a", "in/", "in/b", "in/c@b", "z"]
    assert (found["a"], found["z"]) == (b"aa", b"z")


async def test_only_files_have_ranges(client: NodeClient, shelf: dict[str, FakeReading]) -> None:
    with pytest.raises(UsageError, match="only files have ranges"):
        await frames_of(client, "/v1/read", ref="box", offset=1)


async def test_a_symlink_is_told_not_followed(client: NodeClient, shelf: dict[str, FakeReading]) -> None:
    assert list(entries_of(await frames_of(client, "/v1/read", ref="link"))) == ["@../elsewhere"]


async def test_an_error_in_the_middle_comes_out_after_what_could_be_read(
    client: NodeClient, shelf: dict[str, FakeReading]
) -> None:
    shelf["film"].fails_at = 3 * MIB
    got: list[Frame] = []

    def read() -> None:
        got.extend(client.frames("/v1/read", {"ref": "film"}))

    with pytest.raises(NotFoundError, match="nobody has this block"):
        await off_loop(read)
    assert sum(len(frame.payload) for frame in got if frame.tag == Tag.DATA) == 4 * MIB


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "x" * 5000, "nul\0"])
async def test_a_folder_with_a_name_that_leads_out_is_refused(
    client: NodeClient, shelf: dict[str, FakeReading], name: str
) -> None:
    shelf["box"].children = {name: shelf["film"]}
    with pytest.raises(RefusedError, match="cannot be written to a disk"):
        await frames_of(client, "/v1/read", ref="box")


async def test_a_folder_without_an_end_is_refused(client: NodeClient, shelf: dict[str, FakeReading]) -> None:
    deepest = shelf["box"]
    for _ in range(300):
        inner = type(deepest)("d", "directory")
        deepest.children = {"d": inner}
        deepest = inner
    with pytest.raises(RefusedError, match="levels deep"):
        await frames_of(client, "/v1/read", ref="box")


async def test_reading_stops_when_the_reader_leaves(client: NodeClient, shelf: dict[str, FakeReading]) -> None:
    film = shelf["film"]
    film.data = bytes(200 * MIB)

    def look() -> None:
        frames = client.frames("/v1/read", {"ref": "film"})
        next(frames)
        frames.close()

    await off_loop(look)
    async with asyncio.timeout(30):
        while film.ended_at is None:
            await asyncio.sleep(0.01)
    assert film.ended_at < 100 * MIB


async def test_a_folder_is_listed(client: NodeClient, shelf: dict[str, FakeReading]) -> None:
    lines = await off_loop(lambda: list(client.lines("GET", "/v1/list", {"ref": "box"})))
    assert lines[0]["kind"] == "directory"
    assert [(line["path"], line["size_bytes"]) for line in lines[1:]] == [("a", 2), ("in", 0), ("z", 1)]


async def test_watching_gives_a_line_for_every_change(client: NodeClient) -> None:
    lines = await off_loop(lambda: list(client.lines("GET", "/v1/watch")))
    assert len(lines) == 3
    assert all(from_jsonable(ClusterStatus, line).sentence for line in lines)


# --- adding ---------------------------------------------------------------------------------------------------------


async def test_an_uploaded_folder_comes_back_the_same(client: NodeClient, node: ControlNode, tmp_path: Path) -> None:
    node.storage.capacity_bytes = 10**8
    top = tree(tmp_path)
    lines = await upload(client, top, copies=3, priority=4)
    result = lines[-1]["result"]
    expected = built_of(top, V1_2025, lambda _: None, hidden=False)
    assert result["root"] == cid.to_text(expected.cid)
    source = node.engine.source(expected.cid)
    assert (source.name, source.copies, source.priority, source.is_directory) == ("t", 3, 4, True)
    found = entries_of(await frames_of(client, "/v1/read", ref="t"))
    assert found["deep/er/large"] == (top / "deep/er/large").read_bytes()
    assert set(found) == {"/", "a.txt", "deep/", "deep/er/", "deep/er/large", "deep/empty", "link@a.txt", "Grüße"}


@pytest.mark.parametrize("profile", ["unixfs-v1-2025", "unixfs-v0-2015", "poc-128k"])
async def test_the_profile_decides_the_cid(client: NodeClient, node: ControlNode, tmp_path: Path, profile: str) -> None:
    node.storage.capacity_bytes = 10**8
    top = tree(tmp_path) / "deep/er/large"
    lines = await upload(client, top, profile=profile)
    assert lines[-1]["result"]["root"] == cid.to_text(built_of(top, choose(profile), lambda _: None, hidden=False).cid)


async def test_progress_is_told_and_never_goes_back(client: NodeClient, node: ControlNode, tmp_path: Path) -> None:
    node.storage.capacity_bytes = 10**9
    (tmp_path / "f").write_bytes(bytes(range(256)) * 4096 * 40)
    lines = await upload(client, tmp_path / "f")
    done = [line["progress"]["bytes_done"] for line in lines[:-1]]
    assert done == sorted(done)
    assert lines[0]["progress"]["bytes_done"] == 0
    assert lines[-1]["result"]["size_bytes"] == 40 * MIB


async def test_what_does_not_fit_is_refused_before_anything_is_stored(
    client: NodeClient, node: ControlNode, tmp_path: Path
) -> None:
    (tmp_path / "f").write_bytes(bytes(2_000_000))
    before = node.storage.usage()
    with pytest.raises(StorageFullError, match="Ways out"):
        await upload(client, tmp_path / "f")
    assert node.storage.usage() == before


async def test_an_upload_that_breaks_off_publishes_nothing_and_goes_on_later(
    client: NodeClient, node: ControlNode, tmp_path: Path
) -> None:
    node.storage.capacity_bytes = 10**9
    top = tmp_path / "f"
    top.write_bytes(Random(1).randbytes(200 * MIB))
    size = top.stat().st_size
    whole = list(pack(top, nothing_there, not_lent, hidden=False))
    sums = {"name": "f", "content_bytes": size, "entry_count": 1}

    def broken() -> Iterator[bytes]:
        yield from whole[: len(whole) * 3 // 4]
        raise OSError("the cable was pulled")

    with pytest.raises(OSError, match="cable"):
        await off_loop(lambda: list(client.upload("/v1/add", sums, broken())))
    assert {source.name for source in node.engine.sources()} == {"film", "book"}

    files = {"files": [[str(top), size, top.stat().st_mtime_ns]]}
    async with asyncio.timeout(30):  # the server may still be making durable what had come
        while not (offset := (await off_loop(lambda: client.post("/v1/add-offsets", {}, files)))["offsets"][0]):
            await asyncio.sleep(0.02)
    assert 0 < offset < size
    rest = list(pack(top, lambda items: [offset], not_lent, hidden=False))
    assert sum(map(len, rest)) < size - offset + 100_000
    lines = await off_loop(lambda: list(client.upload("/v1/add", {**sums, "here_bytes": offset}, rest)))
    assert lines[-1]["result"]["reused_bytes"] == offset
    assert entries_of(await frames_of(client, "/v1/read", ref="f")) == {"": top.read_bytes()}


@pytest.mark.parametrize(
    ("frames", "says"),
    [
        ([], "cut off"),
        ([Entry("", "file", 3).encode()], "cut off"),
        ([Entry("", "file", 3).encode(), Frame(Tag.FILE_END), Frame(Tag.END)], "announced with 3 bytes and 0 came"),
        (
            [Entry("", "file", 1).encode(), Frame(Tag.DATA, b"abc"), Frame(Tag.FILE_END), Frame(Tag.END)],
            "announced with 1",
        ),
        ([Frame(Tag.DATA, b"abc"), Frame(Tag.END)], "wrong place"),
        ([Entry("", "file", 1).encode(), Entry("", "file", 1).encode()], "middle of a file"),
        ([Frame(Tag.ENTRY, b'{"path": "../x", "kind": "file"}'), Frame(Tag.END)], "plain relative path"),
        (
            [Entry("", "file", 9, origin="/x", offset=4).encode(), Frame(Tag.DATA, b"56789"), Frame(Tag.FILE_END)],
            "byte 4",
        ),
        ([Frame(Tag.ENTRY, b"{")], "malformed"),
    ],
)
async def test_a_malformed_upload_is_refused_and_publishes_nothing(
    client: NodeClient, node: ControlNode, frames: list[Frame], says: str
) -> None:
    before = list(node.engine.sources())
    params = {"name": "x", "content_bytes": 100, "entry_count": 1}
    with pytest.raises(UsageError, match=says):
        await off_loop(lambda: list(client.upload("/v1/add", params, map(encode, frames))))
    assert list(node.engine.sources()) == before


async def test_a_slow_disk_slows_the_client(client: NodeClient, node: ControlNode, tmp_path: Path) -> None:
    node.storage.capacity_bytes = 10**9
    release, put, sent = asyncio.Event(), node.storage.put, 0

    async def slow(blocks: Any, reservation: Any = None, written: Any = None) -> None:
        await release.wait()
        await put(blocks, reservation, written)

    def body() -> Iterator[bytes]:
        nonlocal sent
        yield encode(Entry("", "file", 300 * MIB).encode())
        for number in range(300):
            sent += MIB
            yield encode(Frame(Tag.DATA, number.to_bytes(4, "big") * (MIB // 4)))
        yield encode(Frame(Tag.FILE_END)) + encode(Frame(Tag.END))

    node.storage.put = slow
    params = {"name": "f", "content_bytes": 300 * MIB, "entry_count": 1}
    sending = asyncio.create_task(off_loop(lambda: list(client.upload("/v1/add", params, body()))))
    seen = -1
    while sent != seen or not sent:
        seen = sent
        await asyncio.sleep(0.5)
    assert sent < 80 * MIB
    release.set()
    assert (await sending)[-1]["result"]["size_bytes"] == 300 * MIB


async def test_a_path_is_added_by_reference(client: NodeClient, node: ControlNode, tmp_path: Path) -> None:
    top = tree(tmp_path)
    lines = await off_loop(lambda: list(client.lines("POST", "/v1/add-path", {"path": str(top), "hidden": True})))
    result = lines[-1]["result"]
    assert result["is_linked"] is True
    assert result["root"] == cid.to_text(built_of(top, V1_2025, lambda _: None, hidden=True).cid)
    assert node.storage.usage().linked_bytes >= 2_500_000
    found = entries_of(await frames_of(client, "/v1/read", ref="t"))
    assert (found[".hidden"], found["a.txt"]) == (b"h", b"a")


async def test_a_path_that_is_not_there_is_named(client: NodeClient, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="No such file"):
        await off_loop(lambda: list(client.lines("POST", "/v1/add-path", {"path": str(tmp_path / "no")})))


# --- CAR files ------------------------------------------------------------------------------------------------------


async def car_of(client: NodeClient, reference: str) -> bytes:
    return b"".join(f.payload for f in await frames_of(client, "/v1/export", ref=reference) if f.tag == Tag.DATA)


async def bring(client: NodeClient, car: bytes, **params: Any) -> list[dict[str, Any]]:
    pieces = [car[at : at + 100_000] for at in range(0, len(car), 100_000)]
    query = {"content_bytes": len(car), **params}
    lines = await off_loop(lambda: list(client.upload("/v1/import", query, pieces)))
    return [line["result"] for line in lines if "result" in line]


async def test_what_is_exported_can_be_imported_elsewhere(
    client: NodeClient, node: ControlNode, tmp_path: Path
) -> None:
    node.storage.capacity_bytes = 10**8
    added = (await upload(client, tree(tmp_path)))[-1]["result"]
    car = await car_of(client, "t")
    await off_loop(lambda: client.command("rm", {"source": "t"}))
    blocks = [
        key for key in list(node.storage._blocks) if key not in {cid.make(cid.RAW, b"leaf %d" % i) for i in range(10)}
    ]
    await node.storage.delete(blocks)
    (result,) = await bring(client, car, name="again")
    assert {**result, "name": "t", "reused_bytes": 0} == {**added, "reused_bytes": 0}
    found = entries_of(await frames_of(client, "/v1/read", ref="again"))
    assert found["deep/er/large"] == (tmp_path / "t/deep/er/large").read_bytes()


async def test_each_root_of_a_car_becomes_a_source(client: NodeClient, node: ControlNode) -> None:
    one, two = cid.make(cid.RAW, b"one"), cid.make(cid.RAW, b"two")
    car = encode_header([one, two]) + encode_section(one, b"one") + encode_section(two, b"two")
    results = await bring(client, car, name="ignored for several")
    assert [result["name"] for result in results] == [cid.to_text(one), cid.to_text(two)]
    assert {source.root for source in node.engine.sources()} >= {one, two}


def node_car(levels: int, links_of: Callable[[bytes, int], tuple[list[pb.Link], bytes]]) -> bytes:
    """A leaf, and nodes above it, each made from the one before: root first."""
    key, size, sections = cid.make(cid.RAW, b"x"), 1, [encode_section(cid.make(cid.RAW, b"x"), b"x")]
    for _ in range(levels):
        links, data = links_of(key, size)
        block = pb.encode(links, data)
        key, size = cid.make(cid.DAG_PB, block), size * len(links)
        sections.append(encode_section(key, block))
    return encode_header([key]) + b"".join(reversed(sections))


def doubling_car(levels: int) -> bytes:
    def links_of(key: bytes, size: int) -> tuple[list[pb.Link], bytes]:
        one = varint.encode(size)
        data = b"\x08\x02\x18" + varint.encode(2 * size) + (b"\x20" + one) * 2
        return [pb.Link(key, b"", 9)] * 2, data

    return node_car(levels, links_of)


def nested_car(levels: int) -> bytes:
    return node_car(levels, lambda key, _size: ([pb.Link(key, b"in", 9)], b"\x08\x01"))


def lying_car() -> bytes:
    """A file node whose part is a file node with less in it."""
    inner = pb.encode([], b"\x08\x02\x12\x01x\x18\x01")
    key = cid.make(cid.DAG_PB, inner)
    outer = pb.encode([pb.Link(key, b"", len(inner))], b"\x08\x02\x18\x63\x20\x63")
    root = cid.make(cid.DAG_PB, outer)
    return encode_header([root]) + encode_section(root, outer) + encode_section(key, inner)


def bad_cars() -> dict[str, bytes]:
    one, two = cid.make(cid.RAW, b"one"), cid.make(cid.RAW, b"two")
    good = encode_header([one]) + encode_section(one, b"one")
    return {
        "nothing": b"",
        "noise": b"\x7f" * 300,
        "cut off": good[:-1],
        "wrong hash": encode_header([one]) + encode_section(one, b"eno"),
        "no root": encode_header([]) + encode_section(one, b"one"),
        "root missing": encode_header([two]) + encode_section(one, b"one"),
        "100,000 empty sections": good + bytes(100_000),
        "endlessly many leaves": doubling_car(40),
        "too deep": nested_car(300),
        "lying sizes": lying_car(),
        "too many roots": encode_header([cid.make(cid.RAW, b"%d" % n) for n in range(2000)]),
    }


@pytest.mark.parametrize("name", list(bad_cars()))
async def test_a_bad_car_is_refused_and_publishes_nothing(
    client: NodeClient, node: ControlNode, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ralnode.host.dagindex.STRANGE_REVISITS_MAX", 2000)
    before = list(node.engine.sources())
    with pytest.raises(UsageError):
        await bring(client, bad_cars()[name])
    assert list(node.engine.sources()) == before
    assert node.storage.usage().reserved_bytes == 0


async def test_a_car_that_does_not_fit_is_refused_before_anything_is_stored(
    client: NodeClient, node: ControlNode
) -> None:
    before = node.storage.usage()
    with pytest.raises(StorageFullError, match="Ways out"):
        await bring(client, b"x", content_bytes=10**7)
    assert node.storage.usage() == before


async def test_exporting_what_is_out_of_reach_ends_with_the_reason(
    client: NodeClient, node: ControlNode, tmp_path: Path
) -> None:
    node.storage.capacity_bytes = 10**8
    await upload(client, tree(tmp_path))
    lost = next(key for key, data in node.storage._blocks.items() if len(data) == MIB)
    await node.storage.delete([lost])
    with pytest.raises(UnavailableError, match="cannot export"):
        await car_of(client, "t")


async def test_a_single_block_can_be_exported_by_its_cid(client: NodeClient, node: ControlNode) -> None:
    await node.storage.put([Block(cid.make(cid.RAW, b"alone"), b"alone")])
    alone = cid.make(cid.RAW, b"alone")
    assert await car_of(client, cid.to_text(alone)) == encode_header([alone]) + encode_section(alone, b"alone")


FIXTURES = Path(__file__).parents[2] / "plugins/gateway_ipfs/fixtures"
WHOLE = sorted(
    path.name for path in FIXTURES.glob("*.car") if path.stem not in (
        "file-3k-and-3-blocks-missing-block", "dir-with-dag-cbor-with-links",
    )
)  # fmt: skip
"""Made by other tools; of the two that are left out blocks are missing, or are no files."""


@pytest.mark.parametrize("name", WHOLE)
async def test_cars_of_other_tools_come_back_byte_for_byte(client: NodeClient, node: ControlNode, name: str) -> None:
    node.storage.capacity_bytes = 10**8
    data = (FIXTURES / name).read_bytes()
    (result,) = await bring(client, data)
    assert await car_of(client, result["root"]) == data


async def test_a_carv2_brings_what_its_carv1_would(client: NodeClient, node: ControlNode) -> None:
    inner = (FIXTURES / "subdir-with-two-single-block-files.car").read_bytes()
    head = bytes.fromhex("0aa16776657273696f6e02") + bytes(16)
    head += (
        (51 + 100).to_bytes(8, "little") + len(inner).to_bytes(8, "little") + (151 + len(inner)).to_bytes(8, "little")
    )
    results = await bring(client, head + bytes(100) + inner + b"\x80\x08 an index")
    assert await car_of(client, results[0]["root"]) == inner


async def test_all_sources_go_into_one_car(client: NodeClient, node: ControlNode) -> None:
    for source in list(node.engine.sources()):  # of the tests before
        await off_loop(lambda root=source.root: client.command("rm", {"source": cid.to_text(root)}))
    one, two = cid.make(cid.RAW, b"first"), cid.make(cid.RAW, b"second")
    await bring(client, encode_header([one]) + encode_section(one, b"first"))
    await bring(client, encode_header([two]) + encode_section(two, b"second"))
    frames = await frames_of(client, "/v1/export")
    data = b"".join(frame.payload for frame in frames if frame.tag == Tag.DATA)
    reader = CarReader()
    blocks = dict(reader.feed(data))
    reader.finish()
    assert reader.roots == tuple(source.root for source in node.engine.sources())
    assert (blocks[one], blocks[two]) == (b"first", b"second")
