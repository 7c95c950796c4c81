"""Signed records: what a node says of itself, and what it says of a source. Bytes in, checked values out.

A record travels as `[payload, signature]` and the payload is the DAG-CBOR array `[version, type, author, seq, clock,
subject, …fields]`. The first six elements keep their place in every later version, so that a record of a kind that
this version cannot read is still verified, stored and forwarded. Elements after the known ones are ignored. The
received bytes are what is verified, kept and sent on: nothing is ever encoded again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from ralnode.api.limits import LEAVES_PER_SOURCE_MAX, NAME_BYTES_MAX, RECORD_BYTES_MAX
from ralnode.api.model import Address, NodeId, NodeInfo, Root, Source
from ralnode.api.roles import Identity
from ralnode.core import dagcbor, fields
from ralnode.core.clock import CLOCK_MAX

VERSION: Final = 1
KIND_NODE: Final = 1
KIND_SOURCE: Final = 2

SIGNED_PREFIX: Final = b"ralnode/record/1\n"
"""Put before the payload when signing: a signature made for another purpose never counts as a record."""

NODE_KEY: Final = b"node"
SOURCE_KEY_PREFIX: Final = b"source/"

NODE_ID_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
ROOT_BYTES_MAX: Final = 128
"""A CIDv1 with a 512-bit hash has 68 to 72 bytes."""
ADDRESSES_MAX: Final = 16
PLAN_DIGEST_BYTES_MAX: Final = 16
SHORT_TEXT_BYTES_MAX: Final = 256
"""Zones, versions, planner names, addresses, states."""
COPIES_MAX: Final = 1000
PRIORITY_MAX: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """A node about itself. Tombstones of this author up to `gc_seq` are gone for good."""

    info: NodeInfo
    clock: int
    gc_seq: int = 0


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """An author about a source; `deleted` makes it a tombstone."""

    source: Source
    clock: int
    deleted: bool = False


Record: TypeAlias = NodeRecord | SourceRecord


@dataclass(frozen=True, slots=True)
class Signed:
    """A verified record with the bytes it came in. `record` is None when this version cannot read its fields; `flaw`
    then says why."""

    author: NodeId
    seq: int
    clock: int
    key: bytes
    envelope: bytes
    record: Record | None
    flaw: str = ""

    @property
    def is_tombstone(self) -> bool:
        return isinstance(self.record, SourceRecord) and self.record.deleted


class RecordRefusedError(ValueError):
    """The bytes are no record of that author. Nobody's word but the sender's stands behind them."""


def source_key(root: Root) -> bytes:
    return SOURCE_KEY_PREFIX + root


def sign(identity: Identity, seq: int, record: Record) -> Signed:
    """This node's record number `seq`. Raises ValueError if a field is out of bounds; nothing is signed then."""
    author, known = identity.id, _pack(record)
    payload = dagcbor.encode([VERSION, *known[:1], author, seq, record.clock, *known[1:]])
    signed = _open_payload(author, payload, b"")
    if signed.record != record:
        raise ValueError(f"this cannot be put into a record: {signed.flaw or 'it does not survive encoding'}")
    envelope = dagcbor.encode([payload, identity.sign(SIGNED_PREFIX + payload)])
    if len(envelope) > RECORD_BYTES_MAX:
        raise ValueError(f"the record would be {len(envelope)} bytes; at most {RECORD_BYTES_MAX} are allowed")
    return Signed(author, seq, record.clock, signed.key, envelope, record)


def verify(identity: Identity, author: NodeId, envelope: bytes) -> Signed:
    """Opens a peer's bytes as a record of `author`. Raises RecordRefusedError: malformed or badly signed."""
    payload, signature = _split(envelope)
    if not identity.verify(author, signature, SIGNED_PREFIX + payload):
        raise RecordRefusedError("bad signature")
    return _open_payload(author, payload, envelope)


def trust(author: NodeId, envelope: bytes) -> Signed:
    """Opens bytes that `verify` has accepted before (they come from this node's own disk)."""
    return _open_payload(author, _split(envelope)[0], envelope)


