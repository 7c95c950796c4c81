"""Signed records: what survives, what is refused, what is kept although it cannot be read."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from ralnode.api import Address, NodeInfo, Source
from ralnode.api.limits import LEAVES_PER_SOURCE_MAX, NAME_BYTES_MAX, RECORD_BYTES_MAX
from ralnode.core import dagcbor
from ralnode.core.records import (
    NODE_KEY,
    SIGNED_PREFIX,
    NodeRecord,
    RecordRefusedError,
    SourceRecord,
    sign,
    source_key,
    verify,
)
from ralnode.host.identity import NodeIdentity
from ralnode.testing.fake_identity import FakeIdentity

ANN, BOB = FakeIdentity("ann"), FakeIdentity("bob")
SOURCE = Source(b"\x01\x55\x12\x20" + b"r" * 32, "films/\u00dcber.mkv", 1000, 4, 1000, 1, 60, 3, -2, True)
NODE = NodeInfo(
    id=ANN.id,
    name="attic",
    capacity_bytes=1 << 40,
    used_bytes=5,
    zone="cellar",
    addresses=(Address("192.0.2.1", 10090), Address("::1", 1)),
    gossip_port=9090,
    page_url="http://192.0.2.1:9080/dashboard",
    version="0.1.0",
    planner="rendezvous/1",
    plan_digest=b"d" * 16,
    activity="seeding",
    draining=True,
    away_until_ms=1_700_000_000_000,
    wanted_count=12,
    gateway_port=8080,
    gateway_tls_port=8443,
    disk_total_bytes=2 * 10**12,
    disk_free_bytes=10**12,
    started_unix_ms=1_700_000_000_000,
)
RECORDS: list[NodeRecord | SourceRecord] = [
    NodeRecord(NODE, 77, 5),
    SourceRecord(SOURCE, 78),
    SourceRecord(SOURCE, 79, deleted=True),
]


def signed_payload(items: list[Any], identity: FakeIdentity = ANN) -> bytes:
    payload = dagcbor.encode(items)
    return dagcbor.encode([payload, identity.sign(SIGNED_PREFIX + payload)])


def payload_of(record: NodeRecord | SourceRecord, seq: int = 9) -> list[Any]:
    items: list[Any] = dagcbor.decode(dagcbor.decode(sign(ANN, seq, record).envelope)[0])
    return items


@pytest.mark.parametrize("record", RECORDS, ids=["node", "source", "tombstone"])
def test_a_record_survives_signing_and_verifying(record: NodeRecord | SourceRecord) -> None:
    signed = sign(ANN, 9, record)
    opened = verify(ANN, ANN.id, signed.envelope)
    assert opened == signed
    assert (opened.record, opened.seq, opened.clock) == (record, 9, record.clock)
    assert opened.key == (NODE_KEY if isinstance(record, NodeRecord) else source_key(SOURCE.root))


def test_it_works_with_real_keys(tmp_path: Path) -> None:
    real = [NodeIdentity(Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32), b"s" * 32, tmp_path) for n in (1, 2)]
    signed = sign(real[0], 1, RECORDS[1])
    assert verify(real[1], real[0].id, signed.envelope) == signed
    with pytest.raises(RecordRefusedError, match="bad signature"):
        verify(real[1], real[1].id, signed.envelope)


def test_another_authors_signature_is_refused() -> None:
    with pytest.raises(RecordRefusedError, match="bad signature"):
        verify(BOB, BOB.id, sign(ANN, 9, RECORDS[1]).envelope)


def test_a_record_that_names_another_author_is_refused() -> None:
    items = payload_of(RECORDS[1])
    with pytest.raises(RecordRefusedError, match="another author"):
        verify(BOB, BOB.id, signed_payload(items, BOB))


def test_a_signature_made_for_another_purpose_is_refused() -> None:
    payload = dagcbor.encode(payload_of(RECORDS[1]))
    with pytest.raises(RecordRefusedError, match="bad signature"):
        verify(ANN, ANN.id, dagcbor.encode([payload, ANN.sign(payload)]))


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_any_changed_byte_is_refused(at: int, change: int) -> None:
    envelope = bytearray(sign(ANN, 9, RECORDS[0]).envelope)
    envelope[at % len(envelope)] ^= change
    with pytest.raises(RecordRefusedError):
        verify(ANN, ANN.id, bytes(envelope))


@given(st.binary(max_size=200))
def test_junk_is_refused_and_nothing_else_is_raised(data: bytes) -> None:
    with pytest.raises(RecordRefusedError):
        verify(ANN, ANN.id, data)


def test_an_oversized_envelope_is_refused_before_it_is_read() -> None:
    with pytest.raises(RecordRefusedError, match=str(RECORD_BYTES_MAX)):
        verify(ANN, ANN.id, bytes(RECORD_BYTES_MAX + 1))


def test_elements_that_a_later_version_added_are_ignored_and_kept() -> None:
    envelope = signed_payload([*payload_of(RECORDS[1]), "later", [1, 2]])
    opened = verify(ANN, ANN.id, envelope)
    assert opened.record == RECORDS[1]
    assert opened.envelope == envelope


@pytest.mark.parametrize(("index", "value"), [(0, 2), (1, 7)])
def test_a_record_of_a_later_version_or_kind_is_authentic_but_unread(index: int, value: int) -> None:
    items = payload_of(RECORDS[1])
    items[index] = value
    opened = verify(ANN, ANN.id, signed_payload(items))
    assert opened.record is None
    assert "another version" in opened.flaw
    assert opened.key == (source_key(SOURCE.root) if index == 0 else b"7/" + SOURCE.root)


BAD_SOURCES: list[tuple[str, dict[str, Any]]] = [
    ("negative size", {"size_bytes": -1}),
    ("negative count", {"leaf_count": -1}),
    ("too many leaves", {"leaf_count": LEAVES_PER_SOURCE_MAX + 1}),
    ("huge size", {"leaf_bytes": 1 << 63}),
    ("beyond 64 bits", {"leaf_bytes": 1 << 70}),
    ("no copies", {"copies": 0}),
    ("absurd copies", {"copies": 1001}),
    ("empty name", {"name": ""}),
    ("long name", {"name": "\u00e9" * (NAME_BYTES_MAX // 2) + "x"}),
    ("control character", {"name": "a\x1b[31mb"}),
    ("new line", {"name": "a\nb"}),
    ("direction override", {"name": "gpj\u202eexe"}),
    ("lone surrogate", {"name": "a\ud800"}),
    ("absolute path", {"name": "/etc/passwd"}),
    ("climbing path", {"name": "a/../../b"}),
    ("no root", {"root": b""}),
    ("long root", {"root": b"r" * 129}),
]


@pytest.mark.parametrize(("what", "fields"), BAD_SOURCES, ids=[what for what, _ in BAD_SOURCES])
def test_a_source_out_of_bounds_is_never_signed(what: str, fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        sign(ANN, 9, SourceRecord(replace(SOURCE, **fields), 5))


@pytest.mark.parametrize("index", range(5, 16))
@pytest.mark.parametrize("value", [-(1 << 60), None, 1.5, [], "x" * 2000, b"x" * 2000], ids=str)
def test_a_source_field_of_a_wrong_kind_is_not_read(index: int, value: object) -> None:
    items = payload_of(RECORDS[1])
    items[index] = value
    try:
        opened = verify(ANN, ANN.id, signed_payload(items))
    except RecordRefusedError:
        return
    assert opened.record is None
    assert opened.flaw.startswith("malformed")


@pytest.mark.parametrize("index", range(6, 21))
def test_a_node_field_of_a_wrong_kind_is_not_read(index: int) -> None:
    for value in (-5, None, 1.5, [[1]], "x" * 1030, b"x" * 40):
        items = payload_of(RECORDS[0])
        items[index] = value
        try:
            assert verify(ANN, ANN.id, signed_payload(items)).record is None
        except RecordRefusedError:
            continue


OLD_NODE_PAYLOAD = bytes.fromhex(
    "950101582073e765f50de4757a2af60ac66985e5498a3d09ac2426b9d70a7343510d7ac08409184d406561747469631903e80060818269313932"
    "2e302e322e3119276a1923826065302e312e30604060f4000c05"
)
"""As ralnode before 2026-11-22 made them: 21 elements, nothing about a gateway."""


def test_a_node_record_of_an_older_ralnode_says_nothing_of_a_gateway() -> None:
    opened = verify(ANN, ANN.id, dagcbor.encode([OLD_NODE_PAYLOAD, ANN.sign(SIGNED_PREFIX + OLD_NODE_PAYLOAD)]))
    assert opened.flaw == ""
    assert isinstance(opened.record, NodeRecord)
    info = opened.record.info
    assert (info.name, info.wanted_count, opened.record.gc_seq) == ("attic", 12, 5)
    assert (info.gateway_port, info.gateway_tls_port) == (0, 0)


def test_an_older_ralnode_reads_a_node_record_as_before() -> None:
    """It takes the first 21 elements and leaves the others alone."""
    info = replace(
        NodeInfo(ANN.id, "attic", 1000, addresses=(Address("192.0.2.1", 10090),), gossip_port=9090),
        version="0.1.0", wanted_count=12, gateway_port=8080, gateway_tls_port=8443,
    )  # fmt: skip
    items = payload_of(NodeRecord(info, 77, 5))
    assert items[:21] == dagcbor.decode(OLD_NODE_PAYLOAD)
    assert items[21] == [8080, 8443]


@pytest.mark.parametrize("ports", [0, [], [1], [1, -1], [1, 65536], ["1", 2], None])
def test_ports_of_a_gateway_that_cannot_be_are_not_read(ports: Any) -> None:
    items = payload_of(RECORDS[0])
    items[21] = ports
    assert verify(ANN, ANN.id, signed_payload(items)).record is None


def test_a_record_cut_short_is_not_read() -> None:
    items = payload_of(RECORDS[0])
    for count in range(6, 21):
        assert verify(ANN, ANN.id, signed_payload(items[:count])).record is None
    for count in range(6):
        with pytest.raises(RecordRefusedError):
            verify(ANN, ANN.id, signed_payload(items[:count]))


def test_numbers_start_at_one_and_fit_63_bits() -> None:
    for seq in (0, -1, 1 << 63):
        with pytest.raises(ValueError, match="seq"):
            sign(ANN, seq, RECORDS[1])
