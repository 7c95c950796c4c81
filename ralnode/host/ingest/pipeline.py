"""`in_order`: several jobs under way at once, their results in the order in which they were begun."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing
from typing import TypeVar

T = TypeVar("T")


async def in_order(jobs: AsyncGenerator[Awaitable[T], None], ahead_count: int) -> AsyncGenerator[T, None]:
    """At most `ahead_count` begun and not yet taken. Close it (`aclosing`): what is under way is awaited then."""
    waiting: deque[asyncio.Future[T]] = deque()
    try:
        async with aclosing(jobs) as begun:
            async for job in begun:
                waiting.append(asyncio.ensure_future(job))
                if len(waiting) >= ahead_count:
                    yield await waiting.popleft()
            while waiting:
                yield await waiting.popleft()
    finally:
        for left in waiting:
            left.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
