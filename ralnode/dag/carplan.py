"""Which blocks go into a CAR that answers a Trustless Gateway request, and in which order: depth first, as a walk.

Every block that proves the path comes first, then the scope asked for. A block that is missing ends the walk with
MissingBlockError: the reader notices the incomplete CAR. Identity CIDs are walked through and never emitted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias

from ralnode.api.limits import DAG_DEPTH_MAX
from ralnode.api.model import Block
from ralnode.dag import cid as cids
from ralnode.dag import document, hamt, pb
from ralnode.dag.errors import DagError, MissingBlockError, PathError
from ralnode.dag.node import FsNode, open_node
from ralnode.dag.trustless import ByteRange, GatewayRequest, Scope
from ralnode.dag.unixfs import Kind
from ralnode.dag.walk import Blocks, Need

DISTINCT_BLOCKS_MAX: Final = 1_000_000
"""What `dups=n` can be kept for: 1 TiB of 1 MiB blocks, in 60 MiB of memory. Beyond, ask for dups=y."""
_AHEAD_COUNT: Final = 4
"""Leaves asked for in one step: 8 MiB at most."""


class Emit(NamedTuple):
    """The next blocks of the CAR."""

    blocks: list[Block]


CarWalk: TypeAlias = Generator[Need | Emit, Blocks, None]
_Read: TypeAlias = Generator[Need | Emit, Blocks, bytes]
_Links: TypeAlias = Iterator[bytes]


def plan_car(request: GatewayRequest) -> CarWalk:
    """Yields `Need` (send the blocks) and `Emit` (send anything). Raises MissingBlockError, DagError; a path that does
    not exist just ends after the blocks that prove it, as the specification asks."""
    plan = _Plan(request.allows_duplicates)
    try:
        cid, block = yield from plan.follow(request.cid, request.path)
    except PathError:
        return
    if request.scope is Scope.ALL and request.range is None:
        yield from plan.everything(cid, block)
    elif request.scope is not Scope.BLOCK:
        yield from plan.entity(cid, block, request.range)


@dataclass(slots=True)
class _Plan:
    allows_duplicates: bool
    seen: set[int] = field(default_factory=set)

    def follow(self, cid: bytes, path: list[bytes]) -> Generator[Need | Emit, Blocks, tuple[bytes, bytes]]:
        """(CID, block) at the end of the path; emits what lies on the way, ends included."""
        block = yield from self.read(cid)
        names = deque(path)
        while names:
            codec = cids.codec_of(cid)
            if codec in document.LINKED:
                link = document.enter(document.decode(codec, block), names)
                if link is None:
                    return cid, block
                cid = link
                block = yield from self.read(cid)
                continue
            if codec not in (cids.RAW, cids.DAG_PB):
                raise PathError("not UnixFS")
            name = names.popleft()
            node = open_node(cids.to_key(cid), block)
            if node.kind == Kind.SHARD:
                cid = yield from self.look_up(node, name)
            elif node.kind == Kind.DIRECTORY:
                cid = _entry(node, name)
            else:
                raise PathError("not a directory")
            block = yield from self.read(cid)
        return cid, block

    def look_up(self, shard: FsNode, name: bytes) -> Generator[Need | Emit, Blocks, bytes]:
        value, depth = hamt.name_hash(name), 0
        while True:
            slot = f"{hamt.slot(value, depth, shard.fanout):0{hamt.prefix_chars(shard.fanout)}X}".encode()
            link = next((link for link in shard.links() if link.name in (slot, slot + name)), None)
            if link is None:
                raise PathError("no such entry")
            if len(link.name) > len(slot):
                return link.cid
            block = yield from self.read(link.cid)
            shard, depth = open_node(cids.to_key(link.cid), block), depth + 1
            if shard.kind != Kind.SHARD:
                raise DagError("a shard of a HAMT directory is none")

    def everything(self, cid: bytes, block: bytes) -> CarWalk:
        """All below a block that has been emitted."""
        yield from self.descend(_links(cid, block), every_link=True)

    def entity(self, cid: bytes, block: bytes, byte_range: ByteRange | None) -> CarWalk:
        """The whole file, or the part of it asked for; of a directory its own shards; of anything else nothing more."""
        if cids.codec_of(cid) != cids.DAG_PB:
            return
        try:
            node = open_node(cids.to_key(cid), block)
        except DagError:
            return  # dag-pb, but not UnixFS: the entity is its block
        if node.kind == Kind.SHARD:
            yield from self.descend(_shards(node), every_link=False)
        elif node.is_file and byte_range is None:
            yield from self.everything(cid, block)
        elif node.is_file and byte_range is not None:
            yield from self.file_range(node, *_resolve(byte_range, node.size_bytes))

    def file_range(self, file: FsNode, start: int, stop: int) -> CarWalk:
        """Blocks with bytes of [start, stop)."""
        stack = [_children(file, 0, start, stop)]
        while stack:
            child = next(stack[-1], None)
            if child is None:
                stack.pop()
                continue
            cid, at = child
            block = yield from self.read(cid)
            stack.append(_children(open_node(cids.to_key(cid), block), at, start, stop))
            _check_depth(len(stack))

    def descend(self, links: _Links, *, every_link: bool) -> CarWalk:
        """Depth first with a stack of its own; leaves are asked for several at once."""
        stack = [links]
        while stack:
            batch, branch = self.next_links(stack[-1])
            if batch:
                yield Emit([Block(*pair) for pair in zip(batch, (yield from _need(batch)), strict=True)])
            if branch is not None:
                block = yield from self.read(branch)
                below = _links(branch, block) if every_link else _shards(open_node(cids.to_key(branch), block))
                stack.append(below)
                _check_depth(len(stack))
            elif not batch:
                stack.pop()

    def next_links(self, links: _Links) -> tuple[list[bytes], bytes | None]:
        """Up to four raw leaves, and the CID after them if that is one to go into; nothing at the end."""
        batch: list[bytes] = []
        for cid in links:
            is_inline = cids.identity_data(cid) is not None
            if cids.codec_of(cid) != cids.RAW:
                if is_inline or not self.was_emitted(cid):
                    return batch, cid
            elif not is_inline and self.is_new(cid):
                batch.append(cid)
                if len(batch) == _AHEAD_COUNT:
                    break
        return batch, None

    def read(self, cid: bytes) -> _Read:
        """The block, emitted unless it is inside its CID or has been."""
        inline = cids.identity_data(cid)
        if inline is not None:
            return inline
        (block,) = yield from _need([cid])
        if self.is_new(cid):
            yield Emit([Block(cid, block)])
        return block

    def is_new(self, cid: bytes) -> bool:
        """Notes that it is emitted now, unless duplicates are wanted."""
        if self.allows_duplicates:
            return True
        size = len(self.seen)
        self.seen.add(hash(cids.to_key(cid)))
        if len(self.seen) > DISTINCT_BLOCKS_MAX:
            raise DagError(f"more than {DISTINCT_BLOCKS_MAX} blocks in one CAR without duplicates: ask for car-dups=y")
        return len(self.seen) > size

    def was_emitted(self, cid: bytes) -> bool:
        """Then all below it was, too."""
        return not self.allows_duplicates and hash(cids.to_key(cid)) in self.seen


def _need(wanted: list[bytes]) -> Generator[Need | Emit, Blocks, list[bytes]]:
    keys = [cids.to_key(cid) for cid in wanted]
    blocks = yield Need(keys)
    for key, block in zip(keys, blocks, strict=True):
        if block is None:
            raise MissingBlockError(key)
    return [block for block in blocks if block is not None]


def _entry(directory: FsNode, name: bytes) -> bytes:
    for link in directory.links():
        if link.name == name:
            return link.cid
    raise PathError("no such entry")


def _links(cid: bytes, block: bytes) -> _Links:
    codec = cids.codec_of(cid)
    if codec == cids.DAG_PB:
        return (link.cid for link in pb.decode(block).links)
    if codec in document.LINKED:
        return document.links(codec, block)
    if codec == cids.RAW:
        return iter(())
    raise DagError(f"the links of codec {codec:#x} are not known here")


def _shards(shard: FsNode) -> _Links:
    """The links of a HAMT node to shards below it: their names are nothing but a slot."""
    chars = hamt.prefix_chars(shard.fanout)
    return (link.cid for link in shard.links() if len(link.name) == chars)


def _children(file: FsNode, at: int, start: int, stop: int) -> Iterator[tuple[bytes, int]]:
    """(CID, offset in the file) of the children with bytes of [start, stop)."""
    at += len(file.data)
    for position in range(file.link_count):
        begin, at = at, at + file.blocksizes[position]
        if begin < stop and at > start:
            yield file.link(position).cid, begin


def _resolve(byte_range: ByteRange, size_bytes: int) -> tuple[int, int]:
    """Half open and inside the file; empty when the range lies outside."""
    first, last = byte_range
    start = max(0, first + size_bytes) if first < 0 else first
    end = size_bytes - 1 if last is None else last + size_bytes if last < 0 else last
    return start, min(size_bytes, end + 1)


def _check_depth(depth: int) -> None:
    if depth > DAG_DEPTH_MAX:
        raise DagError(f"the DAG is more than {DAG_DEPTH_MAX} deep")
