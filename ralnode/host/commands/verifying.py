"""One re-hashing of the whole store at a time, in the background, with its progress to be asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from ralnode.api import BlockKey, RalnodeError, RefusedError, Storage, VerifyProgress

BAD_SHOWN_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class VerifyState:
    state: str = "idle"
    """idle, running, paused, done, stopped or failed."""
    progress: VerifyProgress = field(default_factory=lambda: VerifyProgress(0, 0, 0))
    bad: tuple[BlockKey, ...] = ()
    """The first BAD_SHOWN_MAX."""
    bad_count: int = 0
    reason: str = ""


class VerifyJob:
    """Belongs to one node. `storage` is asked for when it starts, since the store is opened later than this is made."""

    def __init__(self, storage: Callable[[], Storage]) -> None:
        self._storage = storage
        self._task: asyncio.Task[None] | None = None
        self._going = asyncio.Event()
        self.state = VerifyState()

    def start(self, bytes_per_second: int | None = None) -> None:
        """Raises RefusedError when it runs already."""
        if self._task is not None and not self._task.done():
            raise RefusedError("a verification is running already; see its progress with: ralnode verify --progress")
        self.state = VerifyState("running")
        self._going.set()
        self._task = asyncio.create_task(self._run(bytes_per_second), name="verify")

    def pause(self) -> None:
        """Reads no further until `resume`, or until the node ends. Raises RefusedError when none is running."""
        if self.state.state != "running":
            raise RefusedError("no verification is running, so there is none to pause. Nothing was changed")
        self._going.clear()
        self.state = replace(self.state, state="paused")

    def resume(self) -> None:
        """Raises RefusedError when none was paused."""
        if self.state.state != "paused":
            raise RefusedError("no verification is paused, so there is none to go on with. Nothing was changed")
        self.state = replace(self.state, state="running")
        self._going.set()

    async def stop(self) -> None:
        """Ends it if it runs. What was found bad stays found."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self.state.state in ("running", "paused"):  # cancelled before its first step
            self.state = replace(self.state, state="stopped")

    async def _run(self, bytes_per_second: int | None) -> None:
        try:
            async for progress in self._storage().verify(bytes_per_second=bytes_per_second):
                self._advance(progress)
                await self._going.wait()
            self.state = replace(self.state, state="done")
        except asyncio.CancelledError:
            self.state = replace(self.state, state="stopped")
            raise
        except RalnodeError as error:
            self.state = replace(self.state, state="failed", reason=str(error))

    def _advance(self, progress: VerifyProgress) -> None:
        bad = (*self.state.bad, *progress.bad)[:BAD_SHOWN_MAX]
        count = self.state.bad_count + len(progress.bad)
        self.state = replace(self.state, progress=progress, bad=bad, bad_count=count)
