"""dag-pb blocks: a list of links and some bytes. Encoding is canonical (links first); decoding takes both orders.

Format: https://ipld.io/specs/codecs/dag-pb/spec/. `decode` is the reference; `decode_packed` gives the same answer for
the nodes of files (thousands of links that differ only in their digest), a hundred times faster.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from ralnode.api.limits import BLOCK_BYTES_MAX, LINKS_PER_NODE_MAX
from ralnode.dag import cid as cids
from ralnode.dag import varint
from ralnode.dag.errors import DagError

_LINKS: Final = 0x12
_DATA: Final = 0x0A
_HASH: Final = 0x0A
_NAME: Final = 0x12
_TSIZE: Final = 0x18
_RUNS_MAX: Final = 8
"""A balanced node has two runs of equal links at most; more than a few, and the general decoder is as good."""

_Bytes: TypeAlias = npt.NDArray[np.uint8]


class Link(NamedTuple):
    """`name` is empty inside files; `tsize` is a hint about the bytes of everything below, 0 when left out."""

    cid: bytes
    name: bytes = b""
    tsize: int = 0


class Node(NamedTuple):
    links: Sequence[Link]
    data: bytes


class _Run(NamedTuple):
    """Links of one form that follow each other: one row a CID."""

    prefix: bytes
    cids: _Bytes
    tsizes: npt.NDArray[np.int64]
    end: int


class PackedLinks(NamedTuple):
    """Nameless links in columns: CIDs of `width` bytes behind each other, all with the same prefix."""

    cids: bytes
    width: int
    tsizes: npt.NDArray[np.int64]
    data: bytes


def encode_link(link: Link) -> bytes:
    """One link as it stands in a block. An empty name is written out (`12 00`), as every importer has always done."""
    tsize = varint.encode(link.tsize)
    body = b"".join(
        (
            b"\x0a",
            varint.encode(len(link.cid)),
            link.cid,
            b"\x12",
            varint.encode(len(link.name)),
            link.name,
            b"\x18",
            tsize,
        )
    )
    return b"\x12" + varint.encode(len(body)) + body


def link_size(cid_bytes: int, name_bytes: int, tsize: int) -> int:
    """`len(encode_link(…))` without making it."""
    body = 3 + varint.size(cid_bytes) + cid_bytes + varint.size(name_bytes) + name_bytes + varint.size(tsize)
    return 1 + varint.size(body) + body


def encode(links: Iterable[Link], data: bytes) -> bytes:
    """A block; the links stay in the order given."""
    return b"".join((*map(encode_link, links), b"\x0a", varint.encode(len(data)), data))


def decode(block: bytes) -> Node:
    """Raises DagError on anything but a well-formed dag-pb block of allowed size."""
    if len(block) > BLOCK_BYTES_MAX:
        raise DagError(f"a dag-pb block of {len(block)} bytes is larger than {BLOCK_BYTES_MAX}")
    links: list[Link] = []
    data: bytes | None = None
    at, links_ended = 0, False
    while at < len(block):
        tag = block[at]
        start, end = _field(block, at + 1)
        at = end
        if tag == _LINKS and not links_ended:
            links.append(_decode_link(block, start, end))
        elif tag == _DATA and data is None:
            data, links_ended = block[start:end], bool(links)
        else:
            raise DagError(f"dag-pb field with tag {tag:#x} is unknown or out of place")
        if len(links) > LINKS_PER_NODE_MAX:
            raise DagError(f"a dag-pb block has more than {LINKS_PER_NODE_MAX} links")
    return Node(links, data or b"")


def decode_packed(block: bytes) -> PackedLinks | None:
    """The same as `decode` in columns, or None when the block has another shape than a file's node (no fault by itself).
    Raises DagError only where `decode` does."""
    columns: list[_Run] = []
    at = 0
    while at < len(block) and block[at] == _LINKS:
        run = _equal_links(block, at)
        if run is None or len(columns) == _RUNS_MAX or len(block) > BLOCK_BYTES_MAX:
            return None
        columns.append(run)
        at = run.end
    if not columns or any(run.prefix != columns[0].prefix for run in columns):
        return None
    data = _only_data(block, at)
    if data is None:
        return None
    packed = b"".join(run.cids.tobytes() for run in columns)
    return PackedLinks(packed, columns[0].cids.shape[1], np.concatenate([run.tsizes for run in columns]), data)


def _field(block: bytes, at: int) -> tuple[int, int]:
    """(start, end) of a length-delimited field whose length stands at `at`."""
    length, start = varint.decode(block, at)
    if start + length > len(block):
        raise DagError("a dag-pb field is cut off")
    return start, start + length


def _decode_link(block: bytes, at: int, end: int) -> Link:
    cid = name = tsize = None
    while at < end:
        tag = block[at]
        if tag == _TSIZE and tsize is None:
            tsize, at = varint.decode(block, at + 1)
            continue
        start, at = _field(block, at + 1)
        if tag == _HASH and cid is None:
            cid, cid_end = cids.read(block, start)
            if cid_end != at:
                raise DagError("the CID of a dag-pb link has bytes behind it")
        elif tag == _NAME and name is None:
            name = block[start:at]
        else:
            raise DagError(f"dag-pb link field with tag {tag:#x} is unknown or doubled")
    if cid is None or at != end:
        raise DagError("a dag-pb link has no CID" if cid is None else "a dag-pb link is cut off")
    return Link(cid, name or b"", tsize or 0)


def _equal_links(block: bytes, at: int) -> _Run | None:
    """The run of links from `at` on that have the first one's form."""
    head = block[at : at + 8]
    if (
        len(head) < 8
        or head[2] != _HASH
        or (head[3], head[4:6]) not in ((36, b"\x01\x55"), (36, b"\x01\x70"), (34, b"\x12\x20"))
    ):
        return None
    cid_end = 4 + head[3]
    tsize_at = cid_end + (3 if block[at + cid_end : at + cid_end + 2] == b"\x12\x00" else 1)
    row_bytes = 2 + head[1]
    if head[1] > 0x7F or not 1 <= row_bytes - tsize_at <= 8 or at + row_bytes > len(block):
        return None
    rows = np.frombuffer(block, np.uint8, (len(block) - at) // row_bytes * row_bytes, at).reshape(-1, row_bytes)
    good = _rows_alike(rows, cid_end, tsize_at)
    count = int(np.argmin(good)) if not good.all() else len(rows)
    if not count:
        return None
    shifts = 7 * np.arange(row_bytes - tsize_at)
    values = ((rows[:count, tsize_at:] & 0x7F).astype(np.int64) << shifts).sum(axis=1)
    prefix = head[4:8] if head[3] == 36 else head[4:6]
    return _Run(prefix, rows[:count, 4:cid_end], values, at + count * row_bytes)


def _rows_alike(rows: _Bytes, cid_end: int, tsize_at: int) -> npt.NDArray[np.bool_]:
    """Which rows are a link like the first: same tags and lengths, same CID prefix, a Tsize of the same length."""
    prefix_end = 8 if cid_end == 40 else 6
    good = (rows[:, :prefix_end] == rows[0, :prefix_end]).all(axis=1)
    good &= (rows[:, 6:8] == (0x12, 0x20)).all(axis=1) if cid_end == 40 else True
    good &= (rows[:, cid_end:tsize_at] == rows[0, cid_end:tsize_at]).all(axis=1)
    good &= rows[:, tsize_at - 1] == _TSIZE
    good &= (rows[:, tsize_at:-1] > 0x7F).all(axis=1)
    return np.asarray(good & (rows[:, -1] < 0x80), dtype=np.bool_)


def _only_data(block: bytes, at: int) -> bytes | None:
    """The Data field, if it is all that stands from `at` on."""
    if at == len(block):
        return b""
    if block[at] != _DATA:
        return None
    start, end = _field(block, at + 1)
    return block[start:end] if end == len(block) else None
