"""What systemd is told, over a real datagram socket."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ralnode.api import StorageError
from ralnode.host.notify import Notifier


class Systemd:
    """The listening end."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.socket.setblocking(False)

    def heard(self) -> list[str]:
        found = []
        while True:
            try:
                found.append(self.socket.recv(4096).decode())
            except BlockingIOError:
                return found


@pytest.fixture(params=["file", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Systemd, dict[str, str]]]:
    address = str(tmp_path / "notify") if request.param == "file" else f"@ralnode-test-{tmp_path.name}-{id(request)}"
    made = Systemd(address)
    yield made, {"NOTIFY_SOCKET": address}
    made.socket.close()


def test_ready_status_and_stopping_are_told(systemd: tuple[Systemd, dict[str, str]]) -> None:
    listener, environ = systemd
    notifier = Notifier(environ)
    notifier.ready()
    notifier.status("All 3 files\nhave 2 copies.")
    notifier.status("All 3 files have 2 copies.")
    notifier.stopping()
    assert listener.heard() == [
        "READY=1",
        "STATUS=All 3 files have 2 copies.",
        "STOPPING=1",
    ]


def test_without_systemd_nothing_is_sent_and_nothing_fails(tmp_path: Path) -> None:
    Notifier({}).ready()
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready()


def test_a_full_queue_does_not_block_the_node(systemd: tuple[Systemd, dict[str, str]]) -> None:
    listener, environ = systemd
    notifier = Notifier(environ)
    for _ in range(2000):
        notifier.ping()
    assert 0 < len(listener.heard()) < 2000


async def test_systemd_is_asked_for_patience_while_the_node_opens(systemd: tuple[Systemd, dict[str, str]]) -> None:
    listener, environ = systemd
    asking = asyncio.create_task(Notifier(environ).ask_for_patience(0.01))
    heard: list[str] = []
    async with asyncio.timeout(30):
        while len(heard) < 2:
            await asyncio.sleep(0.005)
            heard += listener.heard()
    asking.cancel()
    assert set(heard) == {"EXTEND_TIMEOUT_USEC=30000"}


@pytest.mark.parametrize("text", ["", "x", "0", "-5"])
async def test_without_a_watchdog_there_is_no_ping(text: str) -> None:
    notifier = Notifier({"WATCHDOG_USEC": text})
    assert notifier.watchdog_seconds is None
    await asyncio.wait_for(notifier.watch(never, never), 1)


async def never() -> None:
    await asyncio.Event().wait()


async def answers() -> None:
    await asyncio.sleep(0)


async def fails() -> None:
    raise StorageError("EIO")


async def test_the_watchdog_is_pinged_while_the_store_answers(systemd: tuple[Systemd, dict[str, str]]) -> None:
    """WATCHDOG_PID of another process changes nothing: in a onefile it is the boot loader's."""
    listener, environ = systemd
    notifier = Notifier({**environ, "WATCHDOG_USEC": "20000", "WATCHDOG_PID": "1"})

    task = asyncio.create_task(notifier.watch(answers, answers))
    heard: list[str] = []
    async with asyncio.timeout(30):
        while heard.count("WATCHDOG=1") < 3:
            await asyncio.sleep(0.005)
            heard += listener.heard()
    task.cancel()


@pytest.mark.parametrize("kind", ["hangs", "fails"])
async def test_no_ping_is_sent_while_the_store_does_not_answer(
    systemd: tuple[Systemd, dict[str, str]], kind: str
) -> None:
    listener, environ = systemd
    notifier = Notifier({**environ, "WATCHDOG_USEC": "20000"})

    task = asyncio.create_task(notifier.watch(never if kind == "hangs" else fails, fails))
    heard: list[str] = []
    async with asyncio.timeout(30):
        while not heard:
            await asyncio.sleep(0.005)
            heard += listener.heard()
    await asyncio.sleep(0.05)
    task.cancel()
    assert {*heard, *listener.heard()} == {"STATUS=the block store does not answer"}


async def test_the_ping_ends_when_a_write_never_comes_back(systemd: tuple[Systemd, dict[str, str]]) -> None:
    listener, environ = systemd
    notifier = Notifier({**environ, "WATCHDOG_USEC": "20000"})
    task = asyncio.create_task(notifier.watch(answers, never))
    heard: list[str] = []
    async with asyncio.timeout(30):
        while "STATUS=the block store does not write" not in heard:
            await asyncio.sleep(0.005)
            heard += listener.heard()
    await asyncio.sleep(0.05)
    task.cancel()
    assert heard[0] == "WATCHDOG=1", "a slow disk is no hang"
    assert "WATCHDOG=1" not in listener.heard()


async def test_a_store_that_refuses_to_write_is_alive(systemd: tuple[Systemd, dict[str, str]]) -> None:
    """It is full, or read-only: a state that no restart heals."""
    listener, environ = systemd
    task = asyncio.create_task(Notifier({**environ, "WATCHDOG_USEC": "20000"}).watch(answers, fails))
    heard: list[str] = []
    async with asyncio.timeout(30):
        while heard.count("WATCHDOG=1") < 20:
            await asyncio.sleep(0.005)
            heard += listener.heard()
    task.cancel()
    assert set(heard) == {"WATCHDOG=1"}


def test_progress_is_the_status_and_buys_time(systemd: tuple[Systemd, dict[str, str]]) -> None:
    listener, environ = systemd
    thread = threading.Thread(target=Notifier(environ).progress, args=("upgrading: 20 s so far",))
    thread.start()
    thread.join()
    assert listener.heard() == ["STATUS=upgrading: 20 s so far", "EXTEND_TIMEOUT_USEC=300000000"]
