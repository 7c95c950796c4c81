"""`LeftoversWatch`: looks now and then whether leftovers take notable room, so that the status can say so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from ralnode.api import RalnodeError, Usage
from ralnode.api.limits import GIB, MIB
from ralnode.host.ingest.unpublished import Unpublished
from ralnode.host.leftovers.job import LeftoversJob

FIRST_LOOK_SECONDS: Final = 120.0
LOOK_SECONDS: Final = 3600.0
_NOTABLE_MIN: Final = 64 * MIB
_NOTABLE_MAX: Final = GIB


class LeftoversWatch:
    """Counts only when the store uses notably more than the sources explain: counting reads the whole index. `explained`:
    bytes that the sources have here. What turned out to be no leftovers (the index, holes in segments) is not counted anew."""

    def __init__(
        self, job: LeftoversJob, unpublished: Unpublished, usage: Callable[[], Usage], explained: Callable[[], int]
    ) -> None:
        self._job = job
        self._unpublished = unpublished
        self._usage = usage
        self._explained = explained
        self._dismissed_bytes = 0
        self._counted_at: int | None = None
        """What was unexplained when it was counted last."""

    @property
    def notable_bytes(self) -> int:
        """What leftovers took when they were counted last; 0 when that is not worth a word."""
        size_bytes = self._job.state.size_bytes
        return size_bytes if size_bytes >= notable(self._usage().capacity_bytes) else 0

    async def run(self) -> None:
        """Returns never."""
        await asyncio.sleep(FIRST_LOOK_SECONDS)
        while True:
            self.look()
            await asyncio.sleep(LOOK_SECONDS)

    def look(self) -> None:
        """Begins to count when it seems worth it, or when what was counted last was."""
        usage = self._usage()
        unexplained = usage.used_bytes - self._explained()
        if self._counted_at is not None and not self.notable_bytes:
            self._dismissed_bytes = self._counted_at
        is_worth_it = unexplained >= self._dismissed_bytes + notable(usage.capacity_bytes) or self.notable_bytes
        if is_worth_it and not self._unpublished.is_busy:
            with suppress(RalnodeError):  # it deletes, or cannot list
                self._job.count()
                self._counted_at = unexplained


def notable(capacity_bytes: int) -> int:
    """A twentieth of the capacity, within bounds."""
    return max(_NOTABLE_MIN, min(_NOTABLE_MAX, capacity_bytes // 20))
