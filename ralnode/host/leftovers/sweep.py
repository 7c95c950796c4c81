"""Passes what the store owns over all sources, a window at a time: what is left over, and of which unfinished work it is.

Bounded: a window of a million keys and the keys that notes name, whatever the size of the store.
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from ralnode.api import ListingStorage, NotFoundError, Source, Storage
from ralnode.dag import cid as cids
from ralnode.dag.keys import KeyList
from ralnode.dag.walk import Dag
from ralnode.host.dropping import WINDOW_KEYS, Window, reachable
from ralnode.host.leftovers.unfinished import Unfinished

NOBODYS: Final = -1
"""Of a leftover that no note tells of."""
DagOf: TypeAlias = Callable[[Source], Awaitable[Dag]]
_Prints: TypeAlias = npt.NDArray[np.uint64]


@dataclass(slots=True)
class Owned:
    """Some blocks that the store owns."""

    keys: KeyList = field(default_factory=KeyList)
    sizes: array[int] = field(default_factory=lambda: array("Q"))


@dataclass(frozen=True, slots=True)
class Left:
    """Leftovers among some owned blocks: where they are among them, and the number of the unfinished work of each."""

    owned: Owned
    positions: Sequence[int]
    works: Sequence[int]

    def add_to(self, counts: list[int], sizes: list[int]) -> None:
        """By the number of the work; the last is nobody's. Slow for many: in a thread, like `of`."""
        for at, work in zip(self.positions, self.works, strict=True):
            counts[work] += 1
            sizes[work] += self.owned.sizes[at]

    def of(self, wanted: Callable[[int], bool]) -> list[int]:
        """Positions of those whose work is wanted, leaves first: what leads to others goes last."""
        found = [at for at, work in zip(self.positions, self.works, strict=True) if wanted(work)]
        return sorted(found, key=lambda at: cids.codec_of(self.owned.keys[at]) != cids.RAW)


async def owned_windows(storage: ListingStorage) -> AsyncGenerator[Owned, None]:
    window = Owned()
    async for group in storage.owned_blocks():
        for key, size_bytes in group:
            window.keys.append(key)
            window.sizes.append(size_bytes)
        if len(window.keys) >= WINDOW_KEYS - len(group):
            yield window
            window = Owned()
    if len(window.keys):
        yield window


class Sweep:
    """One look at the notes. Where two works have left the same block, it is the later one's."""

    def __init__(self, storage: Storage, dag_of: DagOf, works: Sequence[Unfinished]) -> None:
        self._storage = storage
        self._dag_of = dag_of
        self._works = works
        self._prints: list[_Prints] = []

    async def prepare(self) -> None:
        self._prints = await asyncio.to_thread(lambda: [_sorted(work.keys) for work in self._works])

    async def left(self, owned: Owned, sources: Sequence[Source]) -> tuple[Left, str]:
        """What none of the sources uses; and the name of a source of which not all is known here, so that more of these may
        be its own, or nothing."""
        window, unknown = await asyncio.to_thread(Window, owned.keys), ""
        for source in sources:
            try:
                dag = await self._dag_of(source)
                lists = [dag.interior, dag.leaves.keys]
            except NotFoundError:
                unknown = unknown or source.name
                lists = [await reachable(source.root, self._storage)]
            await asyncio.to_thread(window.keep, lists)
        return await asyncio.to_thread(self._assigned, owned, window), unknown

    def _assigned(self, owned: Owned, window: Window) -> Left:
        positions = window.left()
        works = np.full(len(positions), NOBODYS, dtype=np.int64)
        prints = owned.keys.fingerprints(0, len(owned.keys))[positions]
        for number in sorted(range(len(self._works)), key=lambda each: self._works[each].unix_ms):
            known = self._prints[number]
            if len(known):
                at = np.minimum(np.searchsorted(known, prints), len(known) - 1)
                works[known[at] == prints] = number
        return Left(owned, positions, works.tolist())


def _sorted(keys: KeyList) -> _Prints:
    return np.sort(keys.fingerprints(0, len(keys)))
