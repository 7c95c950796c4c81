"""Reads one batch ahead of its consumer, so that the disk works while the network does. Two batches in memory at most."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


async def one_ahead(source: AsyncIterator[T]) -> AsyncGenerator[T, None]:
    """The items of `source` in order. Closing it ends the reading."""
    task = asyncio.create_task(_step(source))
    try:
        while (item := await task) is not None:
            task = asyncio.create_task(_step(source))
            yield item
            del item  # not held while the next one is awaited
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await task
        close = getattr(source, "aclose", None)
        if close is not None:
            await close()


async def _step(source: AsyncIterator[T]) -> T | None:
    try:
        return await anext(source)  # with a default, CPython 3.11 raises SystemError at the end
    except StopAsyncIteration:
        return None
