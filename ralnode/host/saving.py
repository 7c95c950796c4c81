"""State documents become durable here, in the order in which the engine asked, and what had to wait for them goes on.

Saves that come while one is under way are joined into one transaction. Bodies of exchanges wait behind the saves asked
for before them, so that no peer sees a record which a power cut could still take back; datagrams, which carry only
version numbers, do not wait: a probe must be answered while the disk is slow.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from ralnode.api import Storage, StorageError, StorageFullError
from ralnode.core.events import Effect, SaveState, SourceSettled
from ralnode.host.bounds import SAVE_BACKLOG_MAX, SAVE_RETRY_SECONDS


class Saver:
    """`run` is an essential service."""

    def __init__(
        self,
        storage: Storage,
        say: Callable[[str, str], None],
        retry_seconds: float = SAVE_RETRY_SECONDS,
    ) -> None:
        self._storage = storage
        self._say = say
        self._retry_seconds = retry_seconds
        self._items: dict[bytes, bytes | None] = {}
        self._then: list[Effect] = []
        self._saving = False
        self._trouble = ""
        self._news = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def save(self, effect: SaveState) -> None:
        self._items.update(effect.items)
        self._then += effect.then
        self._idle.clear()
        self._news.set()

    def must_wait(self, effect: Effect) -> bool:
        """Whether the effect was put behind the saves that are under way; if not, the caller carries it out now."""
        if self._trouble or not (self._saving or self._items or self._then):
            return False
        self._then.append(effect)
        self._news.set()
        return True

    @property
    def is_overdue(self) -> bool:
        """Whether so much waits that the core loop should."""
        return len(self._then) > SAVE_BACKLOG_MAX

    async def flush(self) -> None:
        """Waits until all that was asked for is durable; at once when the disk refuses writes."""
        await self._idle.wait()

    async def run(self, carry_out: Callable[[Sequence[Effect]], None]) -> None:
        """Returns never. `carry_out` gets the effects that waited, in order. Raises StorageError when the store fails in
        a way that is not a state (full, read-only)."""
        while True:
            await self._news.wait()
            self._news.clear()
            carry_out(await self._save_all())
            if not self._items and not self._then:
                self._idle.set()
            if self._trouble:
                self._idle.set()
                await asyncio.sleep(self._retry_seconds)
                self._news.set()

    async def _save_all(self) -> Sequence[Effect]:
        """What goes on now."""
        items, then = self._items, self._then
        self._items, self._then = {}, []
        self._saving = True
        try:
            if items:
                await self._storage.save_state(items)
        except StorageError as error:
            return self._keep(items, then, error)
        finally:
            self._saving = False
        if self._trouble:
            self._trouble = ""
            self._say("info", "state can be saved again")
        return then

    def _keep(self, items: dict[bytes, bytes | None], then: list[Effect], error: StorageError) -> Sequence[Effect]:
        """Full and read-only are states: the documents are kept for the next attempt, and nobody waits for it."""
        if not isinstance(error, StorageFullError) and not self._storage.usage().read_only_reason:
            raise error
        if not self._trouble:
            self._say("error", f"state cannot be saved, trying again every {self._retry_seconds:.0f} s: {error}")
        self._trouble = str(error)
        self._items = items | self._items
        refusal = f"its record cannot be made durable: {error}"
        return [replace(e, refusal=refusal) if isinstance(e, SourceSettled) else e for e in then]
