"""Depth-first enumeration of a DAG: all leaves with their index, all interior nodes. And how every walk is driven.

A walk is a generator: it yields a `Need` (keys of blocks), is sent the blocks in the same order (None for one that is not
at hand) and goes on. `run` drives one from a function; hosts drive them with their own IO between the steps.

A leaf is a block without links. Which child is a leaf shows in its CID (raw), or by looking at the block; for parts of
files the parent says it well enough (see `_LEAF_FRAME_BYTES_MAX`), so that the leaves of a large file need not be read.
A child that may be either and is not at hand counts as a leaf: whoever walks has all interior nodes, and the count of
those, which the source's record states, shows it if not.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from ralnode.api.limits import DAG_DEPTH_MAX, LEAVES_PER_SOURCE_MAX, MIB
from ralnode.dag import cid as cids
from ralnode.dag.errors import DagError, MissingBlockError
from ralnode.dag.keys import KEY_BYTES, KeyList, LeafKeys
from ralnode.dag.node import FsNode, open_node
from ralnode.dag.pb import Link
from ralnode.dag.unixfs import Kind

T = TypeVar("T")

_LEAF_FRAME_BYTES_MAX: Final = 44
"""A dag-pb leaf is at most this much larger than its content; a node with a link is at least 48 larger."""
_AHEAD_COUNT: Final = 16
"""Children asked for in one step. A node of a file of 1 MiB chunks has about 50 KiB."""
_AHEAD_BYTES: Final = 4 * MIB
"""With more than this read ahead, children are asked for one by one: 36 MiB at most, whatever the DAG."""
_OPEN_BYTES_MAX: Final = 32 * MIB
"""Of the nodes between the root and where the walk is: 128 directories that are each just small enough for one block."""
_RAW_CID: Final = bytes((1, cids.RAW))


class Need(NamedTuple):
    """Blocks that the walk wants, in this order; at most 16."""

    keys: list[bytes]


Blocks: TypeAlias = Sequence[bytes | None]
Walk: TypeAlias = Generator[Need, Blocks, T]


class Bounds(NamedTuple):
    """What the walk may come to. With a source's record at hand its exact counts; the walk ends beyond them."""

    leaf_count: int = LEAVES_PER_SOURCE_MAX
    interior_count: int = LEAVES_PER_SOURCE_MAX
    single_leaf_bytes: int | None = None
    """Set when the record says that the root itself is the only block: its size. Then no block is needed."""
    revisit_count: int = LEAVES_PER_SOURCE_MAX
    """How often nodes may be gone into that were gone into before: 60 of them can lead to 2^60 leaves."""


@dataclass(slots=True)
class Dag:
    """All of a DAG but its content."""

    leaves: LeafKeys = field(default_factory=LeafKeys)
    interior: KeyList = field(default_factory=KeyList)
    """Distinct, in the order in which the walk first met them."""
    interior_bytes: int = 0
    content_bytes: int = 0
    """Sum of the file sizes. Exact if every block that the walk asked for was at hand."""
    is_directory: bool = False


def run(walk: Walk[T], get: Callable[[bytes], bytes | None]) -> T:
    """Drives a walk to its end with blocks from `get`."""
    try:
        need = next(walk)
        while True:
            need = walk.send([get(key) for key in need.keys])
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


def enumerate_dag(root: bytes, bounds: Bounds = Bounds(), *, strict: bool = False) -> Walk[Dag]:  # noqa: B008 - immutable
    """Walks the whole DAG under `root`. `strict` takes no parent's word and needs every dag-pb block: for DAGs that
    strangers made. Raises MissingBlockError for an interior node that is not at hand, DagError for a malformed DAG or
    one beyond `bounds`."""
    return (yield from _Enumeration(bounds, strict).walk(root))


class _Frame:
    """An open interior node: its links from `position` on are still to be walked."""

    __slots__ = ("ahead", "block_bytes", "looked_until", "node", "position")

    def __init__(self, node: FsNode, block_bytes: int) -> None:
        self.node = node
        self.block_bytes = block_bytes
        self.position = 0
        self.looked_until = 0
        self.ahead: dict[int, bytes] = {}
        """Blocks of children below `looked_until`, by position."""


