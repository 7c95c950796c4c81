"""Closing in good order within a stated time: each step gets its share, one that hangs or fails is named and passed over."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable


async def bounded(name: str, step: Callable[[], Awaitable[object]], seconds: float, log: logging.Logger) -> None:
    """Runs one closing step. Never raises but for our own cancellation."""
    task = asyncio.ensure_future(step())
    try:
        await asyncio.wait([task], timeout=seconds)
    finally:
        if not task.done():
            log.error("%s did not stop within %.1f s and is left behind", name, seconds)
            task.cancel()
    if task.done() and not task.cancelled() and (error := task.exception()) is not None:
        log.error("%s failed while stopping: %s: %s", name, type(error).__name__, error)
