"""How these tests make a store: real files in a temporary folder, a made-up identity, a disk that may be told to fail."""

from __future__ import annotations

import logging
import os
import random
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from ralnode.api import Context, Settings
from ralnode.testing.fake_identity import FakeIdentity
from ralnode_storage_sqlite.disk import Buffer, Disk
from ralnode_storage_sqlite.options import SqliteOptions
from ralnode_storage_sqlite.store import SqliteStorage

MakeStore = Callable[..., SqliteStorage]


def build_store(
    data_dir: Path,
    capacity_bytes: int = 1 << 30,
    disk_floor_bytes: int = 0,
    *,
    disk: Disk | None = None,
    node: str = "node",
    **options: Any,
) -> SqliteStorage:
    settings = Settings(
        name=node,
        group="test",
        zone="",
        data_dir=data_dir,
        listen_host="127.0.0.1",
        transport_port=0,
        gossip_port=0,
        page_port=0,
        capacity_bytes=capacity_bytes,
        disk_floor_bytes=disk_floor_bytes,
        known_peers=(),
    )
    nobody: Any = None
    log = logging.getLogger("ralnode.storage.test")
    context = Context(settings, FakeIdentity(node), nobody, log, random.Random(1), boot_nonce=1)
    return SqliteStorage(context, SqliteOptions(**options), disk)


@pytest.fixture
def make_store() -> MakeStore:
    """Builds stores that the test opens and closes itself."""
    return build_store


@pytest.fixture
async def open_store(tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    """Opens stores, by default in one and the same folder, and closes at the end what is still open."""
    stores: list[SqliteStorage] = []

    async def open_one(
        data_dir: Path = tmp_path / "store", lost: list[bytes] | None = None, **how: Any
    ) -> SqliteStorage:
        store = build_store(data_dir, **how)
        await store.open((lost if lost is not None else []).extend)
        stores.append(store)
        return store

    yield open_one
    for store in stores:
        await store.close()


class FaultyDisk(Disk):
    """Fails a call by name with an errno, after so many that still work; then works again."""

    def __init__(self) -> None:
        self._faults: dict[str, tuple[int, int]] = {}
        self.calls: list[str] = []
        self.can_punch = True

    def fail(self, call: str, code: int, after: int = 0) -> None:
        self._faults[call] = (after, code)

    def _check(self, call: str) -> None:
        self.calls.append(call)
        after, code = self._faults.pop(call, (-1, 0))
        if after == 0:
            raise OSError(code, os.strerror(code))
        if after > 0:
            self._faults[call] = (after - 1, code)

    def write(self, descriptor: int, buffers: Sequence[Buffer], offset: int) -> int:
        if "write" in self._faults and self._faults["write"][0] == 0:
            super().write(descriptor, buffers[: len(buffers) // 2], offset)  # a failing write has often done a part
        self._check("write")
        return super().write(descriptor, buffers, offset)

    def sync(self, descriptor: int) -> None:
        self._check("sync")
        super().sync(descriptor)

    def sync_folder(self, path: Path) -> None:
        self._check("sync_folder")
        super().sync_folder(path)

    def read(self, descriptor: int, length: int, offset: int) -> bytes:
        self._check("read")
        return super().read(descriptor, length, offset)

    def truncate(self, descriptor: int, size_bytes: int) -> None:
        self._check("truncate")
        super().truncate(descriptor, size_bytes)

    def unlink(self, path: Path) -> None:
        self._check("unlink")
        super().unlink(path)

    def punch(self, descriptor: int, offset: int, length: int) -> bool:
        self._check("punch")
        return self.can_punch and super().punch(descriptor, offset, length)


@pytest.fixture
def faulty_disk() -> FaultyDisk:
    return FaultyDisk()


def _disk_usage_bytes(folder: Path) -> int:
    """As du counts, the folder itself among it."""
    return sum(entry.lstat().st_blocks * 512 for entry in [folder, *folder.rglob("*")])


@pytest.fixture
def disk_usage_bytes() -> Callable[[Path], int]:
    return _disk_usage_bytes
