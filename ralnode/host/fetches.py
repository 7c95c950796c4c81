"""Carries out `FetchBlocks` and `CopyLinked`: from one holder, or from a user's file here, into the store, in durable groups.

Every one of them ends with exactly one `FetchEnded`, whatever happens, cancellation included: the engine counts on it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from contextlib import aclosing
from typing import Any

from ralnode.api import (
    BadBlockError,
    Block,
    BlockKey,
    BlockSet,
    Held,
    LocalError,
    RalnodeError,
    Reservation,
    Root,
    StorageFullError,
)
from ralnode.api.limits import FETCH_TASKS_MAX, PUT_BATCH_BLOCKS
from ralnode.core.events import BlocksStored, CopyLinked, FetchBlocks, FetchEnded, HoldingFound
from ralnode.host.bounds import COPY_RETRY_SECONDS, GROUP_BYTES
from ralnode.host.groups import Budget, GroupWriter
from ralnode.host.parts import Parts
from ralnode.host.streams import guarded, pour


class Fetches:
    """At most FETCH_TASKS_MAX streams at once, whatever the engine asks."""

    def __init__(self, parts: Parts, copy_retry_seconds: float = COPY_RETRY_SECONDS) -> None:
        self._parts = parts
        self._copy_retry_seconds = copy_retry_seconds
        self._slots = asyncio.Semaphore(FETCH_TASKS_MAX)
        self._budget = Budget()
        self._running: dict[int, tuple[Root, asyncio.Task[None]]] = {}
        self._outcomes: dict[int, FetchEnded] = {}

    def begin_fetch(self, effect: FetchBlocks) -> None:
        self._begin(effect.task, effect.source.root, self._fetch(effect))

    def begin_copy(self, effect: CopyLinked) -> None:
        self._begin(effect.task, effect.source.root, self._copy(effect))

    def cancel(self, task: int) -> None:
        if task in self._running:
            self._running[task][1].cancel()

    async def ended(self, root: Root) -> None:
        """Waits until nothing of this source is being stored; cancel first."""
        of_root = [task for found, task in self._running.values() if found == root]
        if of_root:
            await asyncio.wait(of_root)

    def _begin(self, number: int, root: Root, work: Coroutine[Any, Any, None]) -> None:
        task = self._parts.tasks.spawn(f"fetch {number}", self._supervise(number, work))
        if task is None:
            work.close()
            return
        self._running[number] = (root, task)
        task.add_done_callback(lambda _: self._done(number, work))

    async def _supervise(self, number: int, work: Coroutine[Any, Any, None]) -> None:
        try:
            async with self._slots:
                await work
            self._outcomes[number] = FetchEnded(number)
        except (RalnodeError, OSError) as error:
            self._outcomes[number] = self._failed(number, error)

    def _done(self, number: int, work: Coroutine[Any, Any, None]) -> None:
        """Also for a task that was cancelled before it began."""
        work.close()
        del self._running[number]
        ended = self._outcomes.pop(number, FetchEnded(number, reason="cancelled"))
        self._parts.stored()
        if not self._parts.inbox.offer(ended):
            self._parts.tasks.spawn("fetch ended", self._parts.inbox.put(ended))

    def _failed(self, number: int, error: Exception) -> FetchEnded:
        """A store that went read-only takes no more than a full one does."""
        full = isinstance(error, StorageFullError) or bool(self._parts.storage.usage().read_only_reason)
        reason = str(error) or type(error).__name__
        return FetchEnded(number, reason, peer_fault=isinstance(error, BadBlockError), full=full)

    # --- from a holder ----------------------------------------------------------------------------------------------

    async def _fetch(self, effect: FetchBlocks) -> None:
        source, storage = effect.source, self._parts.storage
        indexes = await self._without_owned(effect, await self._indexes(effect))
        if not indexes:
            return
        wanted = [(places[0], key) for key, places in indexes.items()]
        reservation = await storage.reserve(source.block_bytes * len(wanted))
        try:
            stream = guarded(self._parts.transport.fetch_blocks(effect.peer, source.root, wanted))
            async with self._writer(effect, indexes, reservation) as writer, aclosing(stream) as batches:
                await pour(batches, writer)
        finally:
            await asyncio.shield(reservation.release())

    async def _indexes(self, effect: FetchBlocks | CopyLinked) -> dict[BlockKey, list[int]]:
        """Key -> where it stands in the source, ascending by first place; one block may stand at several places."""
        keys = await self._parts.dag.leaf_keys(effect.source)
        indexes: dict[BlockKey, list[int]] = {}
        for index in effect.blocks:
            indexes.setdefault(keys[index], []).append(index)
        return indexes

    async def _without_owned(
        self, effect: FetchBlocks, indexes: dict[BlockKey, list[int]]
    ) -> dict[BlockKey, list[int]]:
        """A block that another source brought here already is not fetched again."""
        held = dict(zip(indexes, await self._parts.storage.held(list(indexes)), strict=True))
        owned = [place for key, places in indexes.items() if held[key] is Held.OWNED for place in places]
        if owned:
            await self._parts.inbox.put(BlocksStored(effect.task, effect.source.root, BlockSet.of(owned), 0))
        return {key: places for key, places in indexes.items() if held[key] is not Held.OWNED}

    def _writer(
        self, effect: FetchBlocks | CopyLinked, indexes: dict[BlockKey, list[int]], reservation: Reservation
    ) -> GroupWriter:
        async def stored(keys: Sequence[BlockKey], size_bytes: int) -> None:
            blocks = BlockSet.of(place for key in keys for place in indexes.get(key, ()))
            self._parts.stored()
            await self._parts.inbox.put(BlocksStored(effect.task, effect.source.root, blocks, size_bytes))

        return GroupWriter(self._parts.storage, reservation, stored, budget=self._budget)

    # --- from a file of the user's ----------------------------------------------------------------------------------

    async def _copy(self, effect: CopyLinked) -> None:
        try:
            is_whole = await self._copy_blocks(effect)
        except (LocalError, OSError) as error:
            if not isinstance(error, StorageFullError):
                await asyncio.sleep(self._copy_retry_seconds)
            raise
        if not is_whole:  # the file has changed: tell the engine before it asks for the same again
            found = await self._parts.dag.locate(effect.source)
            await self._parts.inbox.put(HoldingFound(effect.source.root, found))

    async def _copy_blocks(self, effect: CopyLinked) -> bool:
        """Whether all blocks were still there."""
        storage, indexes = self._parts.storage, await self._indexes(effect)
        reservation = await storage.reserve(effect.source.block_bytes * len(indexes))
        is_whole = True
        try:
            async with self._writer(effect, indexes, reservation) as writer:
                for part in _portions(indexes, effect.source.block_bytes):
                    data = await storage.get_many(part)
                    found = [Block(key, each) for key, each in zip(part, data, strict=True) if each is not None]
                    is_whole = is_whole and len(found) == len(part)
                    await writer.add(found)
                await writer.finish()
        finally:
            await asyncio.shield(reservation.release())
        return is_whole


def _portions(keys: Iterable[BlockKey], block_bytes: int) -> list[list[BlockKey]]:
    """As many keys at a time as make up about one group."""
    listed = list(keys)
    count = max(1, min(PUT_BATCH_BLOCKS, GROUP_BYTES // block_bytes))
    return [listed[at : at + count] for at in range(0, len(listed), count)]
