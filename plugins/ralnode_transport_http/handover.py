"""Brings batches from a worker thread to an async generator, one at a time: the thread fills the next batch while the
consumer works on the one before, and waits with it until that is asked for. So two batches exist at most."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Executor
from typing import Generic, TypeVar

from ralnode.api import UnavailableError
from ralnode_transport_http.dialer import Cancel

T = TypeVar("T")


class Handover(Generic[T]):
    """`give` is for the thread, `batches` for the event loop."""

    def __init__(self, cancel: Cancel) -> None:
        self._cancel = cancel
        self._loop = asyncio.get_running_loop()
        self._wanted = threading.Semaphore(0)
        self._arrived: asyncio.Queue[T | None] = asyncio.Queue()
        cancel.when_set(self._wanted.release)

    @property
    def is_awaited(self) -> bool:
        """Whether `give` would not wait. For the thread: a consumer in a hurry gets a smaller batch."""
        taken = self._wanted.acquire(blocking=False)
        if taken:
            self._wanted.release()
        return taken

    def give(self, batch: T) -> None:
        """Waits until the consumer wants it. Raises UnavailableError when nobody will ever want it."""
        if not self._cancel.is_set:
            self._wanted.acquire()
        if self._cancel.is_set:
            raise UnavailableError("the request was cancelled")
        self._loop.call_soon_threadsafe(self._arrived.put_nowait, batch)

    async def batches(
        self, executor: Executor, work: Callable[[Handover[T]], None], stall_seconds: float
    ) -> AsyncGenerator[T, None]:
        """Runs `work(self)` in a thread and yields what it gives. What `work` raises comes out after the last batch.
        Raises UnavailableError when nothing has come for `stall_seconds`."""
        future = self._loop.run_in_executor(executor, work, self)
        future.add_done_callback(lambda _: self._arrived.put_nowait(None))
        try:
            while True:
                self._wanted.release()
                try:
                    async with asyncio.timeout(stall_seconds):
                        batch = await self._arrived.get()
                except TimeoutError:
                    raise UnavailableError(f"no whole block came within {stall_seconds:.0f} s") from None
                if batch is None:
                    break
                yield batch
                del batch  # so that it is not held while the next one is awaited
            future.result()
        finally:
            self._cancel.set()
            if not future.done():
                future.add_done_callback(_ignore)


def _ignore(future: asyncio.Future[None]) -> None:
    """The thread ends with an error because its request was cancelled: nobody wants to know."""
    if not future.cancelled():
        future.exception()
