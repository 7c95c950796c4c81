"""Unsigned LEB128 numbers, as multiformats, protobuf and CAR all use them."""

from __future__ import annotations

from ralnode.dag.errors import DagError


def encode(value: int) -> bytes:
    """The shortest form of `value` >= 0."""
    if value < 0x80:
        return bytes((value,))
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def size(value: int) -> int:
    """How many bytes `encode(value)` has."""
    return max(1, -(-value.bit_length() // 7))


def decode(buffer: bytes | bytearray | memoryview, offset: int) -> tuple[int, int]:
    """(value, offset behind it). Raises DagError when it is cut off or does not fit into 64 bits."""
    value = shift = 0
    try:
        while (byte := buffer[offset]) > 0x7F:
            value |= (byte & 0x7F) << shift
            shift += 7
            offset += 1
            if shift > 63:
                raise DagError("a varint is longer than 64 bits")
    except IndexError:
        raise DagError("a varint is cut off") from None
    value |= byte << shift
    if value >> 64:
        raise DagError("a varint is longer than 64 bits")
    return value, offset + 1


def decode_shortest(buffer: bytes | bytearray | memoryview, offset: int) -> tuple[int, int]:
    """As `decode`, and DagError for anything but the shortest form, as multiformats ask: a CID has one spelling in bytes,
    so that a block is known by one key. (Protobuf allows longer forms.)"""
    value, end = decode(buffer, offset)
    if end - offset > 1 and not buffer[end - 1]:
        raise DagError("a varint is not in its shortest form")
    return value, end
