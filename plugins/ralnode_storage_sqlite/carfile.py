"""The bytes of a segment: CARv1 framing (https://ipld.io/specs/transport/car/carv1/), written and read back.

A segment has no root of its own, but older readers refuse a header without one, so it names the customary placeholder:
the empty identity CID. A deleted record becomes a *pad*: the same length, its data zeros, its CID that of those zeros.
So a segment with holes is still a CAR file that every tool accepts, and every record of it verifies.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias

from ralnode.dag import car, cid, varint

_NO_ROOT: Final = b"\x01\x55\x00\x00"
HEADER: Final = car.encode_header([_NO_ROOT])

_HEAD_BYTES_MAX: Final = 10 + cid.CID_BYTES_MAX
_SEARCH_BYTES: Final = 1 << 20
_SHA256_CID: Final = re.compile(rb"\x01[\x55\x70\x71]\x12\x20")
"""How every CID that we are likely to meet begins: where to look for the next record behind damage."""

Read: TypeAlias = Callable[[int, int], bytes]
"""(offset, length) -> bytes, fewer at the end of the file."""


class Record(NamedTuple):
    key: bytes
    offset: int
    """Of the data; the head lies before it."""
    length: int


class Damage(NamedTuple):
    """Bytes that are part of no record that verifies."""

    offset: int
    length: int


def head(key: bytes, length: int) -> bytes:
    """What stands before the data of a record."""
    return car.section_prefix(key, length)


def head_bytes(key: bytes, length: int) -> int:
    size = len(key) + length
    return len(key) + (1 if size < 1 << 7 else 2 if size < 1 << 14 else 3 if size < 1 << 21 else varint.size(size))


def record_bytes(key: bytes, length: int) -> int:
    return head_bytes(key, length) + length


PAD_KEY_BYTES: Final = 36
"""As long as every key that we are likely to meet, so that it fits over the old one."""


@lru_cache(maxsize=16)
def pad_key(length: int) -> bytes:
    """The key of a raw block of zeros."""
    return cid.raw_key(hashlib.sha256(bytes(length)).digest())


def records(read: Read, size_bytes: int) -> Iterator[Record | Damage]:
    """All records that verify, in their order, and what lies between them. Every block is hashed."""
    offset = len(HEADER)
    if read(0, offset) != HEADER:
        yield Damage(0, min(offset, size_bytes))
    while offset < size_bytes:
        record = _record_at(read, offset, size_bytes)
        if record is None:
            start = _next_record(read, offset + 1, size_bytes)
            yield Damage(offset, start - offset)
            offset = start
        else:
            yield record
            offset = record.offset + record.length


def _record_at(read: Read, offset: int, size_bytes: int) -> Record | None:
    """The record that begins at `offset`, if it is whole and verifies."""
    start = read(offset, _HEAD_BYTES_MAX)
    try:
        size, at = varint.decode(start, 0)
        key, end = cid.read(start, at)
    except ValueError:
        return None
    length = size - (end - at)
    if size > car.SECTION_BYTES_MAX or length < 0 or offset + end + length > size_bytes:
        return None
    if not cid.verify(key, read(offset + end, length)):
        return None
    return Record(key, offset + end, length)


def _next_record(read: Read, offset: int, size_bytes: int) -> int:
    """Where the next good record begins at or behind `offset`; the size of the file if there is none."""
    while offset < size_bytes:
        window = read(offset, _SEARCH_BYTES + _HEAD_BYTES_MAX)
        for match in _SHA256_CID.finditer(window, 0, _SEARCH_BYTES + 4):
            for prefix_bytes in range(1, min(4, match.start()) + 1):
                start = offset + match.start() - prefix_bytes
                if _starts_record(window, match.start() - prefix_bytes, match.start()) and _record_at(
                    read, start, size_bytes
                ):
                    return start
        offset += _SEARCH_BYTES - 4
    return size_bytes


def _starts_record(window: bytes, start: int, key_start: int) -> bool:
    """Whether a varint that could be a record's size fills the bytes from `start` to `key_start` exactly."""
    try:
        size, end = varint.decode(window, start)
    except ValueError:
        return False
    return end == key_start and 36 <= size <= car.SECTION_BYTES_MAX
