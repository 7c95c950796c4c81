"""How these tests make a store: real files in a temporary folder, a made-up identity, a disk that may be told to fail."""

from __future__ import annotations

import logging
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from ralnode.api import Context, Settings
from ralnode.testing.fake_identity import FakeIdentity
from ralnode_storage_sqlite.disk import Disk
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