class _Enumeration:
    def __init__(self, bounds: Bounds, strict: bool) -> None:
        self._bounds = bounds
        self._strict = strict
        self._dag = Dag()
        self._seen: set[bytes] = set()
        self._stack: list[_Frame] = []
        self._open_bytes = 0
        self._ahead_bytes = 0
        self._steps = 0
        self._revisits = 0

    def walk(self, root: bytes) -> Walk[Dag]:
        key = cids.to_key(root)
        block = cids.identity_data(key)
        if block is None and self._bounds.single_leaf_bytes is not None:
            self._leaf(key, self._bounds.single_leaf_bytes)
            return self._dag
        if block is None:
            (block,) = yield Need([key])
        if block is None:
            raise MissingBlockError(key)
        node = open_node(key, block)
        self._dag.is_directory = node.kind in (Kind.DIRECTORY, Kind.SHARD)
        self._visit(key, block, node, is_whole=True)
        while self._stack:
            yield from self._advance(self._stack[-1])
        return self._dag

    def _advance(self, frame: _Frame) -> Walk[None]:
        """Walks on among the children of the innermost node: until one has to be gone into, or to its end."""
        node = frame.node
        if frame.position == 0 and self._bulk(node):
            frame.position = node.link_count
        while frame.position < node.link_count:
            if frame.position == frame.looked_until:
                yield from self._look_ahead(frame)
            position = frame.position
            frame.position += 1
            block = frame.ahead.pop(position, None)
            self._ahead_bytes -= len(block) if block is not None else 0
            self._child(node, position, block)
            if self._stack[-1] is not frame:
                return
        self._stack.pop()
        self._open_bytes -= frame.block_bytes

    def _child(self, parent: FsNode, position: int, block: bytes | None) -> None:
        link = parent.link(position)
        content = parent.blocksizes[position] if parent.is_file else None
        key = cids.to_key(link.cid)
        self._count_step()
        inline = cids.identity_data(key)
        block = block if inline is None else inline
        if block is None:
            self._unread(parent, key, link, content)
            return
        node = open_node(key, block)
        if parent.is_file and not node.is_file:
            raise DagError(f"{cids.to_text(key)} is linked as part of a file and is none")
        if content is not None and node.size_bytes != content:
            raise DagError(f"{cids.to_text(key)} has {node.size_bytes} bytes of content, its parent says {content}")
        self._visit(key, block, node, is_whole=not parent.is_file)

    def _unread(self, parent: FsNode, key: bytes, link: Link, content: int | None) -> None:
        """A child whose block was not looked at, or is not at hand."""
        is_raw = cids.codec_of(key) != cids.DAG_PB
        if not is_raw and (self._strict or is_sub_shard(parent, link)):
            raise MissingBlockError(key)
        size = content if is_raw and content is not None else link.tsize
        self._leaf(key, size)
        if is_raw and content is None:
            self._dag.content_bytes += size

    def _visit(self, key: bytes, block: bytes, node: FsNode, *, is_whole: bool) -> None:
        """A block that was read: a leaf, or an interior node to go into. `is_whole`: not a part of a file."""
        inline = cids.identity_data(key) is not None
        self._dag.content_bytes += node.size_bytes if is_whole else 0
        if not node.link_count:
            if not inline:
                self._leaf(key, len(block))
            return
        if not inline and key not in self._seen:
            self._interior(key, block)
        else:
            self._revisited()
        self._open_bytes += len(block)
        if len(self._stack) >= DAG_DEPTH_MAX or self._open_bytes > _OPEN_BYTES_MAX:
            raise DagError(
                f"the DAG has nodes more than {DAG_DEPTH_MAX} deep, or {_OPEN_BYTES_MAX} bytes above one leaf"
            )
        self._stack.append(_Frame(node, len(block)))

    def _interior(self, key: bytes, block: bytes) -> None:
        self._seen.add(key)
        self._dag.interior.append(key)
        self._dag.interior_bytes += len(block)
        if len(self._seen) > self._bounds.interior_count:
            raise DagError(f"the DAG has more than {self._bounds.interior_count} interior nodes")

    def _revisited(self) -> None:
        self._revisits += 1
        if self._revisits > self._bounds.revisit_count:
            raise DagError(f"the DAG leads into the same nodes more than {self._bounds.revisit_count} times")

    def _leaf(self, key: bytes, size_bytes: int) -> None:
        self._dag.leaves.append(key, size_bytes)
        self._check_leaf_count()

    def _check_leaf_count(self) -> None:
        if len(self._dag.leaves) > self._bounds.leaf_count:
            raise DagError(f"the DAG has more than {self._bounds.leaf_count} leaves")

    def _count_step(self) -> None:
        """Bounds the time that a DAG without leaves (inlined ones, chains of nodes met again) can take."""
        self._steps += 1
        if self._steps > min(LEAVES_PER_SOURCE_MAX, (self._bounds.leaf_count + 1) * DAG_DEPTH_MAX):
            raise DagError("the DAG has more paths than it can have leaves")

    def _bulk(self, node: FsNode) -> bool:
        """Takes all children of a file node at once if they are leaves beyond doubt."""
        packed = node.packed
        if packed is None or not node.is_file:
            return False
        sizes = node.content_sizes()
        if packed.cids.startswith(_RAW_CID):
            self._dag.leaves.extend_packed(packed.cids, sizes)
        elif not self._strict and bool(_are_leaves(packed.tsizes, sizes).all()):
            self._dag.leaves.extend_packed(_lifted(packed.cids, packed.width), packed.tsizes)
        else:
            return False
        self._check_leaf_count()
        return True

    def _look_ahead(self, frame: _Frame) -> Walk[None]:
        """Asks for the blocks of the next children, those only that must be looked at."""
        budget = _AHEAD_COUNT if self._ahead_bytes < _AHEAD_BYTES else 1
        wanted: list[int] = []
        while frame.looked_until < frame.node.link_count and len(wanted) < budget:
            if self._must_read(frame.node, frame.looked_until):
                wanted.append(frame.looked_until)
            frame.looked_until += 1
        if not wanted:
            return
        blocks = yield Need([cids.to_key(frame.node.link(position).cid) for position in wanted])
        for position, block in zip(wanted, blocks, strict=True):
            if block is not None:
                frame.ahead[position] = block
                self._ahead_bytes += len(block)

    def _must_read(self, node: FsNode, position: int) -> bool:
        link = node.link(position)
        if cids.codec_of(link.cid) != cids.DAG_PB or cids.identity_data(link.cid) is not None:
            return False
        if self._strict or not node.is_file:
            return True
        return not is_leaf_by_size(link.tsize, node.blocksizes[position])


def is_leaf_by_size(tsize: int, content_bytes: int) -> bool:
    """Whether a dag-pb part of a file can only be a leaf, going by what its parent says of its sizes."""
    return 0 <= tsize - content_bytes <= _LEAF_FRAME_BYTES_MAX


def is_sub_shard(parent: FsNode, link: Link) -> bool:
    """Whether a HAMT says by the name that the child is a shard of it (no entry's name behind the slot's number)."""
    return parent.kind == Kind.SHARD and len(link.name) == len(f"{parent.fanout - 1:X}")


def _are_leaves(tsizes: npt.NDArray[np.int64], contents: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    frames = tsizes - contents
    return np.asarray((frames >= 0) & (frames <= _LEAF_FRAME_BYTES_MAX), dtype=np.bool_)


def _lifted(packed: bytes, width: int) -> bytes:
    """Packed CIDs as packed keys."""
    if width == KEY_BYTES:
        return packed
    rows = np.frombuffer(packed, np.uint8).reshape(-1, width)
    prefix = np.broadcast_to(np.array((1, cids.DAG_PB), np.uint8), (len(rows), 2))
    return np.concatenate((prefix, rows), axis=1).tobytes()
