"""`scrub`: reads and hashes everything held, in the order it lies on the disk, at a limited pace if asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Final

from ralnode.api import VerifyProgress
from ralnode.api.limits import MIB
from ralnode_storage_sqlite.index import Index, Place
from ralnode_storage_sqlite.reader import Reader, within_bytes

_ROWS: Final = 256
_BATCH_BYTES: Final = 8 * MIB
_FIRST: Final = Place(-(2**62), 0, 0)


async def scrub(
    index: Index, reader: Reader, block_count: Callable[[], int], bytes_per_second: int | None
) -> AsyncIterator[VerifyProgress]:
    """Bad blocks are quarantined and reported as they are found. The last report says that all was checked."""
    checked_count = checked_bytes = 0
    last = _FIRST
    while batch := within_bytes(await index.after(last, _ROWS), _BATCH_BYTES):
        start = time.monotonic()
        _, lost = await reader.read_at(dict(batch), from_platter=True)
        last = batch[-1][1]
        batch_bytes = sum(place.length for _, place in batch)
        checked_count += len(batch)
        checked_bytes += batch_bytes
        yield VerifyProgress(checked_count, max(checked_count, block_count()), checked_bytes, tuple(lost))
        if bytes_per_second:
            await asyncio.sleep(max(0.0, batch_bytes / bytes_per_second - (time.monotonic() - start)))
    yield VerifyProgress(checked_count, checked_count, checked_bytes)
