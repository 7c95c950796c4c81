"""`NodeControl`: what a gateway, a ui and the control socket may ask of their node. Late-bound: it is handed out before the
node is open, and says so when it is asked too early.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ralnode.api import (
    BlockKey,
    ClusterStatus,
    Content,
    Metric,
    NodeInfo,
    Reading,
    Root,
    Source,
    Storage,
    UnavailableError,
)
from ralnode.core.engine import Engine
from ralnode.dag import cid
from ralnode.host.blockfinder import BlockFinder, Wanted
from ralnode.host.bounds import CHANGES_SECONDS_MIN


@dataclass(frozen=True, slots=True)
class Open:
    """What the facade speaks for, once it is open."""

    engine: Engine
    storage: Storage
    finder: BlockFinder
    status: Callable[[], ClusterStatus]
    metrics: Callable[[], Sequence[Metric]]
    open: Callable[[str], Awaitable[Reading]]
    command: Callable[[str, Mapping[str, Any], str | None], Awaitable[Mapping[str, Any]]]
    change_count: Callable[[], int]
    add: Callable[[Content, AsyncIterator[bytes]], Awaitable[Mapping[str, Any]]]
    resume_offset: Callable[[Content], Awaitable[int]]
    pull: Callable[[str, bytes, str], Awaitable[Mapping[str, Any]]]
    say: Callable[[str, str], None]


class Facade:
    """Implements `ralnode.api.NodeControl`."""

    def __init__(self) -> None:
        self._open: Open | None = None

    def opened(self, parts: Open) -> None:
        self._open = parts

    def status(self) -> ClusterStatus:
        return self._node.status()

    def sources(self) -> Sequence[Source]:
        return self._node.engine.sources()

    def nodes(self) -> Sequence[NodeInfo]:
        engine = self._node.engine
        others = [info for node in engine.live() if node != engine.me.id and (info := engine.node(node)) is not None]
        return [engine.me, *others]

    def holders(self, root: Root) -> Sequence[NodeInfo] | None:
        engine = self._node.engine
        source = next((found for form in _forms(root) if (found := engine.source(form)) is not None), None)
        if source is None:
            return None
        return [info for info in self.nodes() if engine.holding(info.id, source.root).servable]

    async def block_holders(self, key: BlockKey) -> Sequence[NodeInfo]:
        holders = await self._node.finder.holders(key)
        return [info for info in self.nodes() if info.id in holders]

    def was_removed(self, root: Root) -> bool:
        records = [self._node.engine.source_record(form) for form in _forms(root)]
        return any(found is not None for found in records) and all(
            found is None or found[1].deleted for found in records
        )

    def metrics(self) -> Sequence[Metric]:
        return self._node.metrics()

    async def changes(self) -> AsyncIterator[None]:
        """Looks twice a second: cheaper than telling every page of every event, and no page can hold up the core."""
        seen = self._node.change_count()
        while True:
            await asyncio.sleep(CHANGES_SECONDS_MIN)
            count = self._node.change_count()
            if count != seen:
                seen = count
                yield

    async def block(self, key: BlockKey, *, local_only: bool = False) -> bytes | None:
        """From the store, else from the live peers in turn: a block by itself does not tell its source."""
        data = await self._node.storage.get(key)
        if data is not None or local_only:
            return data
        try:
            (data,) = await self._node.finder.get(Wanted(None, [key]))
        except UnavailableError:
            return None
        return data

    async def blocks(
        self, keys: Sequence[BlockKey], *, root: bytes | None = None, local_only: bool = False
    ) -> Sequence[bytes]:
        source = self._node.engine.source(root) if root is not None else None
        return await self._node.finder.get(Wanted(source, keys, is_local_only=local_only))

    async def open(self, reference: str) -> Reading:
        return await self._node.open(reference)

    async def command(self, name: str, params: Mapping[str, Any], node: str | None = None) -> Mapping[str, Any]:
        return await self._node.command(name, params, node)

    async def add(self, content: Content, pieces: AsyncIterator[bytes]) -> Mapping[str, Any]:
        return await self._node.add(content, pieces)

    async def resume_offset(self, content: Content) -> int:
        return await self._node.resume_offset(content)

    async def pull(self, url: str, cid: bytes, name: str) -> Mapping[str, Any]:
        return await self._node.pull(url, cid, name)

    def note(self, level: str, text: str) -> None:
        self._node.say(level, text)

    @property
    def _node(self) -> Open:
        if self._open is None:
            raise UnavailableError("the node is still starting; try again in a moment")
        return self._open


def _forms(root: Root) -> list[Root]:
    """Both versions of its CID, where there are two."""
    return [form for form in (cid.to_key(root), cid.to_v0(root)) if form is not None]
