"""Imagined files: sources whose blocks are tiny but hash to their keys, while every account reckons with their full size.

One thousand nodes can so hold terabytes. Leaves are numbered contents, so that sources can share and repeat blocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ralnode.api import BlockKey, Root, Source
from ralnode.api.limits import MIB
from ralnode.dag import cid

LEAVES_PER_INTERIOR: Final = 100
INTERIOR_BYTES: Final = 6000
_INTERIOR: Final = b"interior"


@dataclass(frozen=True, slots=True)
class Content:
    """A source with the keys of its blocks: `leaves[i]` is leaf i."""

    source: Source
    leaves: tuple[BlockKey, ...]
    interior: tuple[BlockKey, ...]


class Contents:
    """Everything that was ever made in a simulated world: what a block is, and how large it counts."""

    def __init__(self) -> None:
        self._by_root: dict[Root, Content] = {}
        self._data: dict[BlockKey, bytes] = {}
        self._size_bytes: dict[BlockKey, int] = {}
        self._next_content = 0

    def make(
        self,
        name: str,
        leaf_count: int,
        block_bytes: int = MIB,
        copies: int = 2,
        priority: int = 0,
        first_content: int | None = None,
    ) -> Content:
        """A new source. `first_content`: share leaves with others from that content number on; None: leaves of its own."""
        first = self._next_content if first_content is None else first_content
        leaves = tuple(
            self._block(cid.RAW, b"leaf %d" % number, block_bytes) for number in range(first, first + leaf_count)
        )
        interior_count = 1 + leaf_count // LEAVES_PER_INTERIOR
        title = b"%s %s %d %d %d" % (_INTERIOR, name.encode(), first, leaf_count, copies)
        interior = tuple(
            self._block(cid.DAG_PB, b"%s %d" % (title, number), INTERIOR_BYTES) for number in range(interior_count)
        )
        total_bytes = leaf_count * block_bytes
        source = Source(
            root=interior[0],
            name=name,
            size_bytes=total_bytes,
            leaf_count=leaf_count,
            leaf_bytes=total_bytes,
            interior_count=interior_count,
            interior_bytes=interior_count * INTERIOR_BYTES,
            copies=copies,
            priority=priority,
        )
        self._next_content = max(self._next_content, first + leaf_count)
        content = Content(source, leaves, interior)
        self._by_root[source.root] = content
        return content

    def of(self, root: Root) -> Content:
        return self._by_root[root]

    def data_of(self, key: BlockKey) -> bytes:
        return self._data[key]

    def size_of(self, key: BlockKey) -> int:
        """Bytes that the block counts for."""
        return self._size_bytes[key]

    def _block(self, codec: int, data: bytes, size_bytes: int) -> BlockKey:
        key = cid.make(codec, data)
        self._data[key] = data
        self._size_bytes[key] = size_bytes
        return key
