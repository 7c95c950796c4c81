"""An upgrade of the store's tables takes longer than systemd waits for a start: it must not be killed for it.

An upgrade is one transaction; killed, it would begin anew at each start, for ever.
"""

from __future__ import annotations

import asyncio
import socket
import sqlite3
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ralnode.host import notify
from ralnode.host.config import load as load_config
from ralnode.host.node import Node
from ralnode.host.plugin_find import Where
from ralnode.host.plugins import load
from ralnode_storage_sqlite import schema

START_SECONDS = 1.0
"""TimeoutStartSec=, scaled down."""
UPGRADE_SECONDS = 2.2


class Manager:
    """Keeps systemd's clock of a start: when it would have killed the node."""

    def __init__(self, address: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(address))
        self._socket.setblocking(False)
        self.said: list[str] = []
        self.killed = False

    async def watch(self) -> None:
        """Until READY, or until the time is over."""
        deadline = time.monotonic() + START_SECONDS + 3  # what comes before the store is opened: plugins are loaded
        loop = asyncio.get_running_loop()
        while "READY=1" not in self.said and not self.killed:
            try:
                async with asyncio.timeout(deadline - time.monotonic()):
                    message = (await loop.sock_recv(self._socket, 4096)).decode()
            except TimeoutError:
                self.killed = True
                return
            self.said.append(message)
            if message.startswith("STATUS=upgrading") and "so far" not in message:
                deadline = time.monotonic() + START_SECONDS
            if message.startswith("EXTEND_TIMEOUT_USEC="):
                deadline = max(deadline, time.monotonic() + int(message.partition("=")[2]) / 1e6)

    def close(self) -> None:
        self._socket.close()


def slowly(connection: sqlite3.Connection) -> None:
    """As a real upgrade does: SQLite works, and lets go of the interpreter."""
    begin = time.monotonic()
    while time.monotonic() - begin < UPGRADE_SECONDS:
        connection.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) SELECT count(*) FROM n"
        ).fetchall()


async def start(tmp_path: Path, manager: Manager) -> None:
    flags = {
        "node.data_dir": str(tmp_path / "data"), "node.listen_host": "127.0.0.1", "node.transport_port": "0",
        "node.gossip_port": "0", "node.page_port": "0", "node.capacity": "100 MB", "use.discovery": "static", "use.gateway": "",
    }  # fmt: skip
    environ = {"NOTIFY_SOCKET": str(tmp_path / "notify")}

    async def extras(_operations: Any, _stack: Any) -> None: ...

    node = Node(load_config({"HOME": str(tmp_path)}, flags), load(Where({"HOME": str(tmp_path)})), environ, extras)
    running = asyncio.create_task(node.run())
    await manager.watch()
    node.request_stop()
    await asyncio.wait_for(running, 30)


@pytest.fixture
async def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """With a store that a later start has to upgrade."""
    made = Manager(tmp_path / "notify")
    await start(tmp_path, made)
    assert "READY=1" in made.said
    made.said.clear()
    monkeypatch.setattr(schema, "prepare", partial(schema.prepare, known=2, upgrades={1: slowly}))
    yield made
    made.close()


async def test_progress_keeps_systemd_waiting_beyond_the_hour(
    manager: Manager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify, "START_SECONDS_MAX", 0)
    monkeypatch.setattr(notify, "PROGRESS_SECONDS_MAX", START_SECONDS)
    monkeypatch.setattr(schema, "_SAY_SECONDS", START_SECONDS / 10)
    monkeypatch.setattr(schema, "_INSTRUCTIONS", 10_000)
    await start(tmp_path, manager)
    assert not manager.killed
    assert any("so far" in line for line in manager.said if line.startswith("STATUS=upgrading index.db"))


async def test_without_progress_it_waits_as_long_as_the_node_asks_for_patience(
    manager: Manager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event loop must be free for it while the store is upgraded."""
    monkeypatch.setattr(notify, "PROGRESS_SECONDS_MAX", 0)
    monkeypatch.setattr(notify.Notifier.ask_for_patience, "__defaults__", (START_SECONDS / 3,))
    await start(tmp_path, manager)
    assert not manager.killed


async def test_a_start_that_says_nothing_is_given_up(
    manager: Manager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """These tests can fail."""
    monkeypatch.setattr(notify, "START_SECONDS_MAX", 0)
    monkeypatch.setattr(notify, "PROGRESS_SECONDS_MAX", 0)
    await start(tmp_path, manager)
    assert manager.killed
