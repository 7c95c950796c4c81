"""Seeds `[node] sources_dir`: each entry becomes a source by reference, at the start and whenever it changes.

A changed entry is published anew and its old source withdrawn afterwards. An entry that is gone is no longer offered from
here, but its source stays in the catalogue: an unmounted disk must not empty the cluster; only the user removes (`rm`).
What the user has removed so is not published again until the entry changes.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from watchfiles import awatch

from ralnode.api import Held, Holding, RalnodeError, Root, Source, Storage
from ralnode.host.bounds import DELETE_BLOCKS_MAX
from ralnode.host.dagindex import DagIndex
from ralnode.host.ingest import AddOptions
from ralnode.host.ingest.ingest import Ingest
from ralnode.host.seedbook import Look, SeedBook, Seeded, list_entries, look_at, shown

SETTLE_SECONDS: Final = 2.0
"""An entry that was written to this recently may still be growing: it is looked at again before it is added."""

FULL_LOOK_SECONDS: Final = 300.0
"""Between two looks at everything: network mounts report no changes, and a failed add deserves another attempt."""

WATCH_RETRY_SECONDS: Final = 10.0
"""Until a folder that could not be watched is tried again."""

WATCH_STEP_MS: Final = 500
"""How often the watching thread looks up: 50 ms, its default, costs a noticeable part of a core over a year."""


@dataclass(frozen=True, slots=True)
class SeederParts:
    """What seeding is done with. `publish` and `withdraw` return when that is durable; `relocated` tells the engine what
    of a source is here now; `say(level, text)` writes into the event log."""

    storage: Storage
    dag: DagIndex
    ingest: Ingest
    source: Callable[[Root], Source | None]
    publish: Callable[[Source, Holding], Awaitable[None]]
    withdraw: Callable[[Root], Awaitable[None]]
    relocated: Callable[[Root, Holding], Awaitable[None]]
    say: Callable[[str, str], None]
    copies: int


class Seeder:
    """`async with Seeder(…)`: seeds in the background until it is left."""

    def __init__(self, folder: Path, parts: SeederParts, wall_ns: Callable[[], int] = time.time_ns) -> None:
        self._folder = folder
        self._parts = parts
        self._wall_ns = wall_ns
        self._book = SeedBook(parts.storage)
        self._seen: dict[str, str] = {}
        """Signatures at the last look, of entries that were too fresh then."""
        self._failed: dict[str, str] = {}
        """Signatures that could not be added; tried again at full looks."""
        self._told: dict[str, str] = {}
        self._trouble = ""
        self._changed = asyncio.Event()
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Seeder:
        await self._book.load()
        self._tasks = [
            asyncio.create_task(self._seed(), name="seeding"),
            asyncio.create_task(self._watch(), name="watching sources"),
        ]
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._stop.set()  # for the watching thread: a cancelled task alone would wait until it looks up
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)

    async def _seed(self) -> None:
        """Nothing that a folder can hold ends the node."""
        is_full = True
        while True:
            self._changed.clear()
            try:
                unsettled = await self.look(full=is_full)
            except Exception as error:
                self._parts.say("warning", f"seeding {self._folder} met a fault and goes on: {error!r}")
                unsettled = True
            is_full = not await self._wait(SETTLE_SECONDS if unsettled else FULL_LOOK_SECONDS) and not unsettled

    async def _wait(self, seconds: float) -> bool:
        """Whether a change came within the time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        return self._changed.is_set()

    async def _watch(self) -> None:
        """A folder that is not there, or a system that cannot watch it, leaves the looks in between."""
        while True:
            try:
                async for _ in awatch(self._folder, stop_event=self._stop, step=WATCH_STEP_MS):
                    self._changed.set()
            except Exception as error:
                self._tell(f"cannot watch {self._folder}, looking now and then instead: {error}")
            await asyncio.sleep(WATCH_RETRY_SECONDS)
            self._changed.set()

    # --- one look ---------------------------------------------------------------------------------------------------

    async def look(self, *, full: bool) -> bool:
        """Adds what is new or changed, then retracts what is gone. `full` also makes sure that all is still held. Returns
        whether something was too fresh to be added yet."""
        try:
            names = await asyncio.to_thread(list_entries, self._folder)
        except OSError as error:
            self._tell(f"cannot read the sources folder {self._folder}: {error.strerror}. What was seeded stays")
            return False
        self._trouble = ""
        unsettled = [await self._entry(name, full=full) for name in names]
        for name in sorted(set(self._book.entries) - set(names)):
            await self._gone(name)
        return any(unsettled)

    async def _entry(self, name: str, *, full: bool) -> bool:
        """Whether it is to be looked at again soon."""
        try:
            look = await asyncio.to_thread(look_at, self._folder / name)
            if await self._is_done(name, look, full=full):
                return False
            if not self._is_settled(name, look):
                return True
            await self._add(name, look)
        except (RalnodeError, OSError) as error:
            self._tell_failed(name, str(error))
        except Exception as error:  # one odd entry must not keep the others from being seeded
            self._tell_failed(name, f"this is a fault of ralnode: {error!r}")
        return False

    async def _is_done(self, name: str, look: Look, *, full: bool) -> bool:
        seeded = self._book.entries.get(name)
        if seeded is None or seeded.signature != look.signature:
            return self._failed.get(name) == look.signature and not full
        source = self._parts.source(seeded.root)
        if not full or source is None:  # None: the user has removed it, which stands until the entry changes
            return True
        holding = await self._parts.dag.locate(source)
        return len(holding.servable) == source.leaf_count

    def _is_settled(self, name: str, look: Look) -> bool:
        before, self._seen[name] = self._seen.get(name), look.signature
        return before == look.signature or look.newest_ns + int(SETTLE_SECONDS * 1e9) <= self._wall_ns()

    async def _add(self, name: str, look: Look) -> None:
        self._failed[name] = look.signature  # until it has worked
        options = AddOptions(name=shown(name), link=True, copies=self._parts.copies)
        async with self._parts.ingest.unpublished.work():
            added = await self._parts.ingest.add_path(self._folder / name, options)
            await self._parts.publish(added.source, added.holding)
        before = self._book.entries.get(name)
        await self._book.note(name, Seeded(added.source.root, look.signature))
        for notes in (self._failed, self._seen, self._told):
            notes.pop(name, None)
        if before is not None and before.root != added.source.root:
            await self._withdraw(name, before.root)

    async def _withdraw(self, name: str, root: Root) -> None:
        """The old content of a changed entry, unless another entry still has it."""
        if self._parts.source(root) is not None and not self._book.is_used(root, but_by=name):
            self._parts.say("info", f"{shown(name)} has changed; what it was before is withdrawn")
            await self._parts.withdraw(root)

    async def _gone(self, name: str) -> None:
        root = self._book.entries[name].root
        source = self._parts.source(root)
        try:
            if source is not None and not self._book.is_used(root, but_by=name):
                await self._retract(source)
                self._parts.say(
                    "warning",
                    f"{shown(name)} is gone from the sources folder and is no longer offered from here. It stays in the "
                    f"catalogue; to remove it from the cluster: ralnode rm {shown(name)}",
                )
            await self._book.note(name, None)
        except RalnodeError as error:
            self._tell_failed(name, str(error))

    async def _retract(self, source: Source) -> None:
        """Forgets the references into the file; own copies stay."""
        storage = self._parts.storage
        keys = list(await self._parts.dag.leaf_keys(source))
        linked = [key for key, held in zip(keys, await storage.held(keys), strict=True) if held is Held.LINKED]
        for at in range(0, len(linked), DELETE_BLOCKS_MAX):
            await storage.delete(linked[at : at + DELETE_BLOCKS_MAX])
        await self._parts.relocated(source.root, await self._parts.dag.locate(source))

    # --- words ------------------------------------------------------------------------------------------------------

    def _tell_failed(self, name: str, reason: str) -> None:
        """Once, until the reason is another one."""
        if self._told.get(name) != reason:
            self._told[name] = reason
            self._parts.say("warning", f"cannot seed {shown(name)}: {reason}")

    def _tell(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            self._parts.say("warning", trouble)
