"""Blocks for one request: from this node, and from the others unless that is forbidden. Drives the walks of ralnode.dag."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator, Sequence
from typing import Any, TypeVar

from ralnode.api import NodeControl, UnavailableError
from ralnode.dag import cid as cids
from ralnode.dag.walk import Blocks, Need, Walk

T = TypeVar("T")
_INLINE_BYTES = 4096
"""Blocks whose decoding is left on the event loop: a thread would cost more."""


class View:
    """`root`: the DAG that is read, whose holders are asked first."""

    def __init__(self, node: NodeControl, root: bytes, *, local_only: bool) -> None:
        self._node = node
        self._root = root
        self._local_only = local_only

    async def one(self, key: bytes) -> bytes:
        """Raises UnavailableError."""
        inline = cids.identity_data(key)
        return inline if inline is not None else (await self.get([key]))[0]

    async def get(self, keys: Sequence[bytes]) -> Sequence[bytes]:
        """All of them. Raises UnavailableError when one is not to be had."""
        return await self._node.blocks(keys, root=self._root, local_only=self._local_only) if keys else ()

    async def local(self, key: bytes) -> bytes | None:
        return await local_block(self._node, key)

    async def drive(self, walk: Walk[T]) -> T:
        blocks: Blocks | None = None
        while True:
            done, value = await _step(walk, blocks)
            if done:
                return value  # type: ignore[no-any-return]
            blocks = await self.get(value.keys)

    async def stream(self, walk: Generator[Need | T, Blocks, None]) -> AsyncGenerator[T, None]:
        """What a walk yields between its needs."""
        blocks: Blocks | None = None
        while True:
            done, value = await _step(walk, blocks)
            if done:
                return
            blocks = ()
            if isinstance(value, Need):
                blocks = await self.get(value.keys)
            else:
                yield value


async def local_block(node: NodeControl, key: bytes) -> bytes | None:
    """From this node's own store: one index look-up when it is not there."""
    inline = cids.identity_data(key)
    if inline is not None:
        return inline
    try:
        return await node.block(key, local_only=True)
    except UnavailableError:
        return None


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
