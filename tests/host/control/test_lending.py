"""Files that a client lends to the node: read with the client's rights, as they were, and closed in every case."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from ralnode.api import LocalError, UsageError
from ralnode.cli.client import NodeClient
from ralnode.cli.hashing import built_of
from ralnode.cli.lending import Lender
from ralnode.cli.packing import LENT_BYTES_MIN, Survey, pack, survey
from ralnode.dag import cid
from ralnode.dag.profile import V1_2025
from ralnode.host.control.lending import LENT_MAX, Lending
from ralnode.host.frames import Entry, Frame, Tag, encode
from ralnode.host.lendingpath import REFUSED, TAKEN, TICKET_BYTES, lending_path

T = TypeVar("T")
MIB = 1 << 20

if TYPE_CHECKING:
    from tests.host.control.conftest import ControlNode
else:
    ControlNode = Any


async def off_loop(work: Callable[[], T]) -> T:
    return await asyncio.to_thread(work)


def nothing_there(items: Any) -> list[int]:
    return [0] * len(items)


@contextmanager
def opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def send(client: NodeClient, frames: Iterator[bytes], found: Survey) -> dict[str, Any]:
    """The result."""
    params = {"name": "x", "content_bytes": found.content_bytes, "entry_count": found.entry_count}
    return dict(list(client.upload("/v1/add", params, frames))[-1]["result"])


def send_lent(client: NodeClient, top: Path, offset: int = 0) -> tuple[dict[str, Any], int]:
    """The result, and how many bytes went through the control socket for it."""
    sent_bytes = 0

    def counted(pieces: Iterator[bytes]) -> Iterator[bytes]:
        nonlocal sent_bytes
        for piece in pieces:
            sent_bytes += len(piece)
            yield piece

    with client.lender() as lender:
        found = survey(top, nothing_there, hidden=False)
        body = pack(top, lambda items: [offset] * len(items), lender.lend, hidden=False)
        return send(client, counted(body), found), sent_bytes


def one_file(size_bytes: int, ticket: bytes, mtime_ns: int) -> Iterator[bytes]:
    entry = Entry("", "file", size_bytes, mtime_ns=mtime_ns, ticket=ticket.hex())
    return map(encode, (entry.encode(), Frame(Tag.FILE_END), Frame(Tag.END)))


@pytest.fixture
async def control_socket(node: ControlNode, client: NodeClient, short_folder: Path) -> AsyncIterator[Path]:
    """Of the node behind `client`. Nothing that was lent may be open in the end."""
    node.storage.capacity_bytes = 10**9
    before = open_count()
    yield short_folder / "node.sock"
    async with asyncio.timeout(5):
        while open_count() > before:
            await asyncio.sleep(0.01)


def open_count() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_a_lent_tree_becomes_the_same_as_a_sent_one_and_is_not_sent(
    client: NodeClient, control_socket: Path, tmp_path: Path
) -> None:
    (tmp_path / "t" / "deep").mkdir(parents=True)
    sizes = (0, 1, LENT_BYTES_MIN - 1, LENT_BYTES_MIN, MIB, MIB + 1, 11 * MIB + 7)
    for size_bytes in sizes:
        (tmp_path / "t" / "deep" / str(size_bytes)).write_bytes(Random(size_bytes).randbytes(size_bytes))
    (tmp_path / "t" / "link").symlink_to("deep")
    result, sent_bytes = await off_loop(lambda: send_lent(client, tmp_path / "t"))
    whole = built_of(tmp_path / "t", V1_2025, lambda _: None, hidden=False)
    assert (result["root"], result["size_bytes"]) == (cid.to_text(whole.cid), sum(sizes))
    assert sent_bytes < sum(size for size in sizes if size < LENT_BYTES_MIN) + 10_000


async def test_an_upload_goes_on_with_a_lent_file(
    client: NodeClient, control_socket: Path, node: ControlNode, tmp_path: Path
) -> None:
    top = tmp_path / "f"
    top.write_bytes(Random(5).randbytes(130 * MIB))
    found = survey(top, nothing_there, hidden=False)

    def broken() -> Iterator[bytes]:
        with closing(pack(top, nothing_there, lambda _: "", hidden=False)) as whole:
            for _ in range(220):
                yield next(whole)
            raise OSError("the cable was pulled")

    with pytest.raises(OSError, match="cable"):
        await off_loop(lambda: send(client, broken(), found))
    files = {"files": [[str(top), found.content_bytes, top.stat().st_mtime_ns]]}
    async with asyncio.timeout(30):
        while not (offset := (await off_loop(lambda: client.post("/v1/add-offsets", {}, files)))["offsets"][0]):
            await asyncio.sleep(0.02)
    result, _ = await off_loop(lambda: send_lent(client, top, offset))
    assert result["root"] == cid.to_text(built_of(top, V1_2025, lambda _: None, hidden=False).cid)
    assert result["reused_bytes"] == offset


async def test_the_file_that_was_opened_is_read_whatever_lies_at_its_name_now(
    client: NodeClient, control_socket: Path, tmp_path: Path
) -> None:
    """The node opens nothing by name, so it cannot be led to what only it may read."""
    secret, mine = tmp_path / "secret", tmp_path / "mine"
    secret.write_bytes(b"s" * MIB)
    mine.write_bytes(b"m" * MIB)
    root = cid.to_text(built_of(mine, V1_2025, lambda _: None, hidden=False).cid)
    mtime_ns = mine.stat().st_mtime_ns
    with client.lender() as lender, opened(mine) as descriptor:
        ticket = bytes.fromhex(await off_loop(lambda: lender.lend(descriptor)))
        mine.unlink()
        mine.symlink_to(secret)
        result = await off_loop(lambda: send(client, one_file(MIB, ticket, mtime_ns), Survey(MIB, 0, 1)))
    assert result["root"] == root


@pytest.mark.parametrize(("size_change", "mtime_change"), [(-1, 0), (1, 0), (0, 1)])
async def test_a_lent_file_that_is_not_what_was_announced_is_refused(
    client: NodeClient, control_socket: Path, node: ControlNode, tmp_path: Path, size_change: int, mtime_change: int
) -> None:
    top = tmp_path / "f"
    top.write_bytes(bytes(3 * MIB))
    size, mtime_ns = 3 * MIB + size_change, top.stat().st_mtime_ns + mtime_change
    before = list(node.engine.sources())
    with client.lender() as lender, opened(top) as descriptor:
        ticket = bytes.fromhex(await off_loop(lambda: lender.lend(descriptor)))
        with pytest.raises(LocalError, match="changed"):
            await off_loop(lambda: send(client, one_file(size, ticket, mtime_ns), Survey(size, 0, 1)))
    assert list(node.engine.sources()) == before


@pytest.mark.parametrize("what", ["/dev/zero", "folder", "pipe"])
async def test_what_is_no_file_is_not_read(
    client: NodeClient, control_socket: Path, short_folder: Path, what: str
) -> None:
    """Reading it might never end, or wait for ever."""
    (short_folder / "folder").mkdir()
    os.mkfifo(short_folder / "pipe")
    writer = os.open(short_folder / "pipe", os.O_RDWR)
    with client.lender() as lender, opened(short_folder / what) as descriptor:
        ticket = bytes.fromhex(await off_loop(lambda: lender.lend(descriptor)))
        with pytest.raises(LocalError, match="no file"):
            await off_loop(lambda: send(client, one_file(MIB, ticket, 0), Survey(MIB, 0, 1)))
    os.close(writer)


async def test_a_ticket_is_good_for_one_entry_of_an_upload(
    client: NodeClient, control_socket: Path, tmp_path: Path
) -> None:
    top = tmp_path / "f"
    top.write_bytes(bytes(MIB))
    with client.lender() as lender, opened(top) as descriptor:
        ticket = bytes.fromhex(await off_loop(lambda: lender.lend(descriptor)))
        mtime_ns = top.stat().st_mtime_ns
        await off_loop(lambda: send(client, one_file(MIB, ticket, mtime_ns), Survey(MIB, 0, 1)))
        for again in (one_file(MIB, ticket, mtime_ns), one_file(MIB, b"?" * TICKET_BYTES, 0)):
            with pytest.raises(UsageError, match="not lent"):
                await off_loop(lambda frames=again: send(client, frames, Survey(MIB, 0, 1)))  # type: ignore[misc]
        not_hex = encode(Frame(Tag.ENTRY, b'{"path": "", "kind": "file", "size_bytes": 1, "ticket": "zz"}'))
        with pytest.raises(UsageError, match="not lent"):
            await off_loop(lambda: send(client, iter([not_hex]), Survey(1, 0, 1)))


async def test_what_was_lent_is_closed_when_the_client_hangs_up(
    client: NodeClient, control_socket: Path, tmp_path: Path
) -> None:
    top = tmp_path / "f"
    top.write_bytes(b"x")
    with client.lender() as lender, opened(top) as descriptor:
        ticket = bytes.fromhex(await off_loop(lambda: lender.lend(descriptor)))
    async with asyncio.timeout(5):
        while True:
            with pytest.raises((UsageError, LocalError)) as refusal:  # LocalError: it has not noticed yet
                await off_loop(lambda: send(client, one_file(9, ticket, 0), Survey(9, 0, 1)))
            if "not lent" in str(refusal.value):
                return


@pytest.mark.parametrize("size_bytes", [20 * MIB, 200 * MIB], ids=["all is read", "in the middle"])
async def test_hanging_up_ends_the_add(
    client: NodeClient, control_socket: Path, node: ControlNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    size_bytes: int,
) -> None:  # fmt: skip
    """Even if nothing is left to be sent, so that the node does not look at the connection."""
    with (tmp_path / "f").open("wb") as file:
        file.truncate(size_bytes)
    begun, hung_up, put = asyncio.Event(), asyncio.Event(), node.storage.put

    async def slow(blocks: Any, reservation: Any = None, written: Any = None) -> None:
        begun.set()
        await hung_up.wait()
        await put(blocks, reservation, written)

    def interrupted(lines: Generator[Any, None, None], loop: asyncio.AbstractEventLoop) -> None:
        with closing(lines):
            next(lines)
            asyncio.run_coroutine_threadsafe(begun.wait(), loop).result()

    monkeypatch.setattr(node.storage, "put", slow)
    with client.lender() as lender, closing(pack(tmp_path / "f", nothing_there, lender.lend, hidden=False)) as body:
        params = {"name": "x", "content_bytes": size_bytes, "entry_count": 1}
        loop = asyncio.get_running_loop()
        await off_loop(lambda: interrupted(client.upload("/v1/add", params, body), loop))
    hung_up.set()
    async with asyncio.timeout(10):
        while any("run_asgi" in str(task.get_coro()) for task in asyncio.all_tasks()):
            await asyncio.sleep(0.01)
    assert "x" not in [source.name for source in node.engine.sources()]


async def test_no_more_are_taken_than_the_node_may_have_open(
    client: NodeClient, control_socket: Path, tmp_path: Path
) -> None:
    (tmp_path / "f").write_bytes(b"x")
    with client.lender() as lender, opened(tmp_path / "f") as descriptor:
        taken = await off_loop(lambda: [bool(lender.lend(descriptor)) for _ in range(LENT_MAX + 3)])
    assert taken == [True] * LENT_MAX + [False] * 3


async def test_whoever_speaks_another_language_is_hung_up_on(control_socket: Path, tmp_path: Path) -> None:
    path = str(lending_path(control_socket))
    (tmp_path / "f").write_bytes(b"x")

    def say(words: bytes, count: int) -> bytes:
        with closing(socket.socket(socket.AF_UNIX)) as connection, opened(tmp_path / "f") as descriptor:
            connection.settimeout(5)
            connection.connect(path)
            socket.send_fds(connection, [words], [descriptor] * count)
            return connection.recv(1)

    for words, count, answer in (
        (b"GET / HTTP/1.1\r\n", 0, REFUSED), (b"short", 1, b""), (b"short", 0, b""), (b"t" * TICKET_BYTES, 1, TAKEN),
        (b"u" * TICKET_BYTES, 0, REFUSED), (b"v" * TICKET_BYTES, 200, TAKEN),
    ):  # fmt: skip
        assert await off_loop(lambda args=(words, count): say(*args)) == answer, (words, count)  # type: ignore[misc]


async def test_the_same_people_may_lend_as_may_command(client: NodeClient, control_socket: Path) -> None:
    path = lending_path(control_socket)
    assert path is not None
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(control_socket.stat().st_mode)


async def test_the_socket_is_gone_afterwards_and_there_is_none_where_its_path_is_too_long(short_folder: Path) -> None:
    path = short_folder / "a.sock"
    async with Lending(path):
        assert [each.name for each in short_folder.iterdir()] == ["a.sock.files"]
    assert list(short_folder.iterdir()) == []
    long = short_folder / ("x" * (105 - len(str(short_folder))))
    async with Lending(long):
        assert list(short_folder.iterdir()) == []


def test_without_a_node_that_borrows_content_is_sent(short_folder: Path) -> None:
    (short_folder / "f").write_bytes(b"x")
    with Lender([short_folder / "node.sock"]) as lender, opened(short_folder / "f") as descriptor:
        assert lender.lend(descriptor) == ""
