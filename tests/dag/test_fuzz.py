"""The decoders under fire: any bytes, and well-formed ones that were spoilt. On demand longer: tests/fuzz/fuzz.py."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ralnode.testing.decoders import CHECKS, seeds

SEEDS = seeds()
EXAMPLES = 250
"""About a second for each decoder."""


@st.composite
def spoilt(draw: st.DrawFn, name: str) -> bytes:
    """A seed with up to six edits: bytes changed, cut out, put in, or a part of another seed in their place."""
    data = bytearray(draw(st.sampled_from(SEEDS[name])))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(data)))
        cut = draw(st.sampled_from([0, 1, 2, 4, 9, 40]))
        other = draw(st.sampled_from(SEEDS[name]))
        data[at : at + cut] = draw(
            st.one_of(
                st.binary(max_size=4),
                st.sampled_from([b"\0", b"\xff", b"\x80" * 9 + b"\x01", b"\xff" * 10, bytes(40), other, other[at:]]),
            )
        )
    return bytes(data)


@pytest.mark.parametrize("name", CHECKS)
@given(data=st.data())
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_spoilt_input_is_read_rightly_or_refused(name: str, data: st.DataObject) -> None:
    CHECKS[name](data.draw(spoilt(name)))


@pytest.mark.parametrize("name", CHECKS)
@given(junk=st.binary(max_size=300))
@settings(max_examples=EXAMPLES, deadline=None)
def test_any_bytes_are_read_rightly_or_refused(name: str, junk: bytes) -> None:
    CHECKS[name](junk)


@pytest.mark.parametrize(("name", "number"), [(name, n) for name, found in SEEDS.items() for n in range(len(found))])
def test_what_the_fuzzers_begin_with_is_well_formed(name: str, number: int) -> None:
    CHECKS[name](SEEDS[name][number])
