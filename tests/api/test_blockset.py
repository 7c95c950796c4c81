"""BlockSet against Python's own set, and its wire form against hostile bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ralnode.api import BlockSet

COUNT = 200
indexes = st.sets(st.integers(0, COUNT - 1))


@given(indexes, indexes)
def test_set_algebra_is_that_of_sets(a: set[int], b: set[int]) -> None:
    x, y = BlockSet.of(a), BlockSet.of(b)
    assert set(x | y) == a | b
    assert set(x & y) == a & b
    assert set(x - y) == a - b
    assert len(x) == len(a)
    assert list(x) == sorted(a)
    assert bool(x) == bool(a)
    assert all(i in x for i in a)


@given(indexes)
def test_every_set_survives_the_wire(a: set[int]) -> None:
    x = BlockSet.of(a)
    assert BlockSet.decode(x.encode(COUNT), COUNT) == x
    assert BlockSet.from_ranges(x.ranges()) == x
    assert BlockSet.from_mask(x.mask(COUNT)) == x


@given(indexes, st.integers(0, COUNT), st.integers(0, COUNT))
def test_first_takes_members_from_the_start_and_wraps(a: set[int], count: int, start: int) -> None:
    expected = sorted(i for i in a if i >= start) + sorted(i for i in a if i < start)
    assert set(BlockSet.of(a).first(count, start)) == set(expected[:count])


@given(st.binary(max_size=60), st.integers(0, 300))
def test_hostile_bytes_give_a_set_below_the_count_or_an_error(data: bytes, count: int) -> None:
    try:
        found = BlockSet.decode(data, count)
    except ValueError:
        return
    assert found.bits.bit_length() <= count


@pytest.mark.parametrize("data", [b"", b"\x01x", b"\x09", b"\x03\x80", b"\x03\x00", b"\x03\xff" * 20])
def test_malformed_sets_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="block set"):
        BlockSet.decode(data, 8)


def test_all_and_none_take_one_byte() -> None:
    assert BlockSet.full(10_000_000).encode(10_000_000) == b"\x01"
    assert BlockSet().encode(10_000_000) == b"\x00"


def test_a_few_ranges_of_a_large_source_take_few_bytes() -> None:
    assert len(BlockSet.from_ranges([(5, 1000), (9_000_000, 9_500_000)]).encode(10_000_000)) < 20
