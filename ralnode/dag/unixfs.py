"""The UnixFS `Data` message inside a dag-pb block: what kind of thing the node is, and how its content is cut.

Format: https://specs.ipfs.tech/unixfs/. `mode` and `mtime` are read over: no profile of ours writes them.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

import numpy as np

from ralnode.api.limits import LINKS_PER_NODE_MAX
from ralnode.dag import varint
from ralnode.dag.errors import DagError

MURMUR3: Final = 0x22
"""murmur3-x64-64, the only hash of HAMT directories."""
SIZE_MAX: Final = 1 << 62
"""Sizes above this can only be lies, and would not fit signed arithmetic."""


class Kind(IntEnum):
    """`DataType`. RAW is the old wrapped form of a file's bytes, read but never written."""

    RAW = 0
    DIRECTORY = 1
    FILE = 2
    SYMLINK = 4
    SHARD = 5


@dataclass(frozen=True, slots=True)
class Data:
    kind: Kind
    data: bytes = b""
    """Content before the links of a file, target of a symlink, bitfield of a shard."""
    filesize: int = 0
    blocksizes: array[int] = field(default_factory=lambda: array("Q"))
    """Content bytes below each link of a file."""
    hash_type: int = 0
    fanout: int = 0


EMPTY_DIRECTORY: Final = b"\x08\x01"


def encode_leaf(content: bytes) -> bytes:
    """A whole file in one node, or a leaf of one."""
    body = b"\x12" + varint.encode(len(content)) + content if content else b""
    return b"\x08\x02" + body + b"\x18" + varint.encode(len(content))


def encode_file(blocksizes: Iterable[int]) -> bytes:
    """A file node that only links to its parts."""
    sizes = list(blocksizes)
    return b"".join((b"\x08\x02\x18", varint.encode(sum(sizes)), *(b"\x20" + varint.encode(size) for size in sizes)))


def encode_symlink(target: bytes) -> bytes:
    return b"\x08\x04\x12" + varint.encode(len(target)) + target


def encode_shard(bitfield: bytes, fanout: int) -> bytes:
    """`bitfield` is big-endian without leading zero bytes."""
    return b"\x08\x05\x12" + varint.encode(len(bitfield)) + bitfield + b"\x28\x22\x30" + varint.encode(fanout)


def decode(message: bytes) -> Data:
    """Raises DagError on anything but a UnixFS message of a kind that we know."""
    numbers: dict[int, int] = {}
    content = b""
    sizes = array("Q")
    at = 0
    while at < len(message):
        tag = message[at]
        if tag in (0x08, 0x18, 0x28, 0x30, 0x38):
            numbers[tag], at = varint.decode(message, at + 1)
        elif tag == 0x20:
            at = _blocksizes(message, at, sizes)
        elif tag in (0x12, 0x22, 0x42):
            start, at = _field(message, at + 1)
            if tag == 0x12:
                content = message[start:at]
            elif tag == 0x22:
                _packed_blocksizes(message[start:at], sizes)
        else:
            raise DagError(f"UnixFS field with tag {tag:#x} is unknown")
    return _checked(numbers, content, sizes)


def _checked(numbers: dict[int, int], content: bytes, sizes: array[int]) -> Data:
    try:
        kind = Kind(numbers[0x08])
    except (KeyError, ValueError):
        raise DagError(f"UnixFS type {numbers.get(0x08)} is not known") from None
    total = numbers.get(0x18, 0)
    if total > SIZE_MAX or (sizes and max(sizes) > SIZE_MAX):
        raise DagError("UnixFS sizes are beyond reason")
    return Data(kind, content, total, sizes, numbers.get(0x28, 0), numbers.get(0x30, 0))


def _field(message: bytes, at: int) -> tuple[int, int]:
    length, start = varint.decode(message, at)
    if start + length > len(message):
        raise DagError("a UnixFS field is cut off")
    return start, start + length


def _blocksizes(message: bytes, at: int, sizes: array[int]) -> int:
    """Takes one blocksize and all repetitions of it that follow: nearly all are equal, so this runs twice a node."""
    value, end = varint.decode(message, at + 1)
    unit = message[at:end]
    count = 1
    if message.startswith(unit, end):
        count += _repeats(message, end, unit)
    if len(sizes) + count > LINKS_PER_NODE_MAX:
        raise DagError(f"a UnixFS message has more than {LINKS_PER_NODE_MAX} blocksizes")
    sizes.extend(array("Q", (value,)) * count)
    return at + count * len(unit)


def _repeats(message: bytes, at: int, unit: bytes) -> int:
    rows = np.frombuffer(message, np.uint8, (len(message) - at) // len(unit) * len(unit), at).reshape(-1, len(unit))
    same = (rows == np.frombuffer(unit, np.uint8)).all(axis=1)
    return len(rows) if same.all() else int(np.argmin(same))


def _packed_blocksizes(packed: bytes, sizes: array[int]) -> None:
    at = 0
    while at < len(packed):
        value, at = varint.decode(packed, at)
        sizes.append(value)
        if len(sizes) > LINKS_PER_NODE_MAX:
            raise DagError(f"a UnixFS message has more than {LINKS_PER_NODE_MAX} blocksizes")
