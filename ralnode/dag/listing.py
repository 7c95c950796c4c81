"""Listing a directory, basic or HAMT, in the order of the DAG, a batch at a time."""

from __future__ import annotations

from collections.abc import Generator
from typing import NamedTuple, TypeAlias

from ralnode.api.limits import LINKS_PER_NODE_MAX
from ralnode.dag import hamt
from ralnode.dag.errors import DagError, PathError
from ralnode.dag.node import FsNode
from ralnode.dag.path import read_node
from ralnode.dag.unixfs import Kind
from ralnode.dag.walk import Blocks, Need, is_sub_shard

SHARDS_MAX = 1_000_000
"""Of one directory: 10^8 entries. Bounds a hostile one whose shards contain no entries."""


class Entry(NamedTuple):
    name: bytes
    cid: bytes
    tsize: int
    """Bytes of all blocks below, as the directory says."""


class Entries(NamedTuple):
    """Part of the listing, at most one node's worth."""

    entries: list[Entry]


Listing: TypeAlias = Generator[Need | Entries, Blocks, None]
"""Yields `Need` (send the blocks) and `Entries` (send anything) in turn."""


def list_directory(node: FsNode) -> Listing:
    """All entries of an opened directory. Raises PathError if it is none, MissingBlockError, DagError."""
    if node.kind == Kind.DIRECTORY:
        yield Entries([Entry(link.name, link.cid, link.tsize) for link in node.links()])
        return
    if node.kind != Kind.SHARD:
        raise PathError(f"a {node.kind.name.lower()} has no entries")
    waiting = [(node, 0, 0)]
    count = 0
    while waiting:
        shard, position, depth = waiting.pop()
        entries, position = _entries_from(shard, position)
        if entries:
            yield Entries(entries)
        if position == shard.link_count:
            continue
        waiting.append((shard, position + 1, depth))
        below = yield from _read_shard(shard, position, depth)
        count += 1
        if count > SHARDS_MAX:
            raise DagError(f"a HAMT directory has more than {SHARDS_MAX} shards")
        waiting.append((below, 0, depth + 1))


def _entries_from(shard: FsNode, start: int) -> tuple[list[Entry], int]:
    """Entries up to the next sub-shard, and the position of that."""
    width = hamt.prefix_chars(shard.fanout)
    entries: list[Entry] = []
    for position in range(start, min(shard.link_count, LINKS_PER_NODE_MAX)):
        link = shard.link(position)
        if is_sub_shard(shard, link):
            return entries, position
        if len(link.name) < width:
            raise DagError(f"{link.name!r} is no link name of a HAMT directory")
        entries.append(Entry(link.name[width:], link.cid, link.tsize))
    return entries, shard.link_count


def _read_shard(parent: FsNode, position: int, depth: int) -> Generator[Need, Blocks, FsNode]:
    hamt.slot(0, depth + 1, parent.fanout)  # raises when no hash is that deep
    found = yield from read_node(parent.link(position).cid)
    if found.node.kind != Kind.SHARD or found.node.fanout != parent.fanout:
        raise DagError("a shard of a HAMT directory is none, or has another fanout")
    return found.node
