"""Whom to exchange state with, and that lost nodes are tried for ever."""

from random import Random

from ralnode.api import Address, Peer
from ralnode.core.rounds import RoundOptions, Rounds

ME, ANN = b"m" * 32, b"a" * 32
THERE = Address("10.0.0.2", 10090)
PEER = Peer(ANN, (THERE,))


def rounds() -> Rounds:
    made = Rounds(ME, RoundOptions(10, 30), Random(7))
    made.start(0)
    return made


def test_a_new_hint_is_tried_at_once_and_again_after_it_failed() -> None:
    r = rounds()
    r.hinted(THERE, 0)
    assert r.wake_at == 0
    (asked,) = r.due([], [], 0)
    assert asked == Peer(None, (THERE,))
    assert not r.due([], [], 0)
    r.failed(asked, 0.5)
    r.hinted(THERE, 0.6)
    assert r.due([], [], 0.6) == [asked]


def test_a_hint_of_a_live_peer_is_not_dialled() -> None:
    r = rounds()
    r.hinted(THERE, 0)
    assert not r.due([PEER], [], 0)


def test_my_own_address_is_not_dialled_twice() -> None:
    r = rounds()
    r.hinted(THERE, 0)
    (asked,) = r.due([], [], 0)
    r.answered(asked, ME, 0)
    for now in range(1, 200):
        r.hinted(THERE, now)
        assert not [p for p in r.due([], [], now) if p.id is None]


def test_news_are_fetched_soon_but_not_in_a_burst() -> None:
    r = rounds()
    r.news_at(ANN, 0.0)
    assert r.due([PEER], [], 0.0) == [PEER]
    r.answered(PEER, ANN, 0.01)
    r.news_at(ANN, 0.02)
    assert not r.due([PEER], [], 0.02)
    assert r.due([PEER], [], 0.3) == [PEER]


def test_lost_nodes_are_tried_again_and_again() -> None:
    r, tries, now = rounds(), 0, 0.0
    while now < 86_400:
        now = max(now + 0.01, r.wake_at)
        for peer in r.due([], [PEER], now):
            tries += 1
            r.failed(peer, now)
    assert 2000 < tries < 4000


def test_regular_rounds_reach_everybody_in_time() -> None:
    peers = [Peer(bytes([i]) * 32, (Address("h", i),)) for i in range(1, 6)]
    r, seen, now = rounds(), set(), 0.0
    while now < 600:
        now = max(now + 0.01, r.wake_at)
        for peer in r.due(peers, [], now):
            assert peer.id
            seen.add(peer.id)
            r.answered(peer, peer.id, now)
    assert len(seen) == 5


def test_hints_are_bounded() -> None:
    r = rounds()
    for i in range(5000):
        r.hinted(Address("h", i % 60000 + 1), 0)
    started = 0
    while batch := r.due([], [], 0):
        started += len(batch)
        for peer in batch:
            r.failed(peer, 0)
    assert started <= 1000


def test_an_address_that_does_not_answer_is_tried_again_in_seconds_and_then_forgotten() -> None:
    """Whoever starts together with its only known peer must not wait for the next report."""
    r = rounds()
    r.hinted(THERE, 0)
    tried = []
    for tenth in range(600):
        now = tenth / 10
        for asked in r.due([], [], now):
            tried.append(now)
            r.failed(asked, now)
    assert tried == [0, 1, 3, 7, 15]
    r.hinted(THERE, 60)
    assert r.due([], [], 60) != []


def test_a_report_brings_the_next_try_forward() -> None:
    r = rounds()
    r.hinted(THERE, 0)
    for now in (0, 1, 3):
        r.failed(r.due([], [], now)[0], now)
    assert r.due([], [], 4) == []
    r.hinted(THERE, 4)
    assert len(r.due([], [], 4)) == 1
