"""`Unpublished`: work that relies on blocks of no source yet (adds, pulls, imports), and deletions beside it.

Whoever stores blocks holds `work` from before it looks what is here until its source is published. Leftovers are deleted in
small portions, each of them only if no work has begun since they were found to be leftovers; work that begins waits for
the portion under way, and nothing more is deleted after it.

The blocks of a removed source do not wait for work, which may take hours: work then looks once more whether all is here,
while nothing is being deleted, before its source is published (`publishing`, `is_undisturbed`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final, TypeVar

from ralnode.api import Source

T = TypeVar("T")

EXPECTED_SECONDS: Final = 120.0
"""How long a client that was told what is here may take until it goes on with it."""


class Unpublished:
    """One per node; only the event loop touches it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._running_count = 0
        self._expected_until = float("-inf")
        self._deleting = asyncio.Lock()
        self._has_deleted = True
        """Since the oldest of the work that runs began."""
        self._publishing: list[Source] = []
        self.begun_count = 0
        """Grows whenever something begins, or may begin soon, that relies on blocks of no source."""

    @property
    def is_busy(self) -> bool:
        """Whether blocks of no source are relied on now, or may be in a moment."""
        return self._running_count > 0 or self._clock() < self._expected_until

    @asynccontextmanager
    async def work(self) -> AsyncIterator[None]:
        """From before the first look at what is here until the source is published, or until it has failed."""
        self.begun_count += 1
        self._running_count += 1
        try:
            async with self._deleting:
                self._has_deleted = self._has_deleted and self._running_count > 1
            yield
        finally:
            self._running_count -= 1

    def expect(self) -> None:
        """Somebody was told what is here of an earlier add, and will rely on it."""
        self.begun_count += 1
        self._expected_until = self._clock() + EXPECTED_SECONDS

    @property
    def is_undisturbed(self) -> bool:
        """Whether nothing was deleted since the oldest work that runs has begun; not if none does."""
        return self._running_count > 0 and not self._has_deleted

    @asynccontextmanager
    async def publishing(self, source: Source, is_whole: Callable[[], Awaitable[bool]]) -> AsyncIterator[bool]:
        """Yields whether all of the source is here still; if so, whoever asks `known` knows it from that moment on."""
        async with self._deleting:
            has_all = self.is_undisturbed or await is_whole()
            if has_all:
                self._publishing.append(source)
        try:
            yield has_all
        finally:
            if has_all:
                self._publishing.remove(source)

    def known(self, catalogue: Sequence[Source]) -> list[Source]:
        """The catalogue, and what is on its way into it."""
        return [*catalogue, *self._publishing]

    async def unless(self, obstacle: Callable[[], bool], deletion: Callable[[], Awaitable[T]]) -> T | None:
        """Carries out a deletion beside whatever work; None, and nothing done, if at its turn there is an obstacle."""
        async with self._deleting:
            if obstacle():
                return None
            self._has_deleted = True
            return await deletion()

    async def unless_begun(self, since: int, deletion: Callable[[], Awaitable[T]]) -> T | None:
        """Carries out the deletion unless something has begun since `begun_count` was `since`; None if so."""
        async with self._deleting:
            if self.is_busy or self.begun_count != since:
                return None
            return await deletion()
