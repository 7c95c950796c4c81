"""`Storing`: makes what an add produces durable. Some groups are being stored while the next is gathered, since the store
writes one while it syncs another; checkpoints are noted together with a group that follows them, so that they cost no
fsync of their own.

Leaving it (async context manager) waits for what is under way, also when cancelled or failed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from ralnode.api import Block, Reservation, Storage, StorageError
from ralnode.api.limits import MIB, PUT_BATCH_BLOCKS, PUT_BATCH_BYTES
from ralnode.host.ingest.assembly import LinkedRun, Output
from ralnode.host.ingest.checkpoints import Checkpoints
from ralnode.host.ingest.hashing import changed
from ralnode.host.ingest.localtree import stamp_of

_GROUP_BYTES: Final = 8 * MIB
"""Handed to the store at a time; what has come together there shares an fsync and a commit. Half as much took a tenth longer."""
_UNWRITTEN_MAX: Final = 3
"""Groups whose content is in memory. With the one that is gathered and the jobs that are being hashed (adding.py) an add takes
45 MiB, with what malloc does not give back at once."""
_GROUPS_MAX: Final = 12
"""Groups not durable yet: content that is written waits for its sync without taking memory."""
_GROUP_ITEMS: Final = 2048
"""Small files."""
_WAIT_SECONDS: Final = 1.0
"""A slow upload is stored this often all the same, and its progress shown."""
_LINKS_AHEAD: Final = 32
"""Small files are linked one by one; the store groups what waits."""


class Storing:
    """`done` is called on the event loop with each output once it is durable, in order."""

    def __init__(
        self,
        storage: Storage,
        reservation: Reservation,
        checkpoints: Checkpoints,
        done: Callable[[Output], None],
    ) -> None:
        self._storage = storage
        self._reservation = reservation
        self._checkpoints = checkpoints
        self._done = done
        self._gathered: list[Output] = []
        self._gathered_bytes = 0
        self._gathered_items = 0
        self._begun_at = time.monotonic()
        self._stored: list[Output] = []
        """Durable, not noted yet."""
        self._running: deque[asyncio.Task[None]] = deque()
        self._unwritten: deque[asyncio.Event] = deque()

    async def __aenter__(self) -> Storing:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        with contextlib.suppress(StorageError):  # a lost note only means that something is read again
            await self._storage.save_state(await self._notes())

    async def add(self, output: Output) -> None:
        """Returns as soon as there is room for more. Raises what storing an earlier output raised."""
        self._gathered.append(output)
        self._gathered_bytes += sum(len(block.data) for block in output.blocks)
        self._gathered_items += len(output.blocks) + len(output.runs) + len(output.known)
        is_enough = self._gathered_bytes >= _GROUP_BYTES or self._gathered_items >= _GROUP_ITEMS
        if is_enough or (output.runs and output.checkpoints) or time.monotonic() - self._begun_at > _WAIT_SECONDS:
            await self._begin()

    async def finish(self) -> None:
        """All that was added is durable. It is noted when this is left."""
        await self._begin()
        await self._settle(0)

    async def _begin(self) -> None:
        await self._settle(_GROUPS_MAX - 1)
        await self._let_go(_UNWRITTEN_MAX - 1)
        group, self._gathered = self._gathered, []
        self._gathered_bytes = self._gathered_items = 0
        self._begun_at = time.monotonic()
        notes, written = await self._notes(), asyncio.Event()
        before = self._running[-1] if self._running else None
        self._unwritten.append(written)
        self._running.append(asyncio.create_task(self._store(group, notes, before, written), name="store content"))

    async def _settle(self, left_count: int) -> None:
        """Waits for the oldest until so many are under way."""
        while self._running and (len(self._running) > left_count or self._running[0].done()):
            await self._running[0]
            self._running.popleft()

    async def _let_go(self, left_count: int) -> None:
        """Waits for the oldest until so many are in memory."""
        while len(self._unwritten) > left_count:
            await self._unwritten[0].wait()
            self._unwritten.popleft()

    async def _store(
        self,
        outputs: list[Output],
        notes: Mapping[bytes, bytes | None],
        before: asyncio.Task[None] | None,
        written: asyncio.Event,
    ) -> None:
        """All is handed to the store at once; notes on what is durable already go first. It is done when those before
        are, so that nothing is noted while something before it is missing."""
        runs = [run for output in outputs for run in output.runs]
        saving = [self._storage.save_state(notes)] if notes else []
        try:
            await _all(*saving, *self._puts(outputs, written), self._link(runs))
        finally:
            written.set()
        if before is not None:
            await before
        self._stored += outputs
        for output in outputs:
            self._done(output)

    def _puts(self, outputs: Sequence[Output], written: asyncio.Event) -> list[Coroutine[Any, Any, None]]:
        """Nobody but these holds the blocks any more, and they forget them once the store has written them."""
        groups = list(_groups([block for output in outputs for block in output.blocks]))
        for output in outputs:
            output.blocks.clear()

        def let_go(group: list[Block]) -> None:
            group.clear()
            if not any(groups):
                written.set()

        return [self._storage.put(group, self._reservation, partial(let_go, group)) for group in groups]

    async def _notes(self) -> Mapping[bytes, bytes | None]:
        stored, self._stored = self._stored, []
        return await self._checkpoints.notes(stored, time.time_ns() // 1_000_000)

    async def _link(self, runs: Sequence[LinkedRun]) -> None:
        """The store takes the files as they are now, so they must still be those that were hashed."""
        waiting = iter(runs)

        async def work() -> None:
            for run in waiting:
                try:
                    await self._storage.link(Path(os.fsdecode(run.item.local_path)), run.slices)
                except StorageError:
                    await asyncio.to_thread(_check, [run])  # the better reason, if it is that
                    raise

        if runs:
            await _all(*(work() for _ in range(min(_LINKS_AHEAD, len(runs)))))
            await asyncio.to_thread(_check, runs)


async def _all(*work: Coroutine[Any, Any, None]) -> None:
    """Waits for all, whatever happens to one of them, then raises the first failure: nothing goes on behind our back."""
    for outcome in await asyncio.gather(*work, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome


def _check(runs: Sequence[LinkedRun]) -> None:
    for run in runs:
        try:
            found = stamp_of(Path(os.fsdecode(run.item.local_path)).stat())
        except OSError:
            raise changed(run.item) from None
        if found != run.item.stamp:
            raise changed(run.item)


def _groups(blocks: Sequence[Block]) -> Iterator[list[Block]]:
    group: list[Block] = []
    size_bytes = 0
    for block in blocks:
        if group and (size_bytes + len(block.data) > PUT_BATCH_BYTES or len(group) == PUT_BATCH_BLOCKS):
            yield group
            group, size_bytes = [], 0
        group.append(block)
        size_bytes += len(block.data)
    if group:
        yield group
