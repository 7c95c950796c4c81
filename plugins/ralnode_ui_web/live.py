"""One look at the node for all browsers that follow it, and the history that grows from these looks.

While nobody looks it samples every 15 s; else when the node says that something has changed, and every 2 s for what
only time changes. After each look it rests at least 20 times as long as the look took.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterator
from contextlib import aclosing
from typing import Final

from ralnode.api import ClusterStatus, NodeControl, RalnodeError
from ralnode_ui_web.history import History

IDLE_SECONDS: Final = 15.0
TICK_SECONDS: Final = 2.0
REST_SECONDS_MIN: Final = 0.5
_REST_FACTOR: Final = 20
"""A page that is open all day may use a twentieth of a core, however large the cluster."""
_AGAIN_SECONDS: Final = 1.0


class Live:
    """`run` looks; viewers wait for the next look with `after`."""

    def __init__(self, node: NodeControl, log: logging.Logger) -> None:
        self.history = History()
        self.status: ClusterStatus | None = None
        self.version = 0
        """Counts looks."""
        self.viewer_count = 0
        self._node = node
        self._log = log
        self._looked = asyncio.Event()
        self._arrived = asyncio.Event()

    @contextlib.contextmanager
    def viewer(self) -> Iterator[None]:
        """While a browser follows."""
        self.viewer_count += 1
        self._arrived.set()
        try:
            yield
        finally:
            self.viewer_count -= 1

    async def after(self, version: int) -> int:
        """Waits for a look later than `version`; returns its number."""
        while self.version <= version:
            await self._looked.wait()
        return self.version

    async def run(self) -> None:
        """Returns never."""
        while True:
            try:
                await (self._follow() if self.viewer_count else self._idle())
            except RalnodeError:  # it starts, or stops
                await asyncio.sleep(_AGAIN_SECONDS)
            except Exception:
                self._log.exception("the status page could not look at its node; it tries again")
                await asyncio.sleep(IDLE_SECONDS)

    async def _idle(self) -> None:
        self._look()
        self._arrived.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._arrived.wait(), IDLE_SECONDS)

    async def _follow(self) -> None:
        async with aclosing(self._node.changes()) as changes:  # type: ignore[type-var]
            change = asyncio.ensure_future(anext(changes))
            try:
                while self.viewer_count:
                    began = time.monotonic()
                    self._look()
                    await asyncio.sleep(max(REST_SECONDS_MIN, _REST_FACTOR * (time.monotonic() - began)))
                    await asyncio.wait({change}, timeout=TICK_SECONDS)
                    if change.done():
                        change.result()
                        change = asyncio.ensure_future(anext(changes))
            finally:
                change.cancel()
                await asyncio.gather(change, return_exceptions=True)

    def _look(self) -> None:
        self.status = self._node.status()
        self.history.note(self.status)
        self.version += 1
        looked, self._looked = self._looked, asyncio.Event()
        looked.set()
