"""Reads blocks from the store in groups of bounded size; while one is being used the next is read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Final, SupportsIndex, TypeAlias

from ralnode.api import BlockKey, Storage
from ralnode.api.limits import PUT_BATCH_BYTES

GROUP_BYTES: Final = PUT_BATCH_BYTES // 2
"""One being used and one read ahead are PUT_BATCH_BYTES."""
_GROUP_COUNT: Final = 64
"""So that sizes that are lies (a block may have 2 MiB, whatever its parent says) stay bearable: 128 MiB at the worst."""
_UNKNOWN_BYTES: Final = 128 * 1024
"""Reckoned for a block whose size is not on record: an interior node of 1,024 links has 50 KiB."""

Group: TypeAlias = list[tuple[BlockKey, bytes | None]]


async def groups(
    storage: Storage,
    keys: Sequence[BlockKey],
    indexes: Iterable[SupportsIndex],
    size_of: Callable[[int], int | None],
) -> AsyncGenerator[Group, None]:
    """The blocks at these positions of `keys`, in order; None for one that is not held. Close it (`aclosing`): what is
    being read ahead is given up then."""
    positions = iter(indexes)
    ahead: asyncio.Task[Group] | None = _begin(storage, keys, positions, size_of)
    try:
        while ahead is not None:
            group = await ahead
            ahead = _begin(storage, keys, positions, size_of)
            yield group
    finally:
        if ahead is not None:
            ahead.cancel()
            await asyncio.wait([ahead])


def _begin(
    storage: Storage, keys: Sequence[BlockKey], positions: Iterator[SupportsIndex], size_of: Callable[[int], int | None]
) -> asyncio.Task[Group] | None:
    """Begins to read the next group; None when there is none left."""
    wanted: list[BlockKey] = []
    size_bytes = 0
    for position in islice(positions, _GROUP_COUNT):
        index = int(position)
        wanted.append(keys[index])
        known = size_of(index)
        size_bytes += _UNKNOWN_BYTES if known is None else known
        if size_bytes >= GROUP_BYTES:
            break
    return asyncio.create_task(_read(storage, wanted), name="read blocks") if wanted else None


async def _read(storage: Storage, wanted: list[BlockKey]) -> Group:
    return list(zip(wanted, await storage.get_many(wanted), strict=True))
