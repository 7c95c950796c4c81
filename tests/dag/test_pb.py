from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ralnode.api.limits import BLOCK_BYTES_MAX
from ralnode.dag import cid as cids
from ralnode.dag import pb, unixfs, varint
from ralnode.dag.errors import DagError
from ralnode.dag.pb import Link, Node

RAW_A, RAW_B = cids.make(cids.RAW, b"a"), cids.make(cids.RAW, b"b")
PB_A, V0_A = cids.make(cids.DAG_PB, b"a"), cids.make_v0(b"a")
SHORT = bytes.fromhex("015500050001020304")

links = st.builds(
    Link,
    st.sampled_from([RAW_A, RAW_B, PB_A, V0_A, SHORT]),
    st.one_of(st.just(b""), st.binary(max_size=5)),
    st.one_of(st.sampled_from([0, 5, 1 << 20, (1 << 20) + 14]), st.integers(0, 2**63 - 1)),
)


def nameless(link: Link) -> bytes:
    """A link whose empty name is left out, as some importers write it."""
    body = b"\x0a" + bytes([len(link.cid)]) + link.cid + b"\x18" + varint.encode(link.tsize)
    return b"\x12" + varint.encode(len(body)) + body


@given(st.lists(links, max_size=20), st.binary(max_size=20))
def test_decode_gives_back_what_was_encoded(listed: list[Link], data: bytes) -> None:
    assert pb.decode(pb.encode(listed, data)) == (listed, data)


@given(st.lists(links, max_size=20), st.binary(max_size=20))
def test_columns_say_the_same_as_the_reference(listed: list[Link], data: bytes) -> None:
    same_as_reference(pb.encode(listed, data))


@given(
    st.lists(st.builds(Link, st.just(RAW_A), st.just(b""), st.integers(1, 5)), max_size=12),
    st.binary(max_size=9),
    st.data(),
)
def test_columns_never_differ_from_the_reference_on_damaged_blocks(
    listed: list[Link], data: bytes, draw: st.DataObject
) -> None:
    block = bytearray(pb.encode(listed, data))
    block[draw.draw(st.integers(0, len(block) - 1))] = draw.draw(st.integers(0, 255))
    same_as_reference(bytes(block))
    same_as_reference(bytes(block[: draw.draw(st.integers(0, len(block)))]))


@pytest.mark.parametrize("cid", [RAW_A, PB_A, V0_A])
@pytest.mark.parametrize("tsizes", [[1], [1 << 20] * 1000, [1 << 20] * 1000 + [7], [3] * 5 + [300] * 5 + [70000]])
def test_nodes_of_files_are_read_in_columns(cid: bytes, tsizes: list[int]) -> None:
    listed = [Link(cid, b"", tsize) for tsize in tsizes]
    data = unixfs.encode_file(tsizes)
    bare = b"".join(map(nameless, listed)) + b"\x0a" + varint.encode(len(data)) + data
    for block in (pb.encode(listed, data), bare):
        packed = pb.decode_packed(block)
        assert packed is not None
        assert (packed.tsizes.tolist(), packed.cids, packed.data) == (tsizes, cid * len(tsizes), data)
        assert pb.decode(block) == (listed, data)


def same_as_reference(block: bytes) -> None:
    packed = packed_or_none(block)
    if packed is None:
        return
    reference = pb.decode(block)
    width = packed.width
    columns = [Link(packed.cids[i * width :][:width], b"", int(tsize)) for i, tsize in enumerate(packed.tsizes)]
    assert Node(columns, packed.data) == (list(reference.links), reference.data)


def packed_or_none(block: bytes) -> pb.PackedLinks | None:
    try:
        return pb.decode_packed(block)
    except DagError:
        with pytest.raises(DagError):
            pb.decode(block)
        return None


