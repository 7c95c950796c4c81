"""Pulls what is pinned, a few at a time, oldest first; goes on after a restart; tries again until it gives up."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Final

from ralnode.api import NodeControl, RalnodeError, RefusedError, StorageFullError
from ralnode.dag import cid as cids
from ralnode_gateway_pinning.book import Book
from ralnode_gateway_pinning.model import Pin, State
from ralnode_gateway_pinning.options import PinningOptions
from ralnode_gateway_pinning.places import places

RETRY_SECONDS: Final = 5.0
RETRY_SECONDS_MAX: Final = 300.0


class Worker:
    """`start`, `add` and `forget` belong to one event loop."""

    def __init__(self, node: NodeControl, book: Book, options: PinningOptions, log: logging.Logger) -> None:
        self._node = node
        self._book = book
        self._options = options
        self._log = log
        self._gate = asyncio.Semaphore(options.pulls_max)
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def start(self) -> None:
        for pin in await self._book.unfinished():
            self.add(pin)

    def add(self, pin: Pin) -> None:
        task = asyncio.create_task(self._work(pin), name=f"pin {pin.wish.cid}")
        self._tasks[pin.request_id] = task
        task.add_done_callback(lambda _task: self._tasks.pop(pin.request_id, None))

    async def forget(self, request_id: str) -> None:
        """Ends its pull; what has come stays in the store until it is asked for again."""
        task = self._tasks.pop(request_id, None)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def stop(self) -> None:
        for request_id in list(self._tasks):
            await self.forget(request_id)

    def has(self, pin: Pin) -> bool:
        """Whether the content is a source of the cluster."""
        key = cids.to_key(pin.wish.root)
        return any(cids.to_key(source.root) == key for source in self._node.sources())

    async def _work(self, pin: Pin) -> None:
        try:
            await self._until_it_is_here(pin)
        except RalnodeError as error:
            await self._book.note(pin.request_id, State.FAILED, str(error))
            self._log.warning("pin %s failed: %s", pin.wish.cid, error)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            self._log.exception("pin %s", pin.wish.cid)
            await self._book.note(pin.request_id, State.FAILED, f"a fault of ralnode: {type(error).__name__}")

    async def _until_it_is_here(self, pin: Pin) -> None:
        deadline, pause = time.monotonic() + 60 * self._options.give_up_minutes, RETRY_SECONDS
        while not self.has(pin):
            async with self._gate:
                await self._book.note(pin.request_id, State.PINNING, "looking for it")
                trouble = await self._pull(pin)
            if trouble is None:
                await self._book.note(pin.request_id, State.PINNED, "", is_ours=True)
                self._log.info("pinned %s as %s", pin.wish.cid, pin.wish.source_name)
                return
            if time.monotonic() + pause > deadline:
                await self._book.note(pin.request_id, State.FAILED, trouble)
                return
            await self._book.note(pin.request_id, State.PINNING, f"{trouble} (trying again)")
            await asyncio.sleep(pause)
            pause = min(2 * pause, RETRY_SECONDS_MAX)
        await self._book.note(pin.request_id, State.PINNED, "it was in the cluster already")

    async def _pull(self, pin: Pin) -> str | None:
        """What went wrong everywhere; None when it is here. Raises what no other place would cure."""
        troubles = []
        for url in places(pin.wish.origins, pin.client, self._options):
            try:
                await self._node.pull(url, pin.wish.root, pin.wish.source_name)
            except (StorageFullError, RefusedError):
                raise
            except RalnodeError as error:
                troubles.append(f"{url}: {error}")
            else:
                return None
        return (
            "; ".join(troubles) or "nowhere to pull it from: no HTTP address in origins, no [gateway.pinning] gateways"
        )
