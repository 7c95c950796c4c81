"""Reading a peer's CAR to the byte: the same blocks as the general reader finds, and nothing from what is malformed."""

from __future__ import annotations

import io
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ralnode.api import Block
from ralnode.api.limits import BLOCK_BYTES_MAX
from ralnode.dag import car, cid, varint
from ralnode.dag.errors import DagError
from ralnode.testing.store_under_test import make_block
from ralnode_transport_http.bounds import CAR_HEADER_BYTES_MAX
from ralnode_transport_http.sections import Sections

BLOCK = make_block(1, 1000)
HEADER = car.encode_header([BLOCK.key])
SECTION = car.encode_section(*BLOCK)
IDENTITY = b"\x01\x55\x00\x03abc"


def read(stream: bytes) -> list[Block]:
    sections = Sections(io.BytesIO(stream).readinto)
    sections.read_header()
    return list(iter(sections.next_block, None))


def encode(blocks: Sequence[Block]) -> bytes:
    return HEADER + b"".join(car.encode_section(*block) for block in blocks)


@given(st.lists(st.integers(0, 70_000), max_size=8))
def test_any_stream_gives_its_blocks(sizes: list[int]) -> None:
    blocks = [Block(cid.make(cid.RAW, data), data) for data in map(bytes, sizes)]
    assert read(encode(blocks)) == blocks == list(car.CarReader().feed(encode(blocks)))


def test_the_largest_block_fits() -> None:
    block = make_block(1, BLOCK_BYTES_MAX)
    assert read(encode([block, BLOCK])) == [block, BLOCK]


def test_identity_blocks_are_left_out() -> None:
    assert read(HEADER + car.encode_section(IDENTITY, b"abc") + SECTION) == [BLOCK]


@pytest.mark.parametrize("length", range(1, len(HEADER + SECTION)))
def test_a_stream_that_is_cut_off_anywhere_but_between_sections_is_refused(length: int) -> None:
    if length == len(HEADER):
        assert read(HEADER) == []
    else:
        with pytest.raises(DagError):
            read((HEADER + SECTION)[:length])


@pytest.mark.parametrize(
    "stream",
    [
        b"",
        SECTION,
        varint.encode(CAR_HEADER_BYTES_MAX + 1) + bytes(CAR_HEADER_BYTES_MAX + 1),
        HEADER + bytes(100_000),
        HEADER + b"\x03\x01\x55\x00" + SECTION,
        HEADER + b"\xff" * 20,
        HEADER + varint.encode(car.SECTION_BYTES_MAX + 1) + bytes(car.SECTION_BYTES_MAX + 1),
        HEADER + car.encode_section(*make_block(1, BLOCK_BYTES_MAX + 1)),
        HEADER + b"\x24\x05" + BLOCK.key[:35],
    ],
    ids=[
        "nothing", "no header", "a long header", "empty sections", "a section shorter than a CID", "an endless length",
        "a long section", "a large block", "a wrong CID",
    ],
)  # fmt: skip
def test_what_is_malformed_is_refused(stream: bytes) -> None:
    with pytest.raises(DagError):
        for _ in read(stream):
            pass
