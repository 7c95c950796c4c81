"""A `Storage` that measures how long changes take until they are durable; everything else passes through."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from ralnode.api import Block, BlockKey, FileSlice, Metric, Reservation, Storage
from ralnode.host.metering.histogram import Histogram
from ralnode.host.metering.table import sample

T = TypeVar("T")
CHANGES: Final = ("put", "link", "delete", "state")


class Commits:
    """Latency and failures per kind of change."""

    def __init__(self) -> None:
        self._seconds = {each: Histogram("ralnode_store_commit_seconds", change=each) for each in CHANGES}
        self._failures = Counter[str]()

    async def timed(self, change: str, work: Awaitable[T]) -> T:
        began = time.monotonic()
        try:
            done = await work
        except Exception:
            self._failures[change] += 1
            raise
        self._seconds[change].observe(time.monotonic() - began)
        return done

    def samples(self) -> Iterator[Metric]:
        for each in CHANGES:
            yield from self._seconds[each].samples()
        for each in CHANGES:
            yield sample("ralnode_store_failures_total", self._failures[each], change=each)


class TimedStorage:
    """A `Storage` around another one. What is not measured here is that one's own, whatever the role grows."""

    def __init__(self, storage: Storage, commits: Commits) -> None:
        self._storage = storage
        self._commits = commits
        self.lost_count = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    async def open(self, on_lost: Callable[[Sequence[BlockKey]], None]) -> None:
        def lost(keys: Sequence[BlockKey]) -> None:
            self.lost_count += len(keys)
            on_lost(keys)

        await self._storage.open(lost)

    async def put(
        self,
        blocks: Sequence[Block],
        reservation: Reservation | None = None,
        written: Callable[[], None] | None = None,
    ) -> None:
        await self._commits.timed("put", self._storage.put(blocks, reservation, written))

    async def link(self, path: Path, slices: Sequence[FileSlice]) -> None:
        await self._commits.timed("link", self._storage.link(path, slices))

    async def delete(self, keys: Sequence[BlockKey]) -> int:
        return await self._commits.timed("delete", self._storage.delete(keys))

    async def save_state(self, items: Mapping[bytes, bytes | None]) -> None:
        await self._commits.timed("state", self._storage.save_state(items))
