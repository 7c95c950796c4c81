"""Drives the generators of `ralnode.dag` with blocks from somewhere asynchronous; their own work is done in threads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Sequence
from typing import Any, Final, TypeAlias, TypeVar

from ralnode.dag.walk import Blocks, Need, Walk

T = TypeVar("T")
Get: TypeAlias = Callable[[Sequence[bytes]], Awaitable[Sequence[bytes | None]]]
"""Keys to blocks in the same order, None for one that is not to be had."""

_INLINE_BYTES: Final = 4096
"""Blocks that are decoded on the event loop: a thread would take longer than the 0.1 ms that they need."""


async def drive(walk: Walk[T], get: Get) -> T:
    """Runs a walk to its end. Raises what the walk or `get` raises."""
    blocks: Blocks | None = None
    while True:
        done, value = await _step(walk, blocks)
        if done:
            return value  # type: ignore[no-any-return]
        blocks = await get(value.keys)


async def stream(walk: Generator[Need | T, Blocks, None], get: Get) -> AsyncIterator[T]:
    """Runs a walk that yields results between its needs."""
    blocks: Blocks | None = None
    while True:
        done, value = await _step(walk, blocks)
        if done:
            return
        blocks = ()
        if isinstance(value, Need):
            blocks = await get(value.keys)
        else:
            yield value


async def _step(walk: Generator[Any, Blocks, Any], blocks: Blocks | None) -> tuple[bool, Any]:
    if sum(len(block) for block in blocks or () if block is not None) <= _INLINE_BYTES:
        return _advance(walk, blocks)
    return await asyncio.to_thread(_advance, walk, blocks)


def _advance(walk: Generator[Any, Blocks, Any], blocks: Blocks | None) -> tuple[bool, Any]:
    """(whether it has ended, what it yields or returns). A StopIteration must not leave a thread."""
    try:
        return False, next(walk) if blocks is None else walk.send(blocks)
    except StopIteration as end:
        return True, end.value
