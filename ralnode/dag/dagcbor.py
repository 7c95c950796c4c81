"""DAG-CBOR documents: read a stranger's, write our own. https://ipld.io/specs/codecs/dag-cbor/spec/

The reader is our own because a general one turns a stranger's tags into dates, regular expressions and shared references,
which grow without end when they are written out. Wide numbers and unsorted keys, which older writers made, are read; what
could be understood in two ways (a key that comes twice, lengths left open) or is no IPLD is refused.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from typing import Final

from ralnode.dag.errors import DagError
from ralnode.dag.ipld import Budget, Link, Value, check_depth, read_link

_INTEGER, _NEGATIVE, _BYTES, _TEXT, _LIST, _MAP, _TAG = range(7)
_LINK_TAG: Final = 42
_SIMPLE: Final = {20: False, 21: True, 22: None}
_FLOATS: Final = {25: ">e", 26: ">f", 27: ">d"}


def decode(block: bytes) -> Value:
    """Raises DagError."""
    reader = _Reader(block)
    value = reader.value(0)
    reader.finish()
    return value


def links(block: bytes) -> Iterator[bytes]:
    """The CIDs in a document of any size, in their order, in little memory. Raises DagError where it cannot be read on."""
    at, due = 0, 1
    while due:
        major, low, number, at = _head(block, at)
        due -= 1
        if major in (_BYTES, _TEXT):
            _, at = _string(block, at, number)
        elif major == _TAG:
            link, at = _link(block, at, number)
            yield link.cid
        elif major in (_LIST, _MAP):
            due += number if major == _LIST else 2 * number
            if due > len(block) - at:
                raise DagError("the document is cut off")
        elif major > _TAG and low not in _SIMPLE and low not in _FLOATS:
            raise DagError("a value is of a kind that IPLD has not")
    if at != len(block):
        raise DagError(f"{len(block) - at} bytes behind the document")


def encode(value: Value, depth: int = 0) -> bytes:
    """The one form of it: shortest heads, floats of 64 bits, keys by length and then by bytes."""
    check_depth(depth)
    if isinstance(value, bool) or value is None:
        return {False: b"\xf4", True: b"\xf5", None: b"\xf6"}[value]
    if isinstance(value, int):
        return _write_head(_INTEGER, value) if value >= 0 else _write_head(_NEGATIVE, -1 - value)
    if isinstance(value, float):
        return b"\xfb" + struct.pack(">d", value)
    if isinstance(value, bytes):
        return _write_head(_BYTES, len(value)) + value
    if isinstance(value, str):
        data = value.encode("utf-8")
        return _write_head(_TEXT, len(data)) + data
    if isinstance(value, list):
        return _write_head(_LIST, len(value)) + b"".join(encode(each, depth + 1) for each in value)
    if isinstance(value, Link):
        return _write_head(_TAG, _LINK_TAG) + encode(b"\0" + value.cid, depth)
    pairs = sorted(((encode(k, depth + 1), each) for k, each in value.items()), key=lambda p: (len(p[0]), p[0]))
    return _write_head(_MAP, len(pairs)) + b"".join(key + encode(each, depth + 1) for key, each in pairs)


class _Reader:
    def __init__(self, block: bytes) -> None:
        self._block = block
        self._at = 0
        self._budget = Budget()
        self._budget.take(1)

    def finish(self) -> None:
        if self._at != len(self._block):
            raise DagError(f"{len(self._block) - self._at} bytes behind the document")

    def value(self, depth: int) -> Value:
        check_depth(depth)
        major, low, number, self._at = _head(self._block, self._at)
        if major == _INTEGER:
            return number
        if major == _NEGATIVE:
            return -1 - number
        if major in (_BYTES, _TEXT):
            data, self._at = _string(self._block, self._at, number)
            return data if major == _BYTES else _decode_text(data)
        if major == _LIST:
            self._budget.take(number)
            return [self.value(depth + 1) for _ in range(number)]
        if major == _MAP:
            return self._map(number, depth)
        if major == _TAG:
            link, self._at = _link(self._block, self._at, number)
            return link
        return self._simple(low, number)

    def _map(self, count: int, depth: int) -> Value:
        self._budget.take(2 * count)
        found: dict[str, Value] = {}
        for _ in range(count):
            key = self.value(depth + 1)
            if not isinstance(key, str):
                raise DagError("a key of a map is not text")
            if key in found:
                raise DagError(f"the key {key[:40]!r} comes twice in one map")
            found[key] = self.value(depth + 1)
        return found

    def _simple(self, low: int, number: int) -> Value:
        if low in _SIMPLE:
            return _SIMPLE[low]
        if low not in _FLOATS:
            raise DagError("a value is of a kind that IPLD has not")
        (value,) = struct.unpack(_FLOATS[low], number.to_bytes(1 << low - 24, "big"))
        if not math.isfinite(value):
            raise DagError(f"{value} is no number")
        return float(value)


def _head(block: bytes, at: int) -> tuple[int, int, int, int]:
    """(major type, the five bits behind it, the number that they or the next bytes make, offset behind that)."""
    if at >= len(block):
        raise DagError("the document is cut off")
    major, low = block[at] >> 5, block[at] & 31
    if low < 24:
        return major, low, low, at + 1
    if low > 27:
        raise DagError("a length is left open, or of a width that CBOR has not")
    end = at + 1 + (1 << low - 24)
    if end > len(block):
        raise DagError("the document is cut off")
    return major, low, int.from_bytes(block[at + 1 : end], "big"), end


def _string(block: bytes, at: int, size_bytes: int) -> tuple[bytes, int]:
    end = at + size_bytes
    if end > len(block):
        raise DagError("the document is cut off")
    return block[at:end], end


def _link(block: bytes, at: int, tag: int) -> tuple[Link, int]:
    if tag != _LINK_TAG:
        raise DagError(f"tag {tag} is no IPLD; only links (tag {_LINK_TAG}) are")
    major, _, number, at = _head(block, at)
    data, at = _string(block, at, number) if major == _BYTES else (b"", at)
    if data[:1] != b"\0":
        raise DagError("a link is not a CID")
    return read_link(data[1:]), at


def _decode_text(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise DagError("a text is not UTF-8") from None


def _write_head(major: int, number: int) -> bytes:
    if number < 24:
        return bytes((major << 5 | number,))
    width = next(width for width in (1, 2, 4, 8) if number < 1 << 8 * width)
    return bytes((major << 5 | {1: 24, 2: 25, 4: 26, 8: 27}[width],)) + number.to_bytes(width, "big")
