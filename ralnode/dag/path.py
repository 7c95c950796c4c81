"""Resolving a path through directories, HAMTs and IPLD documents. Symlinks are not followed: what they mean is the caller's
to say."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from ralnode.dag import cid as cids
from ralnode.dag import document, hamt
from ralnode.dag.errors import MissingBlockError, PathError
from ralnode.dag.node import FsNode, open_node
from ralnode.dag.pb import Link
from ralnode.dag.unixfs import Kind
from ralnode.dag.walk import Need, Walk


class Resolved(NamedTuple):
    cid: bytes
    """As its parent links to it (version 0 or 1)."""
    block: bytes
    node: FsNode


class Crossing(NamedTuple):
    """Of the first link on a path."""

    cid: bytes | None
    """Where it leads; None when the path ends inside of a document."""
    rest: list[bytes]
    """The names behind it."""


def split_path(text: str) -> list[bytes]:
    """The components of `a/b/c`; empty ones and `.` fall away, `..` goes up. Raises PathError when it leaves the root."""
    parts: list[bytes] = []
    for part in text.split("/"):
        if part == "..":
            if not parts:
                raise PathError(f"path {text!r} leads out of its root")
            parts.pop()
        elif part not in ("", "."):
            parts.append(encode_name(part))
    return parts


def encode_name(text: str) -> bytes:
    """A name as it stands in a DAG; bytes that are no UTF-8 come as surrogate escapes. Raises PathError."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise PathError(f"{text!r} cannot be the name of a file") from None


def resolve(root: bytes, path: list[bytes]) -> Walk[Resolved]:
    """The file or directory at `path` below `root`. Raises PathError when there is nothing, MissingBlockError, DagError."""
    found = yield from read_node(root)
    for depth, name in enumerate(path):
        shown = b"/".join(path[: depth + 1]).decode("utf-8", "replace")
        found = yield from read_node((yield from _entry(found.node, name, shown)))
    return found


def next_link(cid: bytes, path: list[bytes]) -> Walk[Crossing]:
    """Goes along `path`, which is not empty, until it leaves the directory or document `cid`; reads nothing of what is
    behind. Raises PathError, MissingBlockError, DagError."""
    codec = cids.codec_of(cid)
    if codec in document.LINKED:
        names = deque(path)
        target = document.enter(document.decode(codec, (yield from _read_block(cid))), names)
        return Crossing(target, list(names))
    found = yield from read_node(cid)
    target = yield from _entry(found.node, path[0], path[0].decode("utf-8", "replace"))
    return Crossing(target, path[1:])


def read_node(cid: bytes) -> Walk[Resolved]:
    """One node, from its block or from inside its CID."""
    block = yield from _read_block(cid)
    return Resolved(cid, block, open_node(cids.to_key(cid), block))


def _read_block(cid: bytes) -> Walk[bytes]:
    key = cids.to_key(cid)
    block = cids.identity_data(key)
    if block is None:
        (block,) = yield Need([key])
    if block is None:
        raise MissingBlockError(key)
    return block


def _entry(node: FsNode, name: bytes, shown: str) -> Walk[bytes]:
    """The CID of an entry of a directory."""
    if node.kind == Kind.DIRECTORY:
        link = next((link for link in node.links() if link.name == name), None)
    elif node.kind == Kind.SHARD:
        link = yield from _look_up(node, name)
    else:
        raise PathError(f"there is no {shown!r}: what should contain it is a {node.kind.name.lower()}")
    if link is None:
        raise PathError(f"there is no {shown!r}")
    return link.cid


def _look_up(shard: FsNode, name: bytes) -> Walk[Link | None]:
    """The entry `name` of a HAMT directory."""
    value, depth = hamt.name_hash(name), 0
    while True:
        prefix = f"{hamt.slot(value, depth, shard.fanout):0{hamt.prefix_chars(shard.fanout)}X}".encode()
        link = next((link for link in shard.links() if link.name in (prefix, prefix + name)), None)
        if link is None or len(link.name) > len(prefix):
            return link._replace(name=name) if link is not None else None
        found = yield from read_node(link.cid)
        if found.node.kind != Kind.SHARD or found.node.fanout != shard.fanout:
            raise PathError("a shard of a HAMT directory is none, or has another fanout")
        shard, depth = found.node, depth + 1
