"""The unix socket itself: rights, leftovers, closing."""

from __future__ import annotations

import asyncio
import socket
import stat
from pathlib import Path
from typing import Any

import pytest

from ralnode.api import ConfigError, LocalError
from ralnode.host.control.server import ControlServer, bind


async def hello(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello"})


async def ask(path: Path) -> bytes:
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


@pytest.fixture
def place(short_folder: Path) -> Path:
    return short_folder / "node.sock"


async def test_the_socket_answers_and_is_gone_afterwards(place: Path) -> None:
    async with ControlServer(hello, place):
        assert (await ask(place)).endswith(b"\r\n\r\nhello")
    assert not place.exists()


@pytest.mark.parametrize(
    ("folder_mode", "socket_mode"), [(0o700, 0o600), (0o750, 0o660), (0o755, 0o660), (0o1777, 0o600), (0o777, 0o600)]
)
async def test_others_may_not_use_it_and_the_group_only_where_it_may_enter(
    place: Path, folder_mode: int, socket_mode: int
) -> None:
    place.parent.chmod(folder_mode)
    async with ControlServer(hello, place):
        assert stat.S_IMODE(place.stat().st_mode) == socket_mode


async def test_a_leftover_of_a_killed_node_is_taken_away(place: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(place))
    async with ControlServer(hello, place):
        assert (await ask(place)).endswith(b"hello")


async def test_the_socket_of_a_running_node_is_left_alone(place: Path) -> None:
    async with ControlServer(hello, place):
        with pytest.raises(LocalError, match="another node is running"):
            bind(place)
        assert (await ask(place)).endswith(b"hello")


async def test_a_file_that_is_no_socket_is_never_removed(place: Path) -> None:
    place.write_text("precious")
    with pytest.raises(ConfigError, match="no socket"):
        bind(place)
    assert place.read_text() == "precious"


async def test_a_place_that_cannot_be_used_is_named(place: Path) -> None:
    place.write_text("")
    with pytest.raises(LocalError, match="Choose another place with --socket"):
        bind(place / "x.sock")


async def test_an_answer_that_hangs_is_cut_when_the_node_stops(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ralnode.host.control.server.CLOSE_SECONDS", 0.05)
    begun = asyncio.Event()
    ended: list[str] = []

    async def hang(scope: Any, receive: Any, send: Any) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append("cut")
            raise

    server = ControlServer(hang, place)
    await server.start()
    asking = asyncio.create_task(ask(place))
    await begun.wait()
    await server.stop()
    await server.stop()
    assert ended == ["cut"]
    await asyncio.gather(asking, return_exceptions=True)


async def test_nobody_is_served_beyond_the_limit(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ralnode.host.control.server.CONNECTIONS_MAX", 2)
    begun, release = asyncio.Event(), asyncio.Event()

    async def wait(scope: Any, receive: Any, send: Any) -> None:
        begun.set()
        await release.wait()
        await hello(scope, receive, send)

    async with ControlServer(wait, place):
        first = asyncio.create_task(ask(place))
        await begun.wait()
        assert b" 503 " in await ask(place)
        release.set()
        assert (await first).endswith(b"hello")
        assert (await ask(place)).endswith(b"hello")