@pytest.mark.parametrize(
    "block",
    [
        b"\x0a", b"\x0a\x05abc", b"\x12\x02\x0a\x00", b"\x12\x00", b"\x1a\x00", b"\x08\x01", b"\x0a\x00\x0a\x00", b"\xff" * 20,
        bytes.fromhex("1202") + b"\x18\x01",  # a link without a CID
        b"\x12\x27\x0a\x25" + RAW_A + b"\0",  # bytes behind the CID
        b"\x12\x28\x0a\x24" + RAW_A + b"\x18\x80",  # Tsize cut off
        b"\x12\x26\x0a\x24" + RAW_A + b"\x0a\x01x" + b"\x12\x26\x0a\x24" + RAW_A,  # links, data, links
        b"\x12\x4c" + (b"\x0a\x24" + RAW_A) * 2,  # two CIDs
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
    ],
)  # fmt: skip
def test_malformed_block_is_refused(block: bytes) -> None:
    with pytest.raises(DagError):
        pb.decode(block)


@pytest.mark.parametrize(
    ("block", "count", "data"),
    [
        (b"", 0, b""),
        (bytes.fromhex("0a050001020304"), 0, bytes(range(5))),
        (bytes.fromhex("120b0a09015500050001020304"), 1, b""),
        (bytes.fromhex("12160a090155000500010203041209736f6d65206e616d65"), 1, b""),
        (bytes.fromhex("12140a0901550005000102030418ffffffffffffff0f"), 1, b""),
        (bytes.fromhex("0a0161" + "120b0a09015500050001020304"), 1, b"a"),  # data first, as old writers did
    ],
)
def test_codec_fixtures_of_ipld_are_read(block: bytes, count: int, data: bytes) -> None:
    node = pb.decode(block)
    assert (len(node.links), node.data) == (count, data)


def test_block_above_two_mib_is_refused_before_it_is_read() -> None:
    with pytest.raises(DagError, match="larger"):
        pb.decode(bytes(BLOCK_BYTES_MAX + 1))


@given(st.binary(max_size=200))
def test_no_bytes_break_the_decoders(block: bytes) -> None:
    for decode in (pb.decode, pb.decode_packed, unixfs.decode):
        with contextlib.suppress(DagError):
            decode(block)


def test_size_of_a_link_is_known_without_making_it() -> None:
    for link in (Link(RAW_A, b"x" * 11, 1), Link(V0_A, b"y" * 255, 34359738367), Link(SHORT, b"", 0)):
        assert pb.link_size(len(link.cid), len(link.name), link.tsize) == len(pb.encode_link(link))


def test_unixfs_sizes_are_read_in_both_protobuf_forms() -> None:
    plain = unixfs.encode_file([1 << 20] * 50 + [3, 3, 9])
    assert unixfs.decode(plain).blocksizes.tolist() == [1 << 20] * 50 + [3, 3, 9]
    packed = b"\x08\x02\x18\x06\x22\x03\x01\x02\x03"
    assert unixfs.decode(packed).blocksizes.tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    "message",
    [b"", b"\x08", b"\x08\x03", b"\x08\x06", b"\x12\x05abc", b"\x18\x01", b"some data", b"\x08\x02\x18" + b"\xff" * 9 + b"\x01",
     b"\x08\x02\x20" + b"\xff" * 8 + b"\x7f", b"\x08\x02\x22\x01\x80", b"\x08\x02\x99\x01\x00"],
)  # fmt: skip
def test_malformed_unixfs_message_is_refused(message: bytes) -> None:
    with pytest.raises(DagError):
        unixfs.decode(message)


def test_mode_and_mtime_are_read_over() -> None:
    message = unixfs.encode_leaf(b"x") + b"\x38\xa4\x03" + b"\x42\x07\x08\x01\x15\x01\x00\x00\x00"
    assert unixfs.decode(message).data == b"x"


def test_flood_of_sizes_is_refused() -> None:
    with pytest.raises(DagError, match="more than"):
        unixfs.decode(b"\x08\x02" + b"\x20\x01" * 300_000)
    with pytest.raises(DagError, match="more than"):
        unixfs.decode(b"\x08\x02\x22" + varint.encode(300_000) + b"\x01" * 300_000)
