from __future__ import annotations

from http import HTTPStatus

import pytest

from ralnode.api import limits
from ralnode_transport_http import bounds
from ralnode_transport_http.admission import Admission, Buckets, Gate


def test_a_bucket_allows_a_burst_and_then_the_rate() -> None:
    buckets = Buckets(rate_per_second=2, burst=3)
    assert [buckets.take("a", 10.0) for _ in range(4)] == [True, True, True, False]
    assert not buckets.take("a", 10.4)
    assert buckets.take("a", 10.5)
    assert [buckets.take("a", 100.0) for _ in range(4)] == [True, True, True, False]


def test_addresses_have_buckets_of_their_own_and_are_forgotten_when_there_are_many() -> None:
    buckets = Buckets(rate_per_second=0.001, burst=1)
    assert buckets.take("a", 0.0)
    assert buckets.take("b", 0.0)
    assert not buckets.take("a", 0.0)
    for number in range(bounds.BUCKETS_MAX):
        buckets.take(str(number), 0.0)
    assert len(buckets._levels) == bounds.BUCKETS_MAX
    assert buckets.take("a", 0.0)


def test_a_gate_bounds_each_and_all_and_forgets_who_left() -> None:
    gate = Gate(total_max=3, each_max=2)
    assert gate.enter("a")
    assert gate.enter("a")
    assert not gate.enter("a")
    assert gate.is_full_for("a")
    assert gate.enter("b")
    assert not gate.enter("c")
    assert not gate.is_full_for("c")
    gate.leave("a")
    assert gate.enter("c")
    for kind in ("a", "b", "c"):
        gate.leave(kind)
    assert not gate._inside


@pytest.mark.parametrize("size_bytes", [limits.SYNC_BYTES_MAX, bounds.BODIES_BYTES_MAX])
def test_bodies_held_at_once_are_bounded_over_all_peers(size_bytes: int) -> None:
    admission = Admission(Gate(total_max=1000, each_max=1000))
    count = bounds.BODIES_BYTES_MAX // size_bytes
    for number in range(count):
        assert admission.enter(b"%d" % number, size_bytes) is None
    refused = admission.enter(b"one more", size_bytes)
    assert refused is not None
    assert refused[0] == HTTPStatus.SERVICE_UNAVAILABLE
    assert admission.enter(b"one more", 0) is None
    admission.leave(b"0", size_bytes)
    assert admission.enter(b"one more", size_bytes) is None


def test_a_refused_request_is_not_counted() -> None:
    admission = Admission(Gate(total_max=1, each_max=1))
    assert admission.enter(b"a", 10) is None
    assert admission.enter(b"a", 10) is not None
    admission.leave(b"a", 10)
    assert admission._body_bytes == 0
