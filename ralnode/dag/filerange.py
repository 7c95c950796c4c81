"""Reading a byte range of a file in order: which leaves, and which bytes of their content. Only the nodes on the way to
the range are asked for. Leaves themselves are not: the reader fetches those, several at once."""

from __future__ import annotations

from collections.abc import Generator
from typing import Final, NamedTuple, TypeAlias

from ralnode.api.limits import DAG_DEPTH_MAX
from ralnode.dag import cid as cids
from ralnode.dag.errors import DagError, PathError
from ralnode.dag.node import FsNode
from ralnode.dag.path import read_node
from ralnode.dag.walk import Blocks, Need, is_leaf_by_size

_BATCH_COUNT: Final = 256


class Piece(NamedTuple):
    """Bytes `start` to `stop - 1` of the content of the leaf `key`, or of `data` when there is no key.
    `content_bytes`: all that the leaf must contain (check it: a parent may lie); `block_bytes`: about its stored size."""

    key: bytes | None
    start: int
    stop: int
    content_bytes: int
    block_bytes: int
    data: bytes = b""


class Pieces(NamedTuple):
    """At most 256 of them, in the order of the file."""

    pieces: list[Piece]


Reading: TypeAlias = Generator[Need | Pieces, Blocks, None]
"""Yields `Need` (send the blocks) and `Pieces` (send anything) in turn."""


def read_range(cid: bytes, node: FsNode, offset: int, length: int) -> Reading:
    """The pieces of [offset, offset + length) of the opened file, cut off at its end. Raises PathError if it is no file,
    MissingBlockError, DagError."""
    if not node.is_file:
        raise PathError(f"a {node.kind.name.lower()} has no bytes to read")
    stop = min(node.size_bytes, offset + length)
    batch: list[Piece] = []
    if cids.codec_of(cid) == cids.RAW and cids.identity_data(cid) is None:
        if offset < stop:
            yield Pieces([Piece(cids.to_key(cid), offset, stop, node.size_bytes, node.size_bytes)])
        return
    waiting = [_Open(node, 0)]
    while waiting:
        open_file = waiting[-1]
        below = yield from open_file.advance(offset, stop, batch)
        if below is None:
            waiting.pop()
        else:
            waiting.append(below)
        if len(waiting) > DAG_DEPTH_MAX:
            raise DagError(f"a file is more than {DAG_DEPTH_MAX} nodes deep")
    if batch:
        yield Pieces(batch)


class _Open:
    """A file node whose content begins at `at` of the whole file; its links from `position` on are still to be read."""

    __slots__ = ("_at", "_node", "_position")

    def __init__(self, node: FsNode, at: int) -> None:
        self._node = node
        self._at = at
        self._position = -1

    def advance(self, offset: int, stop: int, batch: list[Piece]) -> Generator[Need | Pieces, Blocks, _Open | None]:
        """Appends pieces to `batch` up to the next node that has to be opened, which is returned; None at the end."""
        if self._position < 0:
            self._position = 0
            data = self._node.data
            _append(batch, None, self._at, len(data), offset, stop, len(data), data)
            self._at += len(data)
        while self._position < self._node.link_count and self._at < stop:
            size = self._node.blocksizes[self._position]
            link = self._node.link(self._position)
            begin = self._at
            self._at += size
            self._position += 1
            if self._at <= offset or not size:
                continue
            key = cids.to_key(link.cid)
            inline = cids.identity_data(key)
            if inline is None and (cids.codec_of(key) != cids.DAG_PB or is_leaf_by_size(link.tsize, size)):
                _append(batch, key, begin, size, offset, stop, max(size, link.tsize), b"")
            else:
                found = yield from read_node(link.cid)
                if not found.node.is_file or found.node.size_bytes != size:
                    raise DagError(f"{cids.to_text(key)} is not the {size} bytes of a file that its parent says")
                return _Open(found.node, begin)
            if len(batch) >= _BATCH_COUNT:
                yield Pieces(batch.copy())
                batch.clear()
        return None


def _append(
    batch: list[Piece], key: bytes | None, begin: int, size: int, offset: int, stop: int, block_bytes: int, data: bytes
) -> None:
    """The part of a leaf at `begin` that lies in [offset, stop), if any."""
    first, last = max(offset - begin, 0), min(stop - begin, size)
    if first < last:
        batch.append(Piece(key, first, last, size, block_bytes, data))