def _split(envelope: bytes) -> tuple[bytes, bytes]:
    if len(envelope) > RECORD_BYTES_MAX:
        raise RecordRefusedError(f"malformed: {len(envelope)} bytes; at most {RECORD_BYTES_MAX} are allowed")
    try:
        parts = fields.array(dagcbor.decode(envelope), "the envelope", 2)
        payload = fields.binary(parts[0], "the payload", RECORD_BYTES_MAX)
        return payload, fields.binary(parts[1], "the signature", SIGNATURE_BYTES, SIGNATURE_BYTES)
    except ValueError as error:
        raise RecordRefusedError(f"malformed: {error}") from error


def _open_payload(author: NodeId, payload: bytes, envelope: bytes) -> Signed:
    try:
        items = fields.array(dagcbor.decode(payload), "the payload", 6)
        version, kind = fields.integer(items[0], "the version", low=1), fields.integer(items[1], "the type")
        seq, clock = fields.integer(items[3], "seq", low=1), fields.integer(items[4], "the clock", CLOCK_MAX)
        subject = fields.binary(items[5], "the subject", ROOT_BYTES_MAX)
        if items[2] != author:
            raise ValueError("it names another author")
        key = _key(kind, subject)
    except ValueError as error:
        raise RecordRefusedError(f"malformed: {error}") from error
    record, flaw = _read(version, kind, author, clock, items)
    return Signed(author, seq, clock, key, envelope, record, flaw)


def _key(kind: int, subject: bytes) -> bytes:
    if kind == KIND_NODE:
        if subject:
            raise ValueError("a node record has no subject")
        return NODE_KEY
    return source_key(subject) if kind == KIND_SOURCE else b"%d/%s" % (kind, subject)


def _read(version: int, kind: int, author: NodeId, clock: int, items: list[Any]) -> tuple[Record | None, str]:
    """The fields, or None and why not. An authentic record that we cannot read must not stop those after it."""
    if version != VERSION or kind not in (KIND_NODE, KIND_SOURCE):
        return None, f"made by another version of ralnode (version {version}, type {kind})"
    try:
        return (_read_node(author, clock, items) if kind == KIND_NODE else _read_source(clock, items)), ""
    except ValueError as error:
        return None, f"malformed: {error}"


# --- node records ---------------------------------------------------------------------------------------------------


def _pack(record: Record) -> list[Any]:
    """[type, subject, …fields]"""
    if isinstance(record, SourceRecord):
        return _pack_source(record)
    info = record.info
    addresses = [[address.host, address.port] for address in info.addresses]
    return [
        KIND_NODE,
        b"",
        info.name,
        info.capacity_bytes,
        info.used_bytes,
        info.zone,
        addresses,
        info.gossip_port,
        info.page_url,
        info.version,
        info.planner,
        info.plan_digest,
        info.activity,
        info.draining,
        info.away_until_ms,
        info.wanted_count,
        record.gc_seq,
        [info.gateway_port, info.gateway_tls_port],
        [info.disk_total_bytes, info.disk_free_bytes, info.started_unix_ms],
    ]


