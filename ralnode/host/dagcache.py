"""`DagCache`: the DAGs walked last, bounded by their bytes, and one lock per root so that none is walked twice at once."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from ralnode.api import Root
from ralnode.dag.walk import Dag

IDLE_SECONDS: Final = 60.0
"""How long a DAG larger than the whole bound stays after its last use: 10 TB in 1 MiB leaves take 400 MiB."""


class DagCache:
    """The one used last stays even if it is larger than the bound, so that whoever asks group by group need not walk each
    time; but only while it is used."""

    def __init__(self, size_bytes_max: int, idle_seconds: float = IDLE_SECONDS) -> None:
        self._size_bytes_max = size_bytes_max
        self._idle_seconds = idle_seconds
        self._timer: asyncio.TimerHandle | None = None
        self._dags: OrderedDict[Root, Dag] = OrderedDict()
        self._size_bytes = 0
        self._locks: dict[Root, tuple[asyncio.Lock, int]] = {}
        """Lock and how many hold it or wait for it."""

    @property
    def size_bytes(self) -> int:
        return self._size_bytes

    def get(self, root: Root) -> Dag | None:
        dag = self._dags.get(root)
        if dag is not None:
            self._dags.move_to_end(root)
            self._watch_oversize()
        return dag

    def put(self, root: Root, dag: Dag) -> None:
        self.forget(root)
        self._dags[root] = dag
        self._size_bytes += _memory_bytes(dag)
        while self._size_bytes > self._size_bytes_max and len(self._dags) > 1:
            self.forget(next(iter(self._dags)))
        self._watch_oversize()

    def forget(self, root: Root) -> None:
        dag = self._dags.pop(root, None)
        if dag is not None:
            self._size_bytes -= _memory_bytes(dag)

    def _watch_oversize(self) -> None:
        """Begins the time anew after which what is too large goes."""
        if self._size_bytes > self._size_bytes_max:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = asyncio.get_running_loop().call_later(self._idle_seconds, self._drop_oversize)

    def _drop_oversize(self) -> None:
        while self._size_bytes > self._size_bytes_max:
            self.forget(next(iter(self._dags)))

    @asynccontextmanager
    async def lock(self, root: Root) -> AsyncIterator[None]:
        lock, count = self._locks.get(root, (asyncio.Lock(), 0))
        self._locks[root] = lock, count + 1
        try:
            async with lock:
                yield
        finally:
            lock, count = self._locks[root]
            if count == 1:
                del self._locks[root]
            else:
                self._locks[root] = lock, count - 1


def _memory_bytes(dag: Dag) -> int:
    return dag.leaves.memory_bytes + dag.interior.memory_bytes + 512
