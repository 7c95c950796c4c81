"""`LeftoversJob`: counts leftovers, and deletes them so that nothing anybody relies on can ever go.

What is deleted: blocks of works whose latest note is old enough; with `everything`, also blocks that no note tells of. Never
what a source uses, nor what a younger work has left. A portion is deleted only if no add, pull or import has begun since
it was found, and no source has come; sources that come during a portion are counted afresh after it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from ralnode.api import Holding, ListingStorage, RalnodeError, RefusedError, Root, Source, Storage
from ralnode.host.dagindex import DagIndex
from ralnode.host.ingest.unpublished import Unpublished
from ralnode.host.leftovers.sweep import NOBODYS, Left, Owned, Sweep, owned_windows
from ralnode.host.leftovers.unfinished import Notes, read_notes

PORTION_BLOCKS: Final = 2000
"""Deleted at once; whoever begins an add waits for one portion."""
LISTED_MAX: Final = 50
_BUSY: Final = "an add, pull or import is under way or about to go on"


@dataclass(frozen=True, slots=True)
class WorkLeft:
    """What one unfinished add or pull has left."""

    kind: str
    name: str
    origin: str
    unix_ms: int
    block_count: int = 0
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class LeftoversState:
    """`works` are the largest LISTED_MAX; the counts are of all."""

    state: str = "idle"
    """idle, counting, deleting, done or failed."""
    works: tuple[WorkLeft, ...] = ()
    block_count: int = 0
    size_bytes: int = 0
    nobodys_count: int = 0
    """Of `block_count`, blocks that no note tells of."""
    nobodys_bytes: int = 0
    counted_unix_ms: int = 0
    deleted_count: int = 0
    deleted_bytes: int = 0
    remark: str = ""
    """Why the counts are not the whole truth, why the deletion stopped early, or why it failed."""


@dataclass(frozen=True, slots=True)
class LeftoversParts:
    """`store` is the store itself, to be asked whether it can list; `storage` may be one that measures it. `relocated`
    tells the engine what of a source is here; `changed` that the use of the disk has."""

    store: Storage
    storage: Storage
    dag: DagIndex
    sources: Callable[[], Sequence[Source]]
    unpublished: Unpublished
    relocated: Callable[[Root, Holding], Awaitable[None]]
    changed: Callable[[], None]


class LeftoversJob:
    """One per node; counts or deletes, one at a time, in the background."""

    def __init__(self, parts: LeftoversParts) -> None:
        self._parts = parts
        self._task: asyncio.Task[None] | None = None
        self.state = LeftoversState()

    @property
    def is_running(self) -> bool:
        return self._task is not None and not self._task.done()

    def count(self) -> None:
        """Begins to count, unless that is under way. Raises RefusedError while it deletes."""
        if self.is_running and self.state.state == "deleting":
            raise RefusedError("leftovers are being deleted at the moment; wait until that is done")
        if not self.is_running:
            self._begin("counting", self._count(self._listing()))

    def delete(self, before_unix_ms: int, *, everything: bool) -> None:
        """Begins to delete. Raises RefusedError, nothing was deleted."""
        parts = self._parts
        if self.is_running:
            raise RefusedError(
                "leftovers are being counted or deleted at the moment. Nothing was deleted; try again then"
            )
        if parts.unpublished.is_busy:
            raise RefusedError(f"{_BUSY}, and may rely on leftovers. Nothing was deleted; try again when it has ended")
        if everything and not parts.sources():
            raise RefusedError(
                "this node knows of no source at all. If its catalogue was lost, these blocks are no leftovers but all that "
                "there is. Nothing was deleted. Leave --all out, or wait until the sources are known again (ralnode ls)"
            )
        deletion = _Deletion(parts, self._listing(), before_unix_ms, everything=everything)
        self._begin("deleting", self._delete(deletion))

    async def stop(self) -> None:
        """A portion that is under way is carried out."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _begin(self, state: str, work: Coroutine[Any, Any, None]) -> None:
        self.state = replace(self.state, state=state, deleted_count=0, deleted_bytes=0, remark="")
        self._task = asyncio.create_task(self._run(work), name="leftovers")

    async def _run(self, work: Awaitable[None]) -> None:
        try:
            await work
        except (RalnodeError, OSError) as error:
            self.state = replace(self.state, state="failed", remark=str(error))
        except BaseException:
            self.state = replace(self.state, state="failed", remark="it was interrupted")
            raise

    def _listing(self) -> ListingStorage:
        store = self._parts.store
        if not isinstance(store, ListingStorage):
            raise RefusedError("the block store of this node cannot list what it has, so leftovers cannot be told")
        return store

    async def _count(self, storage: ListingStorage) -> None:
        counting, remark = await _counted(self._parts, storage)
        self.state = replace(counting, remark=remark)

    async def _delete(self, deletion: _Deletion) -> None:
        try:
            await deletion.run()
        finally:
            self._parts.changed()
        counting, remark = await _counted(self._parts, deletion.storage)
        self.state = replace(
            counting,
            deleted_count=deletion.count,
            deleted_bytes=deletion.size_bytes,
            remark=deletion.stopped_by or remark,
        )


