"""`Adder`: carries out one add: reserve, hash, build, store, and look whether all of it is there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

from ralnode.api import Reservation, Storage, StorageFullError
from ralnode.core.health import size_text
from ralnode.dag.build import Built
from ralnode.dag.errors import MissingBlockError
from ralnode.host.dagindex import DagIndex
from ralnode.host.ingest.assembly import Assembly, Output
from ralnode.host.ingest.checkpoints import Checkpoints
from ralnode.host.ingest.hashing import Hasher, Part, Span
from ralnode.host.ingest.model import Added, AddOptions, Progress, Report
from ralnode.host.ingest.pipeline import in_order
from ralnode.host.ingest.sources import Hash, Jobs
from ralnode.host.ingest.storing import Storing

T = TypeVar("T")

_JOBS_AHEAD: Final = 6
"""Hashed and not yet part of the DAG; with what is in storing.py about 44 MiB of content."""


@dataclass(frozen=True, slots=True)
class Adding:
    """One add. `jobs(hash, reuse)` begins to read; `here_bytes` tells how much an earlier, interrupted add has stored."""

    name: str
    options: AddOptions
    checkpoints: Checkpoints
    content_bytes: int
    needed_bytes: int
    """Upper bound of what the store will take."""
    jobs: Callable[[Hash, bool], Jobs]
    here_bytes: Callable[[], Awaitable[int]]
    report: Report


class Adder:
    def __init__(self, storage: Storage, index: DagIndex, threads: Executor) -> None:
        self._storage = storage
        self._index = index
        self._threads = threads

    async def run(self, adding: Adding, *, reuse: bool = True) -> Added | None:
        """None when a block is missing in the end although an earlier add had left a note about it. Raises what reading
        raises, StorageFullError before anything is stored."""
        counter = _Counter(adding.content_bytes, adding.report)
        reservation = await self._reserve(adding)
        try:
            built = await self._store(adding, reuse, reservation, counter)
        finally:
            await asyncio.shield(reservation.release())
        return await self._described(adding, built, counter.reused_bytes)

    async def in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def _store(self, adding: Adding, reuse: bool, reservation: Reservation, counter: _Counter) -> Built:
        assembly = Assembly(adding.options.profile)
        parts = in_order(adding.jobs(self._hashing(adding.options), reuse), _JOBS_AHEAD)
        async with Storing(self._storage, reservation, adding.checkpoints, counter.count) as storing:
            async with aclosing(parts):
                async for each in parts:
                    work = partial(assembly.take, each)
                    await storing.add(work() if assembly.is_quick(each) else await self.in_thread(work))
            built, last = await self.in_thread(assembly.finish)
            await storing.add(last)
            await storing.finish()
        return built

    async def _described(self, adding: Adding, built: Built, reused_bytes: int) -> Added | None:
        options = adding.options
        self._index.forget(built.cid)
        try:
            source = await self._index.describe(
                built.cid, adding.name, copies=options.copies, priority=options.priority
            )
        except MissingBlockError:
            return None
        holding = await self._index.locate(source)
        if len(holding.servable) != source.leaf_count or source.size_bytes != built.content_bytes:
            return None
        await adding.checkpoints.published()
        return Added(source, holding, reused_bytes)

    async def _reserve(self, adding: Adding) -> Reservation:
        """The whole of it, or what is still to come. The refusal names the ways out."""
        try:
            return await self._storage.reserve(adding.needed_bytes)
        except StorageFullError:
            needed_bytes = max(0, adding.needed_bytes - await adding.here_bytes())
        try:
            return await self._storage.reserve(needed_bytes)
        except StorageFullError as error:
            usage = self._storage.usage()
            free_bytes = max(0, usage.capacity_bytes - usage.used_bytes - usage.reserved_bytes)
            by_reference = "" if adding.options.link else "add it by reference where it lies (--link); "
            raise StorageFullError(
                f"cannot add {adding.name}: it needs {size_text(needed_bytes)}, and of this node's capacity of "
                f"{size_text(usage.capacity_bytes)} {size_text(free_bytes)} are free. Nothing was stored. Ways out: "
                f"{by_reference}raise the capacity (ralnode capacity); add it on another node; remove a source "
                f"(ralnode rm). The store says: {error}"
            ) from error

    def _hashing(self, options: AddOptions) -> Hash:
        hasher = Hasher(options.profile, link=options.link)

        def begin(work: Sequence[Span | Part]) -> Awaitable[list[Part]]:
            return self.in_thread(partial(hasher.run, work))

        return begin


class _Counter:
    """Adds up what has become durable."""

    def __init__(self, content_bytes: int, report: Report) -> None:
        self.reused_bytes = 0
        self._bytes_done = 0
        self._bytes_total = content_bytes
        self._files_done = 0
        self._report = report

    def count(self, output: Output) -> None:
        self.reused_bytes += output.reused_bytes
        self._bytes_done += output.content_bytes
        self._files_done += output.file_count
        self._report(Progress(self._bytes_done, self._bytes_total, self._files_done))
