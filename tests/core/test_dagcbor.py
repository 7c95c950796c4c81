"""The strict decoder: one encoding per value, and nothing hostile gets in."""

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ralnode.core import dagcbor

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 64), (1 << 64) - 1) | st.binary() | st.text(),
    lambda inner: st.lists(inner, max_size=5),
    max_leaves=30,
).filter(lambda value: depth(value) <= dagcbor.DEPTH_MAX)


def depth(value: object) -> int:
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


@given(values)
def test_values_survive(value: object) -> None:
    assert dagcbor.decode(dagcbor.encode(value)) == value


@given(st.binary(max_size=40))
def test_what_is_accepted_is_exactly_its_own_encoding(data: bytes) -> None:
    try:
        value = dagcbor.decode(data)
    except ValueError:
        return
    assert dagcbor.encode(value) == data


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "nothing"),
        (b"\x01\x02", "two values"),
        (b"\x18\x01", "a number longer than needed"),
        (b"\x1b\x00\x00\x00\x00\xff\xff\xff\xff", "a number longer than needed"),
        (b"\x9f\x01\xff", "indefinite list"),
        (b"\x5f\x41\x61\xff", "indefinite bytes"),
        (b"\x82\x01", "list cut"),
        (b"\x9a\xff\xff\xff\xff", "list that claims four billion items"),
        (b"\x5b\x7f\xff\xff\xff\xff\xff\xff\xff", "bytes that claim exabytes"),
        (b"\x44abc", "bytes cut"),
        (b"\x62\xff\xff", "not UTF-8"),
        (b"\x63\xed\xa0\x80", "a surrogate in UTF-8"),
        (b"\x81" * 20 + b"\x01", "nested too deep"),
        (b"\x81" * 100_000 + b"\x01", "nested absurdly deep"),
        (b"\xc1\x00", "a date"),
        (b"\xd8\x23\x61(", "a regular expression"),
        (b"\xd8\x1c\x81\xd8\x1d\x00", "a shared reference to itself"),
        (b"\xc2\x49\x01" + bytes(8), "a number above 64 bits"),
        (b"\xfb" + bytes(8), "a float"),
        (b"\xf7", "undefined"),
        (b"\xa0", "a map"),
        (b"\x1c", "a reserved head"),
    ],
)
def test_anything_else_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        dagcbor.decode(data)


def test_it_agrees_with_the_general_decoder() -> None:
    value = [1, -7, b"x" * 300, "\u00e4" * 40, [True, False, None], 1 << 40]
    assert dagcbor.decode(cbor2.dumps(value, canonical=True)) == value == cbor2.loads(dagcbor.encode(value))