async def _counted(parts: LeftoversParts, storage: ListingStorage) -> tuple[LeftoversState, str]:
    """What there is, and a remark."""
    busy = parts.unpublished.is_busy
    works = (await read_notes(parts.storage)).unfinished
    sweep, unknown = Sweep(parts.storage, parts.dag.dag, works), ""
    await sweep.prepare()
    counts, sizes = [0] * (len(works) + 1), [0] * (len(works) + 1)  # the last is nobody's
    async for owned in owned_windows(storage):
        left, lacking = await sweep.left(owned, parts.sources())
        unknown = unknown or lacking
        await asyncio.to_thread(left.add_to, counts, sizes)
    listed = [
        WorkLeft(work.kind, work.name, work.origin, work.unix_ms, counts[number], sizes[number])
        for number, work in enumerate(works)
        if counts[number]
    ]
    listed.sort(key=lambda each: -each.size_bytes)
    remark = f"{_BUSY}: what it has stored so far is counted too" if busy or parts.unpublished.is_busy else ""
    state = LeftoversState(
        "done", tuple(listed[:LISTED_MAX]), sum(counts), sum(sizes), counts[NOBODYS], sizes[NOBODYS], _now_ms()
    )
    return state, remark or (_lacking(unknown) if unknown else "")


class _Deletion:
    """One run."""

    def __init__(
        self, parts: LeftoversParts, storage: ListingStorage, before_unix_ms: int, *, everything: bool
    ) -> None:
        self.storage = storage
        self.count = 0
        self.size_bytes = 0
        self.stopped_by = ""
        self._parts = parts
        self._before_unix_ms = before_unix_ms
        self._everything = everything
        self._since = parts.unpublished.begun_count
        self._seen: set[Root] = set()

    async def run(self) -> None:
        """Blocks first, then the notes about them: a note without blocks is found out by whoever uses it."""
        notes = await read_notes(self._parts.storage)
        works = notes.unfinished
        sweep = Sweep(self._parts.storage, self._parts.dag.dag, works)
        await sweep.prepare()

        def goes(work: int) -> bool:
            return self._everything if work == NOBODYS else works[work].unix_ms < self._before_unix_ms

        async with aclosing(owned_windows(self.storage)) as windows:
            async for owned in windows:
                while not await self._window(sweep, owned, goes):
                    pass
                if self.stopped_by:
                    break
        if not self.stopped_by:
            await self._forget(notes)

    async def _window(self, sweep: Sweep, owned: Owned, goes: Callable[[int], bool]) -> bool:
        """Whether it is done; if not, a source has come, and what is left over has to be found anew."""
        sources = self._parts.sources()
        self._seen = {source.root for source in sources}
        left, lacking = await sweep.left(owned, sources)
        if lacking:
            self.stopped_by = _lacking(lacking)
            return True
        going = await asyncio.to_thread(left.of, goes)
        for start in range(0, len(going), PORTION_BLOCKS):
            await self._portion(left, going[start : start + PORTION_BLOCKS])
            if self.stopped_by or self._newcomers():
                return bool(self.stopped_by)
        return True

    async def _portion(self, left: Left, positions: Sequence[int]) -> None:
        """In a task of its own: a deletion that has begun ends, and what follows from it is told, whoever is cancelled."""
        keys = [left.owned.keys[at] for at in positions]
        task = asyncio.ensure_future(self._parts.unpublished.unless_begun(self._since, partial(self._go, keys)))
        try:
            done = await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait([task])
            raise
        if done is None:
            self.stopped_by = f"{_BUSY}: the rest was not deleted. Repeat this when it has ended"
            return
        self.count += done
        self.size_bytes += sum(left.owned.sizes[at] for at in positions) if done else 0

    async def _go(self, keys: Sequence[bytes]) -> int:
        """Nothing if a source has come by now. Of one that comes during the deletion, blocks may have been found here that
        are here no more: what there is of it is told afresh."""
        if self._newcomers():
            return 0
        count = await self._parts.storage.delete(keys)
        for source in self._newcomers():
            await self._parts.relocated(source.root, await self._parts.dag.locate(source))
        return count

    def _newcomers(self) -> list[Source]:
        return [source for source in self._parts.sources() if source.root not in self._seen]

    async def _forget(self, notes: Notes) -> None:
        names = [*notes.stale]
        for work in notes.unfinished:
            names += work.notes if work.unix_ms < self._before_unix_ms else []
        for start in range(0, len(names), PORTION_BLOCKS):
            gone = dict.fromkeys(names[start : start + PORTION_BLOCKS])
            await self._parts.unpublished.unless_begun(self._since, partial(self._parts.storage.save_state, gone))


def _lacking(name: str) -> str:
    return (
        f"of the source {name} not all metadata are here yet, so nobody can tell which of these blocks are its own; nothing "
        "can be deleted until they are. Try again in a moment; if no live node has them (ralnode status), remove the source"
    )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
