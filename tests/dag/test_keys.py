from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ralnode.api.limits import BLOCK_BYTES_MAX
from ralnode.dag import cid as cids
from ralnode.dag.keys import KeyList, LeafKeys

LONG = b"\x01\x55\x13\x40" + bytes(range(64))


def key(number: int) -> bytes:
    return cids.make(cids.RAW, b"%d" % number)


@given(st.lists(st.one_of(st.integers(0, 5), st.just(-1)), max_size=30), st.integers(0, 30))
def test_packed_list_is_a_list_of_keys(numbers: list[int], start: int) -> None:
    plain = [LONG if number < 0 else key(number) for number in numbers]
    packed = KeyList()
    for each in plain:
        packed.append(each)
    assert (list(packed), len(packed), packed[2:7]) == (plain, len(plain), plain[2:7])
    for wanted in (LONG, key(1)):
        assert packed.find(wanted, start) == (plain.index(wanted, start) if wanted in plain[start:] else -1)
    assert packed.fingerprints(0, len(plain)).tobytes() == b"".join(each[-8:] for each in plain)


def test_packed_keys_may_follow_longer_ones() -> None:
    packed = KeyList()
    packed.extend_packed(key(1) + key(2))
    packed.append(LONG)
    packed.extend_packed(key(3) + key(4))
    assert list(packed) == [key(1), key(2), LONG, key(3), key(4)]
    assert packed[-1] == key(4)
    with pytest.raises(IndexError):
        packed[5]


def test_key_is_found_across_the_windows_of_the_search() -> None:
    packed = KeyList()
    for number in range(300):
        packed.extend_packed(key(number) * 1000)
    packed.append(key(1000))
    assert packed.find(key(1000)) == 300_000
    assert packed.find(key(299), 299_500) == 299_500
    assert packed.find(key(1001)) == -1


def test_key_that_only_appears_between_two_others_is_not_found() -> None:
    packed = KeyList()
    left, right = bytes(10) + key(1)[:26], key(1)[26:] + bytes(26)
    packed.extend_packed(left + right)
    assert packed.find(key(1)) == -1


def test_sizes_that_no_block_can_have_are_unknown() -> None:
    leaves = LeafKeys()
    for size in (0, 5, BLOCK_BYTES_MAX, BLOCK_BYTES_MAX + 1, -1, None, 1 << 40):
        leaves.append(key(1), size)
    leaves.extend_packed(key(2) * 3, np.array([7, -5, 1 << 40], np.int64))
    sizes = [leaves.size(index) for index in range(len(leaves))]
    assert sizes == [0, 5, BLOCK_BYTES_MAX, None, None, None, None, 7, None, None]
    assert leaves.total_bytes == BLOCK_BYTES_MAX + 12
    assert not leaves.sizes_known


def test_search_wraps_round() -> None:
    leaves = LeafKeys()
    for number in (1, 2, 3, 2):
        leaves.append(key(number), 1)
    assert [leaves.find(key(2), hint) for hint in (0, 1, 2, 3, 4)] == [1, 1, 3, 3, 1]
    assert leaves.find(key(9), 2) == -1
