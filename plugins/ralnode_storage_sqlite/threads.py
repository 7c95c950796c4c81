"""`Threads`: where blocking work goes. One thread writes, in order; one syncs beside it; a few read and hash."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Threads:
    def __init__(self, read_threads: int) -> None:
        self._writing = ThreadPoolExecutor(1, "storage-write")
        self._syncing = ThreadPoolExecutor(1, "storage-sync")
        self._reading = ThreadPoolExecutor(max(1, read_threads), "storage-read")

    async def write(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs after everything handed to `write` before."""
        return await _run(self._writing, function, *args, **kwargs)

    async def sync(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """For what belongs to a commit; it does not wait for what `write` is at."""
        return await _run(self._syncing, function, *args, **kwargs)

    async def read(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await _run(self._reading, function, *args, **kwargs)

    def stop(self) -> None:
        """What has begun ends by itself."""
        for pool in (self._writing, self._syncing, self._reading):
            pool.shutdown(wait=False, cancel_futures=True)


async def _run(pool: ThreadPoolExecutor, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    return await asyncio.get_running_loop().run_in_executor(pool, lambda: function(*args, **kwargs))
