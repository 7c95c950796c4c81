from __future__ import annotations

import random

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ralnode.api.limits import BLOCK_BYTES_MAX
from ralnode.api.model import Block
from ralnode.dag import car, varint
from ralnode.dag import cid as cids
from ralnode.dag.errors import DagError
from ralnode.testing.content import Blocks, build_tree, content

TREE = {"a": content("a", 3000), "b": b"", "c/d": b"x"}


def sample(version: int = 1) -> tuple[bytes, list[bytes], Blocks]:
    blocks: Blocks = {}
    root = build_tree(blocks, TREE).cid
    body = car.encode_header([root]) + b"".join(car.encode_section(key, data) for key, data in blocks.items())
    if version == 2:
        padding, index = b"\0" * 7, b"an index that nobody reads" * 50
        fields = (51 + len(padding), len(body), 51 + len(padding) + len(body))
        head = bytes(16) + b"".join(field.to_bytes(8, "little") for field in fields)
        body = bytes.fromhex("0aa16776657273696f6e02") + head + padding + body + index
    return body, [root], blocks


def read(data: bytes, step: int) -> tuple[car.CarReader, list[Block]]:
    reader = car.CarReader()
    blocks = [block for start in range(0, len(data), step) for block in reader.feed(data[start : start + step])]
    reader.finish()
    return reader, blocks


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("step", [1, 7, 1000, 10**9])
def test_file_comes_back_however_it_is_cut(version: int, step: int) -> None:
    data, roots, blocks = sample(version)
    reader, found = read(data, step)
    assert list(reader.roots or ()) == roots
    assert dict(found) == blocks
    assert [block.key for block in found] == list(blocks)


@pytest.mark.parametrize("version", [1, 2])
def test_file_cut_off_anywhere_is_noticed(version: int) -> None:
    data, _, _ = sample(version)
    ends = {0}
    if version == 1:  # between two sections nobody can tell
        reader = car.CarReader()
        for at in range(len(data)):
            for _ in reader.feed(data[at : at + 1]):
                ends.add(at + 1)
        ends.add(1 + data[0])
    size = len(data) if version == 1 else 51 + 7 + len(sample(1)[0])
    for end in random.Random(3).sample(range(1, size), 300):
        if end not in ends:
            with pytest.raises(DagError, match="cut off"):
                read(data[:end], 10**9)


def test_empty_input_is_no_car_file() -> None:
    with pytest.raises(DagError, match="cut off"):
        read(b"", 1)


def test_every_flipped_bit_in_a_block_is_noticed() -> None:
    data, _, _ = sample()
    head = 1 + data[0]
    for at in random.Random(5).sample(range(head, len(data)), 200):
        damaged = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        with pytest.raises(DagError):
            read(damaged, 4096)


def test_blocks_are_not_hashed_when_the_caller_does_it() -> None:
    section = car.encode_section(cids.make(cids.RAW, b"right"), b"wrong")
    data = car.encode_header([]) + section
    assert [block.data for block in car.CarReader(verify=False).feed(data)] == [b"wrong"]
    with pytest.raises(DagError, match="does not hash"):
        list(car.CarReader().feed(data))


@pytest.mark.parametrize(
    "data",
    [
        b"\x00", varint.encode(car.HEADER_BYTES_MAX + 1) + b"x", b"\xff" * 11, b"\x03abc", b"\x01\xf6",
        b"\x0b" + cbor2.dumps({"version": 3}), car.encode_header([]).replace(b"\x01", b"\x07"),
        b"\x0b\xa1" + b"\x65roots\x80", bytes([len(cbor2.dumps({"version": 1, "roots": 5}))]) + cbor2.dumps({"version": 1, "roots": 5}),
        bytes([len(cbor2.dumps({"version": 1, "roots": ["x"]}))]) + cbor2.dumps({"version": 1, "roots": ["x"]}),
        bytes.fromhex("0aa16776657273696f6e02") + bytes(40),
        bytes.fromhex("0aa16776657273696f6e02") + bytes(16) + b"\xff" * 24,
        car.encode_header([]) + varint.encode(car.SECTION_BYTES_MAX + 1),
        car.encode_header([]) + b"\x00", car.encode_header([]) + b"\x02\x01\x55", car.encode_header([]) + b"\x04junk",
    ],
)  # fmt: skip
def test_hostile_file_is_refused(data: bytes) -> None:
    with pytest.raises(DagError):
        read(data, 10**9)


def test_block_above_two_mib_is_refused_although_its_section_fits() -> None:
    key = cids.make(cids.RAW, b"")
    with pytest.raises(DagError, match="too large"):
        list(
            car.CarReader(verify=False).feed(
                car.encode_header([]) + car.encode_section(key, bytes(BLOCK_BYTES_MAX + 1))
            )
        )


def test_section_beyond_the_data_of_a_carv2_is_refused() -> None:
    data, _, _ = sample(2)
    short = data[:35] + (int.from_bytes(data[35:43], "little") - 1).to_bytes(8, "little") + data[43:]
    with pytest.raises(DagError, match="beyond"):
        read(short, 10**9)


def test_v0_sections_are_lifted_and_identity_blocks_left_out() -> None:
    data = b"\x0a\x02\x08\x01"
    identity = b"\x01\x55\x00\x02hi"
    file = (
        car.encode_header([cids.make_v0(data)])
        + car.encode_section(identity, b"hi")
        + car.encode_section(cids.make_v0(data), data)
    )
    reader, found = read(file, 3)
    assert found == [Block(cids.make(cids.DAG_PB, data), data)]
    assert reader.roots == (cids.make_v0(data),)


def test_reader_keeps_no_more_than_one_section() -> None:
    reader, block = car.CarReader(), content("keep", 1 << 20)
    section = car.encode_section(cids.make(cids.RAW, block), block)
    list(reader.feed(car.encode_header([])))
    for _ in range(20):
        for start in range(0, len(section), 65536):
            list(reader.feed(section[start : start + 65536]))
            assert len(reader._buffer) <= len(section)


@given(st.binary(max_size=300), st.integers(1, 50))
def test_no_bytes_break_the_reader(data: bytes, step: int) -> None:
    reader = car.CarReader()
    try:
        for start in range(0, len(data), step):
            list(reader.feed(data[start : start + step]))
        reader.finish()
    except DagError:
        return
