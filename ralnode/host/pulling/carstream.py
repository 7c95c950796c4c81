"""From a CAR that a stranger sends: those blocks that belong to the DAG that was asked for, each verified. No IO.

A block belongs to it if one before it links to it. Others are left out, and too many of them end the reading.
"""

from __future__ import annotations

from typing import Final

from ralnode.api import Block
from ralnode.api.limits import MIB
from ralnode.dag import cid as cids
from ralnode.dag.car import CarReader
from ralnode.dag.errors import DagError
from ralnode.dag.node import open_node

EXPECTED_MAX: Final = 500_000
"""Links that wait for their blocks: 60 MB. Depth first, a tree of 1 TiB has some thousands."""
FOREIGN_BYTES_MAX: Final = 64 * MIB
FOREIGN_COUNT_MAX: Final = 10_000
"""Blocks that nobody asked for: a CAR in another order has them at its beginning."""


class CarStream:
    def __init__(self, root: bytes) -> None:
        self._reader = CarReader()
        self._expected: dict[bytes, int | None] = {cids.to_key(root): None}
        """Key -> how many bytes of content its parent promises, where it does."""
        self._foreign_count = 0
        self._foreign_bytes = 0
        self.root_block: bytes | None = None
        self.root = cids.to_key(root)

    def feed(self, piece: bytes) -> list[Block]:
        """Those that are complete with it, in order. Raises DagError; nothing of the piece may be kept then."""
        return [block for block in self._reader.feed(piece) if self._belongs(block)]

    def finish(self) -> None:
        """Raises DagError when the CAR is cut off."""
        self._reader.finish()

    def _belongs(self, block: Block) -> bool:
        key, data = block
        if key not in self._expected:
            self._foreign_count += 1
            self._foreign_bytes += len(data)
            if self._foreign_count > FOREIGN_COUNT_MAX or self._foreign_bytes > FOREIGN_BYTES_MAX:
                raise DagError("the CAR holds much that does not belong to what was asked for")
            return False
        promised = self._expected.pop(key)
        if key == self.root:
            self.root_block = data
        if cids.codec_of(key) in (cids.RAW, cids.DAG_PB):
            self._open(key, data, promised)
        return True

    def _open(self, key: bytes, data: bytes, promised: int | None) -> None:
        node = open_node(key, data)
        if promised is not None and node.size_bytes != promised:
            raise DagError(f"{cids.to_text(key)} has {node.size_bytes} bytes of content, its parent says {promised}")
        for position in range(node.link_count):
            child = cids.to_key(node.link(position).cid)
            if cids.identity_data(child) is None:
                self._expected.setdefault(child, node.blocksizes[position] if node.is_file else None)
        if len(self._expected) > EXPECTED_MAX:
            raise DagError(f"the CAR opens more than {EXPECTED_MAX} links before it sends what they lead to")
