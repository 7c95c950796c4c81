"""What the store has of each source: `FetchInterior`, `LocateBlocks`, `DropSource`, and blocks that turn out to be lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from functools import partial

from ralnode.api import BadBlockError, BlockKey, PeerError, RalnodeError, Source
from ralnode.core.events import DropSource, FetchInterior, HoldingFound, InteriorFailed, InteriorStored, LocateBlocks
from ralnode.host.bounds import (
    DELETE_BLOCKS_MAX,
    INTERIOR_BYTES_MARGIN,
    INTERIOR_TASKS_MAX,
    LOCATE_TASKS_MAX,
    LOST_SECONDS,
)
from ralnode.host.fetches import Fetches
from ralnode.host.groups import GroupWriter
from ralnode.host.ingest.unpublished import Unpublished
from ralnode.host.parts import Parts
from ralnode.host.streams import guarded, pour


class LostBlocks:
    """`Storage.open`'s on_lost, which may come before there is anybody to tell."""

    def __init__(self) -> None:
        self.news = asyncio.Event()
        self._count = 0

    def add(self, keys: Sequence[BlockKey]) -> None:
        self._count += len(keys)
        self.news.set()

    def take(self) -> int:
        """How many since it was asked last."""
        count, self._count = self._count, 0
        self.news.clear()
        return count


class Keeping:
    """`sources` says what the catalogue has now, for finding out what lost blocks belong to."""

    def __init__(
        self,
        parts: Parts,
        fetches: Fetches,
        sources: Callable[[], Sequence[Source]],
        unpublished: Unpublished | None = None,
    ) -> None:
        self._parts = parts
        self._unpublished = unpublished or Unpublished()
        self._fetches = fetches
        self._sources = sources
        self._interior_slots = asyncio.Semaphore(INTERIOR_TASKS_MAX)
        self._locate_slots = asyncio.Semaphore(LOCATE_TASKS_MAX)

    # --- interior nodes ---------------------------------------------------------------------------------------------

    def begin_interior(self, effect: FetchInterior) -> None:
        self._parts.tasks.spawn("fetch metadata", self._interior(effect))

    async def _interior(self, effect: FetchInterior) -> None:
        root = effect.source.root
        try:
            async with self._interior_slots:
                await self._fetch_interior(effect)
        except (RalnodeError, OSError) as error:
            assert effect.peer.id is not None
            fault, reason = isinstance(error, BadBlockError), str(error) or type(error).__name__
            await self._parts.inbox.put(InteriorFailed(root, effect.peer.id, reason, fault))
        else:
            self._parts.stored()
            await self._parts.inbox.put(InteriorStored(root))

    async def _fetch_interior(self, effect: FetchInterior) -> None:
        """Raises PeerError when what came is not the whole: the engine then asks another node."""
        source, storage = effect.source, self._parts.storage
        reservation = await storage.reserve(source.interior_bytes)
        try:
            size_max = source.interior_bytes + INTERIOR_BYTES_MARGIN
            stream = guarded(self._parts.transport.fetch_interior(effect.peer, source.root), size_max)
            async with GroupWriter(storage, reservation, _nothing) as writer, aclosing(stream) as batches:
                await pour(batches, writer)
        finally:
            await asyncio.shield(reservation.release())
        if not await self._parts.dag.has_interior(source):
            raise PeerError("the peer sent only a part of the interior nodes")

    # --- what is here -----------------------------------------------------------------------------------------------

    def begin_locate(self, effect: LocateBlocks) -> None:
        self._parts.tasks.spawn("locate blocks", self._locate(effect.source))

    async def _locate(self, source: Source) -> None:
        async with self._locate_slots:
            holding = await self._parts.dag.locate(source)
        await self._parts.inbox.put(HoldingFound(source.root, holding))

    async def watch(self, lost: LostBlocks) -> None:
        """Returns never. Blocks do not know their sources, so all sources are counted afresh: an index look-up each."""
        while True:
            await lost.news.wait()
            await asyncio.sleep(LOST_SECONDS)
            count = lost.take()
            self._parts.say(
                "warning", f"{count:,} blocks here were lost (bad, or their file has changed); fetching again"
            )
            self._parts.stored()
            for source in self._sources():
                await self._locate(source)

    # --- removal ----------------------------------------------------------------------------------------------------

    def begin_drop(self, effect: DropSource) -> None:
        self._parts.tasks.spawn("drop source", self._drop(effect))

    async def _drop(self, effect: DropSource) -> None:
        """Only what no source uses goes. A failure leaves blocks that nobody knows; they are no harm but cost room."""
        source, count = effect.source, 0
        await self._fetches.ended(source.root)
        try:
            async with aclosing(self._dropped(effect)) as dropped:
                async for each in dropped:
                    count += each
        except (RalnodeError, OSError) as error:
            self._parts.say(
                "warning", f"could not delete all blocks of {source.name} here ({count:,} are gone): {error}"
            )
        self._parts.dag.forget(source.root)
        self._parts.stored()

    async def _dropped(self, effect: DropSource) -> AsyncGenerator[int, None]:
        """Deletes in portions, and yields their counts. The catalogue goes on meanwhile: a source that shares blocks may
        come, or a user adds this one again, and then nothing more of what they use may go."""
        source, kept = effect.source, {each.root: each for each in effect.kept}
        keys: Sequence[BlockKey] = ()
        at: int | None = None

        def has_changed() -> bool:
            roots = {each.root for each in self._sources()}
            return source.root in roots or bool(roots - kept.keys())

        while at is None or at < len(keys):
            current = {each.root: each for each in self._sources()}
            if source.root in current:
                return
            if at is None or current.keys() - kept.keys():
                kept |= current
                keys, at = await self._parts.dag.keys_to_drop(source, list(kept.values())), 0
                continue
            portion = keys[at : at + DELETE_BLOCKS_MAX]
            count = await self._unpublished.unless(has_changed, partial(self._parts.storage.delete, portion))
            if count is not None:
                at += DELETE_BLOCKS_MAX
                yield count


async def _nothing(_keys: Sequence[BlockKey], _size_bytes: int) -> None:
    """Interior nodes are told of all at once."""
