"""The sync body: framing in both directions, and everything that is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ralnode.api import Versions
from ralnode.api.limits import AUTHORS_MAX, RECORD_BYTES_MAX, SYNC_BYTES_MAX
from ralnode.core import dagcbor
from ralnode.core.deltas import Delta, DigestEntry, PackedDigest, pack_digest, unpack_digest
from ralnode.core.sync import PackedVersions, SyncBody, decode_sync, encode_sync

ANN, BOB = b"a" * 32, b"b" * 32
BODY = SyncBody(
    digest={ANN: DigestEntry(7, 3, 2, (1 << 128) - 1), BOB: DigestEntry(1, 1, 0, 0)},
    deltas=(Delta(ANN, 3, 2, True, (b"record", b"other")), Delta(BOB, 0, 0, False, ())),
    gossip=b"gossip",
    holdings_since=12,
    holdings=b"",
    my_versions=Versions(3, 4),
    heard_holdings=PackedVersions({ANN: 5, BOB: 6}),
)
HOLDINGS = SyncBody(only_holdings=True, holdings_since=12, holdings=b"some", my_versions=Versions(3, 4))
ITEMS = dagcbor.decode(encode_sync(BODY))

numbers = st.integers(0, (1 << 63) - 1)
entries = st.builds(DigestEntry, numbers, numbers, numbers, st.integers(0, (1 << 128) - 1))


@pytest.mark.parametrize("body", [BODY, SyncBody(), HOLDINGS])
def test_a_body_survives(body: SyncBody) -> None:
    assert decode_sync(encode_sync(body)) == body


def test_what_is_the_same_here_is_not_read_again() -> None:
    digest, heard = PackedDigest(BODY.digest), PackedVersions(BODY.heard_holdings)
    body = decode_sync(encode_sync(BODY), lambda: digest, lambda: heard)
    assert body.digest is digest
    assert body.heard_holdings is heard
    other = decode_sync(encode_sync(BODY), lambda: PackedDigest({}), PackedVersions)
    assert (other.digest, other.heard_holdings) == (BODY.digest, BODY.heard_holdings)


def test_holdings_alone_take_a_few_bytes() -> None:
    assert len(encode_sync(HOLDINGS)) < 40


@given(st.dictionaries(st.binary(min_size=32, max_size=32), entries, max_size=20))
def test_a_digest_survives(digest: dict[bytes, DigestEntry]) -> None:
    assert unpack_digest(pack_digest(digest)) == digest


def test_elements_that_a_later_version_added_are_ignored() -> None:
    assert decode_sync(dagcbor.encode([*ITEMS, "later"])) == BODY


@pytest.mark.parametrize(
    ("index", "value"),
    [
        (0, 2),
        (1, 9),
        (2, b"x" * 71),
        (2, None),
        (2, pack_digest({ANN: DigestEntry(1, 1, 0, 0)}) * 2),
        (2, ANN + b"\xff" * 40),
        (3, [[ANN, 0, 0, True]]),
        (3, [[b"short", 0, 0, True, []]]),
        (3, [[ANN, -1, 0, True, []]]),
        (3, [[ANN, 0, 1 << 63, True, []]]),
        (3, [[ANN, 0, 0, 1, []]]),
        (3, [[ANN, 0, 0, True, [b"x" * (RECORD_BYTES_MAX + 1)]]]),
        (3, [[ANN, 0, 0, True, ["text"]]]),
        (4, b"x" * (SYNC_BYTES_MAX // 4 + 1)),
        (4, None),
        (5, -1),
        (6, 5),
        (7, [1]),
        (7, [1, -1]),
        (8, b"x" * 39),
        (8, None),
    ],
)
def test_a_part_out_of_bounds_is_refused(index: int, value: object) -> None:
    with pytest.raises(ValueError, match=r".+"):
        decode_sync(dagcbor.encode([*ITEMS[:index], value, *ITEMS[index + 1 :]]))


@given(st.binary(max_size=300))
def test_junk_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        decode_sync(data)


def test_too_many_authors_are_refused() -> None:
    digest = {n.to_bytes(32, "big"): DigestEntry(1, 1, 0, 0) for n in range(AUTHORS_MAX + 1)}
    with pytest.raises(ValueError, match="length"):
        unpack_digest(pack_digest(digest))


def test_an_oversized_body_is_neither_made_nor_read() -> None:
    with pytest.raises(ValueError, match=str(SYNC_BYTES_MAX)):
        encode_sync(SyncBody(holdings=bytes(SYNC_BYTES_MAX)))
    with pytest.raises(ValueError, match=str(SYNC_BYTES_MAX)):
        decode_sync(bytes(SYNC_BYTES_MAX + 1))
