"""Segments are CARv1 files, and damage to one record costs no other."""

from __future__ import annotations

import cbor2
import pytest

from ralnode.dag import cid, varint
from ralnode.testing.store_under_test import make_block, make_blocks
from ralnode_storage_sqlite import carfile
from ralnode_storage_sqlite.carfile import Damage, Record

SIZES = (0, 1, 127, 300, 4096)


def make_segment() -> tuple[bytes, list[Record]]:
    content, expected = carfile.HEADER, []
    for seed, size in enumerate(SIZES):
        block = make_block(seed, size)
        content += carfile.head(block.key, size)
        expected.append(Record(block.key, len(content), size))
        content += block.data
    return content, expected


def read_all(content: bytes) -> list[Record | Damage]:
    return list(carfile.records(lambda offset, length: bytes(content[offset : offset + length]), len(content)))


def test_the_header_is_a_carv1_header_with_the_placeholder_root() -> None:
    length, start = varint.decode(carfile.HEADER, 0)
    header = cbor2.loads(carfile.HEADER[start:])
    assert start + length == len(carfile.HEADER)
    assert header["version"] == 1
    assert [root.value for root in header["roots"]] == [b"\x00" + cid.parse("bafkqaaa")]


def test_records_are_read_back_in_their_order() -> None:
    content, expected = make_segment()
    assert read_all(content) == expected


def test_sizes_add_up() -> None:
    content, expected = make_segment()
    assert len(content) == len(carfile.HEADER) + sum(carfile.record_bytes(r.key, r.length) for r in expected)
    assert expected[0].offset == len(carfile.HEADER) + carfile.head_bytes(expected[0].key, 0)


def test_one_wrong_byte_anywhere_costs_at_most_the_record_it_lies_in() -> None:
    content, expected = make_segment()
    for position in range(len(content)):
        damaged = bytearray(content)
        damaged[position] ^= 0x41
        hit = [
            record
            for record in expected
            if record.offset - carfile.head_bytes(record.key, record.length) <= position < record.offset + record.length
        ]
        found = read_all(bytes(damaged))
        others = [record for record in expected if record not in hit]
        # A wrong codec still verifies, since no hash covers it: the block is then known by another, harmless key.
        good = [item for item in found if isinstance(item, Record) and item.offset not in {r.offset for r in hit}]
        assert good == others, position
        assert any(isinstance(item, Damage) for item in found) or len(found) == len(expected)


@pytest.mark.parametrize("cut_bytes", [1, 100, 4095, 4096, 4134])
def test_a_torn_tail_costs_only_the_last_record(cut_bytes: int) -> None:
    content, expected = make_segment()
    found = read_all(content[:-cut_bytes])
    assert [item for item in found if isinstance(item, Record)] == expected[:-1]
    assert sum(item.length for item in found if isinstance(item, Damage)) == 4096 + 38 - cut_bytes


def test_garbage_between_records_is_skipped_even_when_it_looks_like_a_record() -> None:
    content, expected = make_segment()
    fake = carfile.head(cid.raw_key(bytes(32)), 50)
    block = make_block(77, 1000)
    after = content + fake + b"\x01\x55\x12\x20" * 20 + carfile.head(block.key, 1000) + block.data
    assert [item for item in read_all(after) if isinstance(item, Record)][-1].key == block.key
    assert len([item for item in read_all(after) if isinstance(item, Record)]) == len(expected) + 1


def test_damage_longer_than_the_search_window_is_skipped() -> None:
    block = make_block(5, 3_000_000)
    one, two = make_blocks(2, 100)
    content = carfile.HEADER + carfile.head(one.key, 100) + one.data + block.data
    content += carfile.head(two.key, 100) + two.data
    found = read_all(content)
    assert [item.key for item in found if isinstance(item, Record)] == [one.key, two.key]


def test_a_pad_takes_exactly_the_place_of_a_record_and_verifies() -> None:
    content, expected = make_segment()
    victim = expected[3]
    padded = bytearray(content)
    padded[victim.offset : victim.offset + victim.length] = bytes(victim.length)
    key = carfile.pad_key(victim.length)
    padded[victim.offset - len(key) : victim.offset] = key
    found = read_all(bytes(padded))
    assert found == [*expected[:3], victim._replace(key=key), *expected[4:]]
    assert cid.verify(key, bytes(victim.length))


def test_an_empty_or_foreign_file_has_no_records() -> None:
    assert read_all(b"") == [Damage(0, 0)]
    assert not any(isinstance(item, Record) for item in read_all(bytes(1000)))
