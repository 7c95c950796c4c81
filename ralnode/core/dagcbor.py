"""DAG-CBOR, the strict subset that records and sync bodies use: integers, bytes, text, lists, bool and null.

The decoder is our own because a general one turns tags of a hostile peer into dates, regular expressions and shared
references. Exactly one encoding of a value is accepted: shortest heads, definite lengths, nothing left over.
"""

from __future__ import annotations

from typing import Any, Final

import cbor2

DEPTH_MAX: Final = 8
"""A sync body nests four deep; the rest is room for later versions."""

_SIMPLE: Final = {20: False, 21: True, 22: None}
_WIDTHS: Final = {24: 1, 25: 2, 26: 4, 27: 8}
_SMALLEST: Final = {24: 24, 25: 1 << 8, 26: 1 << 16, 27: 1 << 32}


def encode(value: Any) -> bytes:
    """Canonical bytes of a value made of int (64 bits), bytes, str, list, tuple, bool and None."""
    return cbor2.dumps(value, canonical=True)


def decode(data: bytes) -> Any:
    """Inverse of `encode`; lists come back as lists. Raises ValueError on anything else."""
    value, end = _item(data, 0, DEPTH_MAX)
    if end != len(data):
        raise ValueError(f"{len(data) - end} bytes after the end of the value")
    return value


def _item(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    if at >= len(data):
        raise ValueError("ends too early")
    major, low = data[at] >> 5, data[at] & 31
    if major == 7:
        if low not in _SIMPLE:
            raise ValueError("a kind of value that is not used here")
        return _SIMPLE[low], at + 1
    number, at = (low, at + 1) if low < 24 else _number(data, at, low)
    if major == 0:
        return number, at
    if major == 1:
        return -1 - number, at
    if major in (2, 3):
        end = at + number
        if end > len(data):
            raise ValueError("ends too early")
        return (data[at:end] if major == 2 else data[at:end].decode()), end
    if major == 4:
        return _list(data, at, number, depth)
    raise ValueError("maps and tags are not used here")


def _number(data: bytes, at: int, low: int) -> tuple[int, int]:
    if low not in _WIDTHS:
        raise ValueError("indefinite lengths are not DAG-CBOR")
    end = at + 1 + _WIDTHS[low]
    number = int.from_bytes(data[at + 1 : end], "big")
    if end > len(data) or number < _SMALLEST[low]:
        raise ValueError("ends too early, or a number is not in its shortest form")
    return number, end


def _list(data: bytes, at: int, count: int, depth: int) -> tuple[list[Any], int]:
    if depth == 0 or count > len(data) - at:
        raise ValueError("nested too deep, or ends too early")
    items: list[Any] = []
    for _ in range(count):
        item, at = _item(data, at, depth - 1)
        items.append(item)
    return items, at
