"""The real store, real adds and pulls into it, a list for a catalogue, and moments at which something else happens."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from ralnode.api import Context, Holding, Settings, Source, StorageError
from ralnode.api.limits import MIB
from ralnode.host.dagindex import DagIndex
from ralnode.host.ingest import Added, AddOptions
from ralnode.host.ingest.ingest import Ingest
from ralnode.host.leftovers import LeftoversJob, LeftoversParts, LeftoversState
from ralnode.host.leftovers import job as module
from ralnode.testing.content import content
from ralnode.testing.fake_identity import FakeIdentity
from ralnode_storage_sqlite.options import SqliteOptions
from ralnode_storage_sqlite.store import SqliteStorage

LATER = 1 << 60
"""Unix milliseconds, long after these tests: everything is old."""
FILE_BYTES = 3 * MIB


class Store(SqliteStorage):
    """Fails once after so many bytes; lets something happen just before a deletion, or while it is carried out."""

    left_bytes: int | None = None
    before_delete: Callable[[], Awaitable[None]] | None = None
    with_delete: Callable[[], Awaitable[None]] | None = None
    deletions = 0

    async def put(self, blocks: Any, reservation: Any = None, written: Any = None) -> None:
        if self.left_bytes is not None:
            self.left_bytes -= sum(len(block.data) for block in blocks)
            if self.left_bytes < 0:
                self.left_bytes = None
                raise StorageError("the plug was pulled")
        await super().put(blocks, reservation, written)

    async def delete(self, keys: Any) -> int:
        self.deletions += 1
        before, self.before_delete = self.before_delete, None
        meanwhile, self.with_delete = self.with_delete, None
        if before is not None:
            await before()
        if meanwhile is None:
            return await super().delete(keys)
        count, _ = await asyncio.gather(super().delete(keys), meanwhile())
        return count


class Bench:
    def __init__(self, data_dir: Path) -> None:
        nothing: Any = None
        settings = Settings("node", "test", "", data_dir, "127.0.0.1", 0, 0, 0, 1 << 30, 0, ())
        log = logging.getLogger("ralnode.storage.test")
        context = Context(settings, FakeIdentity("node"), nothing, log, random.Random(1), boot_nonce=1)
        self.folder = data_dir.parent
        self.storage = Store(context, SqliteOptions(segment_bytes=8 * MIB))
        self.dag = DagIndex(self.storage)
        self.ingest = Ingest(self.storage, self.dag)
        self.sources: list[Source] = []
        self.told: dict[bytes, Holding] = {}
        """What the engine was told of the sources, last."""
        self.job = self.new_job()

    def new_job(self) -> LeftoversJob:
        return LeftoversJob(
            LeftoversParts(
                store=self.storage,
                storage=self.storage,
                dag=self.dag,
                sources=lambda: list(self.sources),
                unpublished=self.ingest.unpublished,
                relocated=self._relocated,
                changed=lambda: None,
            )
        )

    async def _relocated(self, root: bytes, holding: Holding) -> None:
        self.told[root] = holding

    def write(self, name: str, *seeds: str) -> Path:
        """A folder with a file for each seed."""
        top = self.folder / name
        top.mkdir(exist_ok=True)
        for seed in seeds:
            (top / seed).write_bytes(content(seed, FILE_BYTES))
        return top

    async def add(self, top: Path, **options: Any) -> Added:
        """Added and published."""
        async with self.ingest.unpublished.work():
            added = await self.ingest.add_path(top, AddOptions(**options))
            self.publish(added)
        return added

    def publish(self, added: Added) -> None:
        self.sources.append(added.source)
        self.told[added.source.root] = added.holding

    async def interrupted(self, top: Path, after_bytes: int = 13 * MIB) -> None:
        """An add that breaks off: with notes about the files that were finished, and blocks that are in no note yet."""
        self.storage.left_bytes = after_bytes
        with pytest.raises(StorageError, match="plug"):
            await self.ingest.add_path(top, AddOptions())

    async def counted(self) -> LeftoversState:
        self.job.count()
        return await self.ended()

    async def deleted(self, before_unix_ms: int = LATER, *, everything: bool = False) -> LeftoversState:
        self.job.delete(before_unix_ms, everything=everything)
        return await self.ended()

    async def ended(self) -> LeftoversState:
        while self.job.is_running:
            await asyncio.sleep(0.005)
        return self.job.state

    async def whole(self, source: Source) -> bool:
        """Whether every block of it is here and is told to be."""
        holding = await self.dag.locate(source)
        assert self.told[source.root] == holding
        return holding.has_interior and len(holding.owned) == source.leaf_count


@pytest.fixture
async def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    """Deletes in portions of a few blocks, so that much can happen between them."""
    monkeypatch.setattr(module, "PORTION_BLOCKS", 3)
    made = Bench(tmp_path / "data")
    await made.storage.open(lambda keys: None)
    yield made
    await made.job.stop()
    made.ingest.close()
    await made.storage.close()
