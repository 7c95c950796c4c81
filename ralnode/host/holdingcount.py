"""Which leaves of a source the store has: asked for in portions, gathered into sets in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from ralnode.api import BlockKey, BlockSet, Held, Storage
from ralnode.dag.keys import LeafKeys

_PORTION: Final = 20_000
"""Keys per question: building the list takes 5 ms of a thread, and other questions to the store come in between."""


async def count_held(storage: Storage, leaves: LeafKeys) -> tuple[BlockSet, BlockSet]:
    """(owned, linked) indexes."""
    count = len(leaves)
    owned, linked = np.zeros(count, dtype=bool), np.zeros(count, dtype=bool)
    for start in range(0, count, _PORTION):
        keys = await asyncio.to_thread(_slice, leaves, start)
        held = await storage.held(keys)
        await asyncio.to_thread(_note, held, owned[start : start + _PORTION], linked[start : start + _PORTION])
    if count <= _PORTION:
        return BlockSet.from_mask(owned), BlockSet.from_mask(linked)
    return await asyncio.to_thread(BlockSet.from_mask, owned), await asyncio.to_thread(BlockSet.from_mask, linked)


async def all_held(storage: Storage, keys: Sequence[BlockKey]) -> bool:
    """Whether every one of them is in the store."""
    for start in range(0, len(keys), _PORTION):
        if Held.NO in await storage.held(await asyncio.to_thread(_slice, keys, start)):
            return False
    return True


def _slice(keys: Sequence[BlockKey], start: int) -> list[BlockKey]:
    return list(keys[start : start + _PORTION])


def _note(held: list[Held], owned: npt.NDArray[np.bool_], linked: npt.NDArray[np.bool_]) -> None:
    owned[:] = [each is Held.OWNED for each in held]
    linked[:] = [each is Held.LINKED for each in held]
