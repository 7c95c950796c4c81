"""`FsNode`: one block read as a piece of a file system, checked against every rule that needs no other block."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from ralnode.dag import cid as cids
from ralnode.dag import pb, unixfs
from ralnode.dag.errors import DagError
from ralnode.dag.pb import Link, PackedLinks
from ralnode.dag.unixfs import Kind

FANOUT_MAX: Final = 1024
"""CVE-2023-23625: larger ones only serve to exhaust memory."""
_NO_SIZES: Final[array[int]] = array("Q")


@dataclass(frozen=True, slots=True)
class FsNode:
    kind: Kind
    data: bytes
    """Of a file the content before its links, of a symlink the target."""
    size_bytes: int
    """Content of a file, all of it; 0 for anything else."""
    blocksizes: array[int]
    fanout: int
    packed: PackedLinks | None
    """The links in columns, if they have that form."""
    listed: Sequence[Link]
    """The links one by one, if they have not."""

    @property
    def is_file(self) -> bool:
        return self.kind in (Kind.FILE, Kind.RAW)

    @property
    def link_count(self) -> int:
        return len(self.listed) if self.packed is None else len(self.packed.tsizes)

    def link(self, position: int) -> Link:
        if self.packed is None:
            return self.listed[position]
        start = position * self.packed.width
        return Link(self.packed.cids[start : start + self.packed.width], b"", int(self.packed.tsizes[position]))

    def links(self) -> Iterator[Link]:
        return map(self.link, range(self.link_count))

    def content_sizes(self) -> npt.NDArray[np.int64]:
        """Content bytes below each link of a file."""
        return np.frombuffer(self.blocksizes, np.uint64).astype(np.int64)


def open_node(key: bytes, block: bytes) -> FsNode:
    """Reads a raw or dag-pb block. Raises DagError when it is neither, or breaks a rule of UnixFS."""
    codec = cids.codec_of(key)
    if codec == cids.RAW:
        return FsNode(Kind.FILE, block, len(block), _NO_SIZES, 0, None, ())
    if codec != cids.DAG_PB:
        raise DagError(f"codec {codec:#x} of {cids.to_text(key)} is not UnixFS")
    packed = pb.decode_packed(block)
    plain = None if packed is not None else pb.decode(block)
    message = unixfs.decode(packed.data if packed is not None else plain.data if plain is not None else b"")
    size = len(message.data) + sum(message.blocksizes) if message.kind in (Kind.FILE, Kind.RAW) else 0
    links = () if plain is None else plain.links
    node = FsNode(message.kind, message.data, size, message.blocksizes, message.fanout, packed, links)
    _check(node, message)
    return node


def leaf_content(key: bytes, block: bytes) -> bytes:
    """The file content in a leaf. Raises DagError when the block is no leaf of a file."""
    if cids.codec_of(key) == cids.RAW:
        return block
    node = open_node(key, block)
    if not node.is_file or node.link_count:
        raise DagError(f"{cids.to_text(key)} is linked as a leaf of a file and is none")
    return node.data


def _check(node: FsNode, message: unixfs.Data) -> None:
    if node.is_file:
        _check_file(node, message)
    elif node.kind == Kind.SYMLINK and node.link_count:
        raise DagError("a symlink has links below it")
    elif node.kind == Kind.SHARD:
        fanout = message.fanout
        if message.hash_type != unixfs.MURMUR3 or fanout % 8 or fanout & (fanout - 1) or not 8 <= fanout <= FANOUT_MAX:
            raise DagError(f"a HAMT directory has hash {message.hash_type:#x} and fanout {fanout}")


def _check_file(node: FsNode, message: unixfs.Data) -> None:
    if len(message.blocksizes) != node.link_count:
        raise DagError(f"a file node has {node.link_count} links and {len(message.blocksizes)} sizes for them")
    if message.filesize != node.size_bytes and (node.link_count or message.filesize):
        raise DagError(f"a file node claims {message.filesize} bytes and has {node.size_bytes}")
    if any(link.name for link in node.listed):
        raise DagError("a file node has a named link")