def _read_node(author: NodeId, clock: int, items: list[Any]) -> NodeRecord:
    fields.array(items, "a node record", 21)
    _version, _kind, _author, _seq, _clock, _subject, name, capacity, used, zone, addresses, *rest = items
    gossip_port, page_url, version, planner, plan_digest, activity, draining, away, wanted, gc_seq = rest[:10]
    gateway_port, gateway_tls_port = _read_gateway(rest[10:])
    disk_total, disk_free, started = _read_machine(rest[11:])
    info = NodeInfo(
        id=fields.binary(author, "the author", NODE_ID_BYTES, NODE_ID_BYTES),
        name=fields.text(name, "the name", NAME_BYTES_MAX),
        capacity_bytes=fields.integer(capacity, "the capacity"),
        used_bytes=fields.integer(used, "the bytes used"),
        zone=fields.text(zone, "the zone", SHORT_TEXT_BYTES_MAX),
        addresses=tuple(_read_address(item) for item in fields.array(addresses, "addresses", 0, ADDRESSES_MAX)),
        gossip_port=fields.integer(gossip_port, "the gossip port", 65535),
        page_url=fields.text(page_url, "the page address", NAME_BYTES_MAX),
        version=fields.text(version, "the version", SHORT_TEXT_BYTES_MAX),
        planner=fields.text(planner, "the planner", SHORT_TEXT_BYTES_MAX),
        plan_digest=fields.binary(plan_digest, "the plan digest", PLAN_DIGEST_BYTES_MAX),
        activity=fields.text(activity, "the activity", SHORT_TEXT_BYTES_MAX),
        draining=fields.boolean(draining, "draining"),
        away_until_ms=fields.integer(away, "the end of an absence"),
        wanted_count=fields.integer(wanted, "the count of wanted blocks"),
        gateway_port=gateway_port,
        gateway_tls_port=gateway_tls_port,
        disk_total_bytes=disk_total,
        disk_free_bytes=disk_free,
        started_unix_ms=started,
    )
    return NodeRecord(info, clock, fields.integer(gc_seq, "gc_seq"))


def _read_gateway(later: list[Any]) -> tuple[int, int]:
    """(port, port for TLS); none in a record of a ralnode before 2026-11-22."""
    if not later:
        return 0, 0
    port, tls_port = fields.array(later[0], "the gateway's ports", 2)[:2]
    return fields.integer(port, "the gateway's port", 65535), fields.integer(tls_port, "the gateway's TLS port", 65535)


def _read_machine(later: list[Any]) -> tuple[int, int, int]:
    """(bytes of its disk, free ones, time of its start); none in a record of a ralnode before 2026-11-22."""
    if not later:
        return 0, 0, 0
    total, free, started = fields.array(later[0], "the machine", 3)[:3]
    return (
        fields.integer(total, "the size of the disk"),
        fields.integer(free, "the free bytes of the disk"),
        fields.integer(started, "the time of the start"),
    )


def _read_address(item: Any) -> Address:
    host, port = fields.array(item, "an address", 2)[:2]
    return Address(fields.text(host, "a host", SHORT_TEXT_BYTES_MAX), fields.integer(port, "a port", 65535))


# --- source records -------------------------------------------------------------------------------------------------


def _pack_source(record: SourceRecord) -> list[Any]:
    source = record.source
    return [
        KIND_SOURCE,
        source.root,
        source.name,
        source.size_bytes,
        source.leaf_count,
        source.leaf_bytes,
        source.interior_count,
        source.interior_bytes,
        source.copies,
        source.priority,
        source.is_directory,
        record.deleted,
    ]


def _read_source(clock: int, items: list[Any]) -> SourceRecord:
    fields.array(items, "a source record", 16)
    root, name, size, leaf_count, leaf_bytes, interior_count, interior_bytes, copies, priority = items[5:14]
    source = Source(
        root=fields.binary(root, "the root", ROOT_BYTES_MAX, 2),
        name=source_name(name),
        size_bytes=fields.integer(size, "the size"),
        leaf_count=fields.integer(leaf_count, "the count of leaves", LEAVES_PER_SOURCE_MAX),
        leaf_bytes=fields.integer(leaf_bytes, "the bytes of leaves"),
        interior_count=fields.integer(interior_count, "the count of interior nodes", LEAVES_PER_SOURCE_MAX),
        interior_bytes=fields.integer(interior_bytes, "the bytes of interior nodes"),
        copies=fields.integer(copies, "the number of copies", COPIES_MAX, 1),
        priority=fields.integer(priority, "the priority", PRIORITY_MAX, -PRIORITY_MAX),
        is_directory=fields.boolean(items[14], "is_directory"),
    )
    return SourceRecord(source, clock, fields.boolean(items[15], "deleted"))


def source_name(value: Any) -> str:
    """A name that is safe to show and to join to a folder. Raises ValueError."""
    name = fields.text(value, "the name", NAME_BYTES_MAX)
    if not name or name.startswith("/") or ".." in name.split("/"):
        raise ValueError("the name is empty, starts with a slash or climbs with `..`")
    return name
