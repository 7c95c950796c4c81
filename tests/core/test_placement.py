"""The two clocks: dead for seconds is not gone for minutes."""

import pytest

from ralnode.api import Instant, Liveness, NodeId, NodeInfo
from ralnode.core.placement import Placement, quantised

ME, ANN, BOB = b"m" * 32, b"a" * 32, b"b" * 32
INFOS = [NodeInfo(node, "n", 1000) for node in (ME, ANN, BOB)]


def at(seconds: float) -> Instant:
    return Instant(seconds, int(seconds * 1000))


def chosen(
    placement: Placement, now: float, *, risk: bool = False, left: frozenset[NodeId] = frozenset()
) -> set[NodeId]:
    nodes, _next = placement.nodes(INFOS, left.__contains__, lambda node: risk, at(now))
    return {node.id for node in nodes}


@pytest.fixture
def placement() -> Placement:
    return Placement(ME, 600, 60)


def test_a_reboot_shorter_than_the_grace_moves_nothing(placement: Placement) -> None:
    placement.observe(ANN, Liveness.DEAD, at(100))
    assert chosen(placement, 699) == {ME, ANN, BOB}
    placement.observe(ANN, Liveness.ALIVE, at(699))
    assert chosen(placement, 5000) == {ME, ANN, BOB}


def test_a_dead_node_leaves_after_the_grace(placement: Placement) -> None:
    placement.observe(ANN, Liveness.DEAD, at(100))
    assert chosen(placement, 700) == {ME, BOB}


def test_the_grace_is_short_when_a_last_copy_remains(placement: Placement) -> None:
    placement.observe(ANN, Liveness.DEAD, at(100))
    assert chosen(placement, 159, risk=True) == {ME, ANN, BOB}
    assert chosen(placement, 160, risk=True) == {ME, BOB}


def test_an_announced_absence_moves_nothing_until_it_is_over(placement: Placement) -> None:
    away = [NodeInfo(ANN, "n", 1000, away_until_ms=2_000_000)]
    placement.observe(ANN, Liveness.DEAD, at(100))
    assert placement.nodes(away, lambda n: False, lambda n: True, at(1999))[0]
    assert not placement.nodes(away, lambda n: False, lambda n: True, at(2001))[0]


def test_suspicion_is_not_absence(placement: Placement) -> None:
    placement.observe(ANN, Liveness.SUSPECT, at(100))
    assert chosen(placement, 10_000) == {ME, ANN, BOB}


def test_repeated_bad_news_does_not_restart_the_clock(placement: Placement) -> None:
    placement.observe(ANN, Liveness.DEAD, at(100))
    placement.observe(ANN, Liveness.DEAD, at(650))
    assert chosen(placement, 700) == {ME, BOB}


def test_draining_and_left_nodes_are_out_at_once(placement: Placement) -> None:
    assert chosen(placement, 0, left=frozenset([BOB])) == {ME, ANN}
    draining = [NodeInfo(ANN, "n", 1000, draining=True)]
    assert placement.nodes(draining, lambda n: False, lambda n: False, at(0))[0] == ()


def test_the_next_change_is_told(placement: Placement) -> None:
    placement.observe(ANN, Liveness.DEAD, at(100))
    assert placement.nodes(INFOS, lambda n: False, lambda n: False, at(101))[1] == 700


@pytest.mark.parametrize("capacity", [0, 1, 127, 128, 10**9, 5 * 10**11, 2**60 + 12345])
def test_quantised_capacity_is_never_more_and_at_most_two_percent_less(capacity: int) -> None:
    assert capacity * 0.98 <= quantised(capacity) <= capacity


def test_small_corrections_of_a_capacity_do_not_show() -> None:
    assert quantised(500_000_000_000) == quantised(500_100_000_000)
