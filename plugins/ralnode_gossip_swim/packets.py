"""The plain text of a packet: a CBOR array `[version, kind, fields…, rumours]`, made by joining encoded parts.

Reading is strict and complete before anything is believed; unknown kinds, rumours and trailing elements are skipped.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Any, Final, NamedTuple, TypeAlias

import cbor2

from ralnode.api import Address, NodeId, Versions
from ralnode_gossip_swim.options import HOST_BYTES_MAX, RUMOURS_PER_PACKET_MAX
from ralnode_gossip_swim.records import Signed, Stamp, is_stamp

VERSION: Final = 1
PREFIX_BYTES: Final = 8
"""Of a node id where both ends know the node: a collision is a 2⁻⁶⁴ accident."""

RUMOURS_HEAD_BYTES: Final = 2
_NUMBER_MAX: Final = 2**53
"""Highest version number believed; beyond it somebody is broken."""


class Kind(IntEnum):
    PING = 1
    ACK = 2
    PING_REQUEST = 3
    NACK = 4
    GOSSIP = 5


class _Code(IntEnum):
    ALIVE = 1
    SUSPECT = 2
    DEAD = 3
    LEFT = 4
    VERSIONS = 5
    STRANGER = 6


class AliveRumour(NamedTuple):
    """A signed `alive` record, and where whoever passes it on reaches that node (empty: as the record says)."""

    signed: Signed
    host: str


class Accusation(NamedTuple):
    """An unsigned claim that a node is suspect, or dead. Ids are prefixes."""

    is_dead: bool
    subject: bytes
    stamp: Stamp
    accuser: bytes


class LeftRumour(NamedTuple):
    signed: Signed


class VersionsRumour(NamedTuple):
    author: bytes
    """Id, or its prefix."""
    versions: Versions


class StrangerRumour(NamedTuple):
    """I do not know you, or only before your restart: introduce yourself."""


Rumour: TypeAlias = AliveRumour | Accusation | LeftRumour | VersionsRumour | StrangerRumour


class Packet(NamedTuple):
    kind: Kind
    number: int
    """What an ack answers; 0 for gossip."""
    target: bytes
    """Of a ping: prefix of the id that should answer. Of a ping request: the whole id."""
    address: Address
    """Of a ping request: where the target listens."""
    rumours: list[Rumour]


# --- writing --------------------------------------------------------------------------------------------------------


def ping(number: int, target: NodeId) -> bytes:
    return b"\x85" + _parts(VERSION, Kind.PING, number, target[:PREFIX_BYTES])


def ack(number: int) -> bytes:
    return b"\x84" + _parts(VERSION, Kind.ACK, number)


def nack(number: int) -> bytes:
    return b"\x84" + _parts(VERSION, Kind.NACK, number)


def ping_request(number: int, target: NodeId, address: Address) -> bytes:
    return b"\x87" + _parts(VERSION, Kind.PING_REQUEST, number, target, address.host, address.port)


def gossip() -> bytes:
    return b"\x83" + _parts(VERSION, Kind.GOSSIP)


def with_rumours(head: bytes, rumours: Sequence[bytes]) -> bytes:
    """Completes what one of the functions above began. At most 255 rumours."""
    count = len(rumours)
    return head + (bytes((0x80 | count,)) if count < 24 else bytes((0x98, count))) + b"".join(rumours)


def alive_rumour(signed: Signed, host: str) -> bytes:
    return cbor2.dumps([_Code.ALIVE, signed.record, signed.signature, host])


def accusation(is_dead: bool, subject: NodeId, stamp: Stamp, accuser: bytes) -> bytes:
    code = _Code.DEAD if is_dead else _Code.SUSPECT
    return cbor2.dumps([code, subject[:PREFIX_BYTES], *stamp, accuser[:PREFIX_BYTES]])


def left_rumour(signed: Signed) -> bytes:
    return cbor2.dumps([_Code.LEFT, signed.record, signed.signature])


def versions_rumour(author: bytes, versions: Versions) -> bytes:
    return cbor2.dumps([_Code.VERSIONS, author, *versions])


STRANGER: Final = cbor2.dumps([_Code.STRANGER])


def _parts(*values: object) -> bytes:
    return b"".join(map(cbor2.dumps, values))


# --- reading --------------------------------------------------------------------------------------------------------


def read_packet(body: bytes) -> Packet:
    """Raises ValueError on anything that is not a packet that this version understands."""
    try:
        items = cbor2.loads(body, max_depth=6, allow_indefinite=False)
    except cbor2.CBORError as error:
        raise ValueError(f"not CBOR: {error}") from error
    if type(items) is not list or len(items) < 3 or items[0] != VERSION:
        raise ValueError("not a packet of this version")
    kind, number, target, address = items[1], 0, b"", Address("", 0)
    if kind == Kind.GOSSIP:
        return Packet(Kind.GOSSIP, number, target, address, _rumours(items, 2))
    number = items[2]
    if type(number) is not int or not 0 <= number < 2**64:
        raise ValueError("bad number")
    if kind in (Kind.ACK, Kind.NACK):
        return Packet(Kind(kind), number, target, address, _rumours(items, 3))
    if kind == Kind.PING:
        return Packet(Kind.PING, number, _bytes(items, 3, PREFIX_BYTES), address, _rumours(items, 4))
    if kind == Kind.PING_REQUEST:
        target, address = _bytes(items, 3, 32), _address(items, 4)
        return Packet(Kind.PING_REQUEST, number, target, address, _rumours(items, 6))
    raise ValueError("unknown kind")


def read_rumour(item: Any) -> Rumour | None:
    """None for a kind of rumour that this version does not know. Raises ValueError on a malformed one."""
    if type(item) is not list or not item:
        raise ValueError("not a rumour")
    match item[0]:
        case _Code.ALIVE:
            return AliveRumour(_signed(item, 1), _host(item, 3))
        case _Code.SUSPECT | _Code.DEAD:
            return _accusation(item)
        case _Code.LEFT:
            return LeftRumour(_signed(item, 1))
        case _Code.VERSIONS:
            return _versions(item)
        case _Code.STRANGER:
            return StrangerRumour()
    return None


def _rumours(items: list[Any], at: int) -> list[Rumour]:
    listed = items[at] if len(items) > at else None
    if type(listed) is not list or len(listed) > RUMOURS_PER_PACKET_MAX:
        raise ValueError("bad rumours")
    return [rumour for rumour in map(read_rumour, listed) if rumour is not None]


def _signed(item: list[Any], at: int) -> Signed:
    if len(item) < at + 2 or type(item[at]) is not bytes:
        raise ValueError("bad record")
    return Signed(item[at], _bytes(item, at + 1, 64))


def _accusation(item: list[Any]) -> Accusation:
    if len(item) < 5 or not is_stamp(item[2], item[3]):
        raise ValueError("bad accusation")
    subject, accuser = _bytes(item, 1, PREFIX_BYTES), _bytes(item, 4, PREFIX_BYTES)
    return Accusation(item[0] == _Code.DEAD, subject, (item[2], item[3]), accuser)


def _versions(item: list[Any]) -> VersionsRumour:
    if len(item) < 4 or type(item[1]) is not bytes or len(item[1]) not in (PREFIX_BYTES, 32):
        raise ValueError("bad author")
    records, holdings = item[2], item[3]
    if type(records) is not int or type(holdings) is not int:
        raise ValueError("bad versions")
    if not (0 <= records <= _NUMBER_MAX and 0 <= holdings <= _NUMBER_MAX):
        raise ValueError("versions out of range")
    return VersionsRumour(item[1], Versions(records, holdings))


def _bytes(items: list[Any], at: int, size: int) -> bytes:
    value = items[at] if len(items) > at else None
    if type(value) is not bytes or len(value) != size:
        raise ValueError(f"not {size} bytes")
    return value


def _host(items: list[Any], at: int) -> str:
    value = items[at] if len(items) > at else None
    if type(value) is not str or len(value) > HOST_BYTES_MAX:
        raise ValueError("bad host")
    return value


def _address(items: list[Any], at: int) -> Address:
    host, port = _host(items, at), items[at + 1] if len(items) > at + 1 else None
    if type(port) is not int or not 0 < port < 65536:
        raise ValueError("bad port")
    return Address(host, port)
