from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest

from ralnode.api.limits import GIB
from ralnode.host.dagindex import DagIndex
from ralnode.host.ingest import Progress
from ralnode.host.ingest.ingest import Ingest
from ralnode.testing.memory_storage import MemoryStorage


@dataclass
class Bench:
    """A store, its index, an ingest, and what it reported."""

    storage: MemoryStorage
    index: DagIndex
    ingest: Ingest
    progress: list[Progress] = field(default_factory=list)
    lost: list[bytes] = field(default_factory=list)

    def again(self) -> Bench:
        """As after a restart of the node: nothing is remembered but what the store has."""
        index = DagIndex(self.storage)
        return Bench(self.storage, index, Ingest(self.storage, index))


MakeBench = Callable[..., Bench]


@pytest.fixture
async def make_bench() -> AsyncIterator[MakeBench]:
    made: list[Bench] = []

    def make(storage: MemoryStorage | None = None, capacity_bytes: int = GIB) -> Bench:
        store = storage or MemoryStorage(capacity_bytes)
        index = DagIndex(store)
        bench = Bench(store, index, Ingest(store, index))
        made.append(bench)
        return bench

    yield make
    for bench in made:
        bench.ingest.close()


@pytest.fixture
async def bench(make_bench: MakeBench) -> Bench:
    made = make_bench()
    await made.storage.open(lambda keys: made.lost.extend(keys))
    return made
