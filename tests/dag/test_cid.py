from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multiformats import CID, multibase

from ralnode.dag import base58, varint
from ralnode.dag import cid as cids
from ralnode.dag.errors import DagError

V0 = "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn"
V1 = "bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354"
DATA = b"hello world"
SHA512 = b"\x01\x55\x13\x40" + hashlib.sha512(DATA).digest()
BLAKE2B = b"\x01\x55\xa0\xe4\x02\x20" + hashlib.blake2b(DATA, digest_size=32).digest()
IDENTITY = b"\x01\x55\x00\x0b" + DATA


@given(st.binary(max_size=200))
def test_made_cid_is_the_librarys(data: bytes) -> None:
    ours = cids.make(cids.RAW, data)
    theirs = CID("base32", 1, "raw", ("sha2-256", hashlib.sha256(data).digest()))
    assert (ours, cids.to_text(ours)) == (bytes(theirs), str(theirs))


@pytest.mark.parametrize("text", [V0, V1, "bafkqaaa", "bafyaabakaieac"])
def test_text_comes_back_as_it_was(text: str) -> None:
    assert cids.to_text(cids.parse(text)) == text


@pytest.mark.parametrize(
    "base", ["base16", "base16upper", "base32upper", "base36", "base58btc", "base64", "base64url", "base2"]
)
def test_every_multibase_is_understood(base: str) -> None:
    assert cids.to_text(cids.parse(multibase.encode(cids.parse(V1), base))) == V1


def test_v0_and_v1_of_a_block_have_one_key() -> None:
    assert cids.to_key(cids.parse(V0)) == cids.to_key(cids.parse(V1)) == cids.parse(V1)


@pytest.mark.parametrize(
    "text",
    ["", "b", "Q", "Qm", "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3N0", V0[:-1], "z" + V0, V1[:-2], V1 + "a",
     "bAFY", "f00", "f015512", "k", "🚀aa", "m" * 5000, "/ipfs/" + V1, "b" + "a" * 1200, "f01551220", "f0155002", "../etc"],
)  # fmt: skip
def test_what_is_no_cid_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        cids.parse(text)


@given(st.text(max_size=80))
def test_no_text_breaks_the_parser(text: str) -> None:
    try:
        found = cids.parse(text)
    except DagError:
        return
    assert cids.parse(cids.to_text(found)) == found


@given(st.binary(max_size=64), st.integers(0, 8))
def test_no_bytes_break_reading(buffer: bytes, offset: int) -> None:
    try:
        found, end = cids.read(buffer, offset)
    except DagError:
        return
    assert buffer[offset:end] == found


@pytest.mark.parametrize("key", [cids.make(cids.RAW, DATA), cids.make_v0(DATA), SHA512, BLAKE2B, IDENTITY])
def test_right_bytes_verify_and_wrong_ones_do_not(key: bytes) -> None:
    assert cids.verify(key, DATA)
    assert not cids.verify(key, DATA + b"!")
    assert not cids.verify(key[:-1], DATA)
    assert not cids.verify(key + b"\0", DATA)


def test_short_or_unknown_digests_verify_nothing() -> None:
    digest = hashlib.sha256(DATA).digest()
    truncated = b"\x01\x55\x12\x14" + digest[:20]
    unknown = b"\x01\x55\x1e\x20" + digest
    for key in (truncated, unknown, b"\x01\x55\x12\x00", b"", b"\x02\x55", b"\x01\x55\x00\x00x"):
        assert not cids.verify(key, DATA)


def test_identity_cid_beyond_128_bytes_is_refused() -> None:
    assert cids.identity_data(b"\x01\x55\x00\x80\x01" + b"A" * 128) == b"A" * 128
    with pytest.raises(DagError, match="longer than 128"):
        cids.read(b"\x01\x55\x00\x81\x01" + b"A" * 129)


def test_codec_is_known_without_decoding() -> None:
    assert cids.codec_of(cids.make(cids.RAW, b"")) == cids.RAW
    assert cids.codec_of(cids.make_v0(b"")) == cids.DAG_PB
    assert cids.codec_of(BLAKE2B) == cids.RAW
    assert cids.codec_of(cids.make(cids.DAG_CBOR, b"")) == cids.DAG_CBOR


@given(st.binary(min_size=32, max_size=32))
def test_peer_id_holds_the_key(node_id: bytes) -> None:
    text = cids.peer_id(node_id)
    assert text.startswith("12D3KooW")
    assert cids.parse_peer_id(text) == node_id
    as_cid = multibase.encode(b"\x01\x72" + base58.decode(text), "base36")
    assert cids.parse_peer_id(as_cid) == node_id


@pytest.mark.parametrize("text", ["", "1", "12D3KooW", "Qm" + "1" * 44, V0, V1, "0OIl", "1" * 300])
def test_what_is_no_peer_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        cids.parse_peer_id(text)


@given(st.binary(max_size=100))
def test_base58_is_the_librarys(data: bytes) -> None:
    assert "z" + base58.encode(data) == multibase.encode(data, "base58btc")
    assert base58.decode(base58.encode(data)) == data


@given(st.integers(0, 2**64 - 1))
def test_varint_round_trip(value: int) -> None:
    encoded = varint.encode(value)
    assert len(encoded) == varint.size(value)
    assert varint.decode(b"\xff" + encoded + b"\xff", 1) == (value, 1 + len(encoded))


@pytest.mark.parametrize("encoded", [b"", b"\x80", b"\x80" * 9, b"\xff" * 9 + b"\x02", b"\x80" * 12 + b"\x01"])
def test_cut_or_oversized_varint_is_refused(encoded: bytes) -> None:
    with pytest.raises(DagError):
        varint.decode(encoded, 0)
