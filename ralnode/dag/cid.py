"""CIDs as bytes: make, parse, show, verify. No CID objects: a `multiformats.CID` costs 114 µs to build.

A *key* is a binary CIDv1 (a CIDv0 is lifted to v1 dag-pb): what stores and wires know a block by. Text is for the edge.
Formats: https://github.com/multiformats/cid, https://github.com/libp2p/specs/blob/master/peer-ids/peer-ids.md.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from typing import Final

from multiformats import multibase

from ralnode.dag import base58, varint
from ralnode.dag.errors import DagError

RAW: Final = 0x55
DAG_PB: Final = 0x70
DAG_CBOR: Final = 0x71
DAG_JSON: Final = 0x0129
CBOR: Final = 0x51
JSON: Final = 0x0200
_LIBP2P_KEY: Final = 0x72

IDENTITY: Final = 0x00
SHA2_256: Final = 0x12
_SHA2_512: Final = 0x13
_BLAKE2B_256: Final = 0xB220

DIGEST_BYTES_MAX: Final = 128
"""Identity CIDs may carry this much (IPIP-512); every hash is shorter."""
CID_BYTES_MAX: Final = DIGEST_BYTES_MAX + 32
TEXT_CHARS_MAX: Final = 8 * CID_BYTES_MAX + 1
"""base2 is the longest multibase."""

_V0_PREFIX: Final = b"\x12\x20"
_V0_BYTES: Final = 34
_RAW_PREFIX: Final = bytes((1, RAW, SHA2_256, 32))
_DAG_PB_PREFIX: Final = bytes((1, DAG_PB, SHA2_256, 32))
_LIFT: Final = bytes((1, DAG_PB))
_PEER_PREFIX: Final = bytes.fromhex("002408011220")
"""Identity multihash of a libp2p PublicKey message: type Ed25519, 32 bytes."""

_HASHES: Final[Mapping[int, tuple[int, Callable[[bytes], bytes]]]] = {
    SHA2_256: (32, lambda data: hashlib.sha256(data).digest()),
    _SHA2_512: (64, lambda data: hashlib.sha512(data).digest()),
    _BLAKE2B_256: (32, lambda data: hashlib.blake2b(data, digest_size=32).digest()),
}


def make(codec: int, data: bytes) -> bytes:
    """CIDv1 sha2-256 of `data`: 36 bytes for the codecs in this module."""
    return b"\x01" + varint.encode(codec) + _V0_PREFIX + hashlib.sha256(data).digest()


def make_v0(data: bytes) -> bytes:
    """CIDv0 of a dag-pb block: 34 bytes."""
    return _V0_PREFIX + hashlib.sha256(data).digest()


def raw_key(digest: bytes) -> bytes:
    """Key of the raw block with this sha2-256 digest."""
    return _RAW_PREFIX + digest


def read(buffer: bytes | bytearray | memoryview, offset: int = 0) -> tuple[bytes, int]:
    """(binary CID, offset behind it). Raises DagError (a ValueError) on anything that is no CID."""
    if bytes(buffer[offset : offset + 2]) == _V0_PREFIX:
        end = offset + _V0_BYTES
    else:
        _, _, start, length = _header(buffer, offset)
        end = start + length
    if end > len(buffer):
        raise DagError("a CID is cut off")
    return bytes(buffer[offset:end]), end


def parse(text: str) -> bytes:
    """Binary CID of any multibase text or of a CIDv0 (`Qm…`). Raises ValueError."""
    if len(text) > TEXT_CHARS_MAX:
        raise DagError(f"a CID has at most {TEXT_CHARS_MAX} characters, this has {len(text)}")
    try:
        binary = _decode_text(text)
        cid, end = read(binary)
    except (ValueError, KeyError) as error:
        raise DagError(f"{text!r} is not a CID: {error}") from None
    if end != len(binary) or (len(cid) == _V0_BYTES and cid[:2] == _V0_PREFIX and text[:2] != "Qm"):
        raise DagError(f"{text!r} is not a CID")
    return cid


def to_text(cid: bytes) -> str:
    """v0 as base58btc `Qm…`, v1 as base32 `baf…`."""
    if is_v0(cid):
        return base58.encode(cid)
    return "b" + base64.b32encode(cid).decode("ascii").rstrip("=").lower()


def is_v0(cid: bytes) -> bool:
    return len(cid) == _V0_BYTES and cid.startswith(_V0_PREFIX)


def to_key(cid: bytes) -> bytes:
    """The CIDv1 that a block is known by: a CIDv0 is lifted to v1 dag-pb."""
    return _LIFT + cid if is_v0(cid) else cid


def to_v0(cid: bytes) -> bytes | None:
    """The CIDv0 of the same block; None where there is none."""
    if is_v0(cid):
        return cid
    return cid[2:] if cid.startswith(_DAG_PB_PREFIX) and len(cid) == _V0_BYTES + 2 else None


def codec_of(cid: bytes) -> int:
    """RAW, DAG_PB, DAG_CBOR or any other number. Raises ValueError."""
    if cid.startswith(_RAW_PREFIX):
        return RAW
    if cid.startswith((_DAG_PB_PREFIX, _V0_PREFIX)):
        return DAG_PB
    return _header(cid, 0)[0]


def identity_data(cid: bytes) -> bytes | None:
    """The bytes inside an identity CID, or None for every other CID. Such blocks exist nowhere but in their CID."""
    if cid.startswith((_RAW_PREFIX, _DAG_PB_PREFIX, _V0_PREFIX)):
        return None
    _, code, start, length = _header(cid, 0)
    return cid[start : start + length] if code == IDENTITY else None


def verify(key: bytes, data: bytes) -> bool:
    """Whether `data` hashes to `key`. False for a hash that we do not know, or a truncated one; never raises."""
    if key.startswith((_RAW_PREFIX, _DAG_PB_PREFIX)):
        return hashlib.sha256(data).digest() == key[4:]
    try:
        _, code, start, length = _header(to_key(key), 0)
    except DagError:
        return False
    digest = to_key(key)[start:]
    if code == IDENTITY:
        return len(digest) == length and digest == data
    known_length, function = _HASHES.get(code, (-1, bytes))
    return length == known_length == len(digest) and function(data) == digest


def peer_id(node_id: bytes) -> str:
    """The libp2p peer id of an Ed25519 public key: `12D3KooW…`."""
    return base58.encode(_PEER_PREFIX + node_id)


def parse_peer_id(text: str) -> bytes:
    """The 32-byte Ed25519 key in a peer id, written as base58btc or as a CID. Raises ValueError."""
    try:
        binary = base58.decode(text) if text.startswith("1") else _peer_multihash(parse(text))
    except ValueError as error:
        raise DagError(f"{text!r} is not a peer id: {error}") from None
    if len(binary) != len(_PEER_PREFIX) + 32 or not binary.startswith(_PEER_PREFIX):
        raise DagError(f"{text!r} is not the peer id of an Ed25519 key")
    return binary[len(_PEER_PREFIX) :]


def _header(buffer: bytes | bytearray | memoryview, offset: int) -> tuple[int, int, int, int]:
    """Of a CIDv1: (codec, hash code, offset of the digest, length of the digest)."""
    version, at = varint.decode_shortest(buffer, offset)
    if version != 1:
        raise DagError(f"CID version {version} is not known")
    codec, at = varint.decode_shortest(buffer, at)
    code, at = varint.decode_shortest(buffer, at)
    length, at = varint.decode_shortest(buffer, at)
    if length > DIGEST_BYTES_MAX:
        raise DagError(f"a digest of {length} bytes is longer than {DIGEST_BYTES_MAX}")
    return codec, code, at, length


def _decode_text(text: str) -> bytes:
    if text.startswith("Qm"):
        return base58.decode(text)
    if text.startswith("b"):
        body = text[1:]
        return base64.b32decode(body.upper() + "=" * (-len(body) % 8)) if body.islower() else _refuse("mixed case")
    if text.startswith("z"):
        return base58.decode(text[1:])
    return multibase.decode(text)


def _refuse(why: str) -> bytes:
    raise DagError(why)


def _peer_multihash(cid: bytes) -> bytes:
    if codec_of(cid) != _LIBP2P_KEY:
        raise DagError("not a libp2p-key CID")
    return cid[2:]
