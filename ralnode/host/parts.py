"""What the effects are carried out with, handed from node.py to the classes that each know one kind of effect."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ralnode.api import Block, BlockKey, BlockSet, Holding, Instant, Root, Source, Storage, Transport
from ralnode.host.inbox import Inbox
from ralnode.host.tasks import Tasks


class LeafKeys(Protocol):
    """The keys of a source's leaves by index."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> BlockKey: ...


class Blocks(Protocol):
    """What `ralnode.host.dagindex.DagIndex` knows of the DAGs whose interior nodes lie in the store."""

    async def leaf_keys(self, source: Source) -> LeafKeys: ...

    async def has_interior(self, source: Source) -> bool: ...

    async def locate(self, source: Source) -> Holding: ...

    async def keys_to_drop(self, source: Source, kept: Sequence[Source]) -> Sequence[BlockKey]: ...

    def blocks(self, root: Root, wanted: BlockSet) -> AsyncIterator[Sequence[Block]]: ...

    def interior(self, root: Root) -> AsyncIterator[Sequence[Block]]: ...

    def forget(self, root: Root) -> None: ...


@dataclass(frozen=True, slots=True)
class Parts:
    """`say(level, text)` writes a line of the event log; `stored` is called whenever the use of the disk has changed."""

    storage: Storage
    transport: Transport
    dag: Blocks
    inbox: Inbox
    tasks: Tasks
    say: Callable[[str, str], None]
    stored: Callable[[], None]


def clock() -> Instant:
    """The time, as the engine wants it. The only place of the shell that reads both clocks."""
    return Instant(time.monotonic(), time.time_ns() // 1_000_000)
