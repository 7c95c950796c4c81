"""Which blocks go when a source is removed: those of its DAG that no source that stays uses as well.

Bounded: a window of the removed source's keys is held as 8-byte fingerprints, and every other source is passed over it.
Leftovers are found in the same way (host/leftovers).
Equal fingerprints of different keys keep a block that could go; never the other way round.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from ralnode.api import NotFoundError, Source, Storage
from ralnode.api.limits import DAG_DEPTH_MAX
from ralnode.dag import cid as cids
from ralnode.dag.errors import DagError
from ralnode.dag.keys import KeyList
from ralnode.dag.node import open_node
from ralnode.dag.walk import Dag

_PORTION: Final = 1 << 16
WINDOW_KEYS: Final = 1 << 20
"""About 40 MiB while it is sorted."""
_REACHED_MAX: Final = 1_000_000
"""Of a source whose interior nodes are not all here: what can be found of it, no more than this."""

_Fingerprints: TypeAlias = npt.NDArray[np.uint64]


async def keys_only_in(
    source: Source, kept: Sequence[Source], dag_of: Callable[[Source], Awaitable[Dag]], storage: Storage
) -> KeyList:
    """Keys of `source` that none of `kept` uses. Of a source whose interior nodes are not all in the store, what can be
    reached of it counts."""
    others = [other for other in kept if other.root != source.root]
    return await unused(await _lists(source, dag_of, storage), others, dag_of, storage)


async def unused(
    lists: Sequence[KeyList], kept: Sequence[Source], dag_of: Callable[[Source], Awaitable[Dag]], storage: Storage
) -> KeyList:
    """Those keys that none of `kept` uses."""
    dropped = KeyList()
    for keys in lists:
        for start in range(0, len(keys), WINDOW_KEYS):
            window = await asyncio.to_thread(Window, keys, start)
            for other in kept:
                await asyncio.to_thread(window.keep, await _lists(other, dag_of, storage))
            await asyncio.to_thread(window.add_left_to, dropped)
    return dropped


class Window:
    """Keys that may go, sorted by fingerprint, and which of them have turned out to be used."""

    def __init__(self, keys: KeyList, start: int = 0) -> None:
        self._keys = keys
        self._start = start
        prints = keys.fingerprints(start, start + WINDOW_KEYS)
        self._prints, self._first = np.unique(prints, return_index=True)
        self._used = np.zeros(len(self._prints), dtype=bool)

    def keep(self, lists: Sequence[KeyList]) -> None:
        for each in lists:
            for part in _portions(each):
                at = np.minimum(np.searchsorted(self._prints, part), len(self._prints) - 1)
                self._used[at[self._prints[at] == part]] = True

    def add_left_to(self, dropped: KeyList) -> None:
        for position in self.left():
            dropped.append(self._keys[position])

    def left(self) -> list[int]:
        """Positions of those that are not used; of equal keys the first."""
        return [self._start + position for position in np.sort(self._first[~self._used]).tolist()]


def _portions(keys: KeyList) -> Iterator[_Fingerprints]:
    return (keys.fingerprints(start, start + _PORTION) for start in range(0, len(keys), _PORTION))


async def _lists(source: Source, dag_of: Callable[[Source], Awaitable[Dag]], storage: Storage) -> list[KeyList]:
    try:
        dag = await dag_of(source)
    except NotFoundError:
        return [await reachable(source.root, storage)]
    return [dag.interior, dag.leaves.keys]


async def reachable(root: bytes, storage: Storage) -> KeyList:
    """Every key that can be found below the root with the nodes that are here."""
    found, seen = KeyList(), set[bytes]()
    waiting = [(cids.to_key(root), 0)]
    while waiting and len(found) < _REACHED_MAX:
        key, depth = waiting.pop()
        if key in seen or depth > DAG_DEPTH_MAX:
            continue
        seen.add(key)
        found.append(key)
        block = await storage.get(key) if cids.codec_of(key) == cids.DAG_PB else None
        if block is not None:
            waiting += [(child, depth + 1) for child in await asyncio.to_thread(_children, key, block)]
    return found


def _children(key: bytes, block: bytes) -> list[bytes]:
    try:
        return [cids.to_key(link.cid) for link in open_node(key, block).links()]
    except DagError:
        return []
