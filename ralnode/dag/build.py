"""`FileBuilder`: the balanced DAG of one file from its leaves, fed in order; interior blocks come out as they complete.

Memory: at most `max_links` links for each level. Hashing the content is the caller's work (it needs threads), so leaves
arrive as `Leaf`; `make_leaf` cuts one from a chunk.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

from ralnode.api.model import Block
from ralnode.dag import cid as cids
from ralnode.dag import pb, unixfs
from ralnode.dag.pb import Link
from ralnode.dag.profile import Profile


class Leaf(NamedTuple):
    """`cid` in the version that links use; `stored_bytes` of the block, `content_bytes` of the file in it."""

    cid: bytes
    stored_bytes: int
    content_bytes: int


class Built(NamedTuple):
    """A finished file, directory or symlink, as its parent links to it."""

    cid: bytes
    tsize: int
    """Bytes of its blocks, repeats counted."""
    content_bytes: int


def encode_chunk(profile: Profile, chunk: bytes) -> bytes:
    """The leaf block for a chunk of content (the whole content of a file that fits into one)."""
    return chunk if profile.raw_leaves else pb.encode((), unixfs.encode_leaf(chunk))


def leaf_cid(profile: Profile, block: bytes) -> bytes:
    """CID of a leaf block. Raw leaves are CIDv1 whatever the profile: CIDv0 has no codec."""
    return cids.raw_key(hashlib.sha256(block).digest()) if profile.raw_leaves else node_cid(profile, block)


def node_cid(profile: Profile, block: bytes) -> bytes:
    """CID of a dag-pb block."""
    return cids.make_v0(block) if profile.cid_version == 0 else cids.make(cids.DAG_PB, block)


def make_leaf(profile: Profile, chunk: bytes) -> tuple[Leaf, Block]:
    block = encode_chunk(profile, chunk)
    cid = leaf_cid(profile, block)
    return Leaf(cid, len(block), len(chunk)), Block(cids.to_key(cid), block)


def make_node(profile: Profile, links: Iterable[Link], data: bytes, content_bytes: int) -> tuple[Built, Block]:
    """A dag-pb block over `links`."""
    listed = list(links)
    block = pb.encode(listed, data)
    cid = node_cid(profile, block)
    tsize = len(block) + sum(link.tsize for link in listed)
    return Built(cid, tsize, content_bytes), Block(cids.to_key(cid), block)


def make_symlink(profile: Profile, target: bytes) -> tuple[Built, Block]:
    return make_node(profile, (), unixfs.encode_symlink(target), 0)


class FileBuilder:
    """Feed every leaf in order with `add`, then `finish`. An empty file has one empty leaf."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._levels: list[list[Built]] = [[]]
        """Per level what has no parent yet; level 0 are leaves."""

    def add(self, leaf: Leaf) -> list[Block]:
        """Takes the next leaf; returns interior blocks that this completed, children before parents."""
        blocks: list[Block] = []
        self._push(0, Built(*leaf), blocks)
        return blocks

    def finish(self) -> tuple[Built, list[Block]]:
        """The file and its last interior blocks. A trailing group is wrapped even if it is a single child, so that all
        leaves are equally deep. Raises ValueError without a leaf."""
        if not any(self._levels):
            raise ValueError("a file has at least one leaf")
        blocks: list[Block] = []
        level = 0
        while len(self._levels[level]) != 1 or any(self._levels[level + 1 :]):
            if self._levels[level]:
                self._wrap(level, blocks)
            level += 1
        return self._levels[level][0], blocks

    def _push(self, level: int, child: Built, blocks: list[Block]) -> None:
        if level == len(self._levels):
            self._levels.append([])
        waiting = self._levels[level]
        waiting.append(child)
        if len(waiting) == self._profile.max_links:
            self._wrap(level, blocks)

    def _wrap(self, level: int, blocks: list[Block]) -> None:
        children = self._levels[level]
        self._levels[level] = []
        sizes = [child.content_bytes for child in children]
        links = [Link(child.cid, b"", child.tsize) for child in children]
        built, block = make_node(self._profile, links, unixfs.encode_file(sizes), sum(sizes))
        blocks.append(block)
        self._push(level + 1, built, blocks)
