"""Whom to exchange state with, and that lost nodes are tried for ever."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from ralnode.api import Address, NodeId, Peer
from ralnode.core.rounds import Need, RoundOptions, Rounds, Turn

ME, ANN = b"m" * 32, b"a" * 32
THERE = Address("10.0.0.2", 10090)
PEER = Peer(ANN, (THERE,))


@dataclass
class People:
    """Who is there."""

    live: list[Peer] = field(default_factory=list)
    lost: list[Peer] = field(default_factory=list)

    def live_others(self) -> Sequence[NodeId]:
        return [peer.id for peer in self.live if peer.id]

    def is_live(self, node: NodeId) -> bool:
        return node in self.live_others()

    def peer(self, node: NodeId) -> Peer:
        return next(peer for peer in self.live if peer.id == node)

    def live_peers(self) -> Sequence[Peer]:
        return self.live

    def lost_peers(self) -> Sequence[Peer]:
        return self.lost


def rounds(live: Sequence[Peer] = (), lost: Sequence[Peer] = ()) -> Rounds:
    made = Rounds(ME, People(list(live), list(lost)), RoundOptions(10, 30), Random(7))
    made.start(0)
    return made


def others(count: int) -> list[Peer]:
    return [Peer(bytes([number + 1]) * 32, (Address("h", number + 1),)) for number in range(count)]


def everything(_node: NodeId) -> Need:
    return Need.EVERYTHING


def holdings(_node: NodeId) -> Need:
    return Need.HOLDINGS


def asked_at(r: Rounds, now: float, need_of: Callable[[NodeId], Need] = everything) -> list[Peer]:
    return [turn.peer for turn in r.due(now, need_of)]


def test_a_new_hint_is_tried_at_once_and_again_after_it_failed() -> None:
    r = rounds()
    r.hinted(THERE, 0)
    assert r.wake_at == 0
    (asked,) = asked_at(r, 0)
    assert asked == Peer(None, (THERE,))
    assert not asked_at(r, 0)
    r.failed(asked, 0.5)
    r.hinted(THERE, 0.6)
    assert asked_at(r, 0.6) == [asked]


def test_a_hint_of_a_live_peer_is_not_dialled() -> None:
    r = rounds([PEER])
    r.hinted(THERE, 0)
    assert not asked_at(r, 0)


def test_my_own_address_is_not_dialled_twice() -> None:
    r = rounds()
    r.hinted(THERE, 0)
    (asked,) = asked_at(r, 0)
    r.answered(asked, ME, 0)
    for now in range(1, 200):
        r.hinted(THERE, now)
        assert not [p for p in asked_at(r, now) if p.id is None]


def test_news_are_fetched_soon_but_not_in_a_burst() -> None:
    r = rounds([PEER])
    r.news_at(ANN, 0.0)
    assert asked_at(r, 0.0) == [PEER]
    r.answered(PEER, ANN, 0.01)
    r.news_at(ANN, 0.02)
    assert not asked_at(r, 0.02)
    assert asked_at(r, 0.3) == [PEER]


def test_lost_nodes_are_tried_again_and_again() -> None:
    r, tries, now = rounds(lost=[PEER]), 0, 0.0
    while now < 86_400:
        now = max(now + 0.01, r.wake_at)
        for peer in asked_at(r, now):
            tries += 1
            r.failed(peer, now)
    assert 2000 < tries < 4000


def test_regular_rounds_reach_everybody_in_time() -> None:
    r, seen, now = rounds(others(5)), set(), 0.0
    while now < 600:
        now = max(now + 0.01, r.wake_at)
        for peer in asked_at(r, now):
            assert peer.id
            seen.add(peer.id)
            r.answered(peer, peer.id, now)
    assert len(seen) == 5


def test_hints_are_bounded() -> None:
    r = rounds()
    for i in range(5000):
        r.hinted(Address("h", i % 60000 + 1), 0)
    started = 0
    while batch := asked_at(r, 0):
        started += len(batch)
        for peer in batch:
            r.failed(peer, 0)
    assert started <= 1000


def test_news_that_have_come_otherwise_are_not_asked_for() -> None:
    r = rounds([PEER])
    r.news_at(ANN, 0.0)
    assert not asked_at(r, 1.0, lambda _node: Need.NOTHING)
    assert not asked_at(r, 2.0)


def test_who_has_which_blocks_is_asked_for_alone() -> None:
    r = rounds([PEER])
    r.news_at(ANN, 0.0)
    assert r.due(0.0, holdings) == [Turn(PEER, only_holdings=True)]


def asked_within(seconds: float, peers: list[Peer], need_of: Callable[[NodeId], Need], **kind: bool) -> list[float]:
    """When peers are asked that all have news at once."""
    r, now, times = rounds(peers), 0.0, []
    for peer in peers:
        r.news_at(peer.id or b"", now, **kind)
    news = {peer.id for peer in peers}
    while (now := max(now + 0.001, r.wake_at)) < seconds:
        for peer in asked_at(r, now, lambda node: need_of(node) if node in news else Need.NOTHING):
            assert peer.id
            news.discard(peer.id)
            times.append(now)
            r.answered(peer, peer.id, now)
    return times


def test_in_a_large_cluster_news_are_spread_and_all_asked_for_in_time() -> None:
    urgent = asked_within(30, others(200), holdings)
    assert len(urgent) >= 200
    assert max(urgent[:200]) <= 11
    assert max(sum(1 for at in urgent if second <= at < second + 1) for second in range(12)) < 60


def test_patient_news_wait_longer_but_not_for_ever() -> None:
    patient = asked_within(40, others(200), holdings, is_urgent=False)
    assert len(patient) >= 200
    assert sum(1 for at in patient if at < 10) < 120


def test_exchanges_of_everything_are_rare_in_a_large_cluster() -> None:
    times = asked_within(16, others(200), everything)
    assert 10 < len(times) <= 16 / 0.8 + 8


def test_what_may_wait_is_hurried_when_it_is_needed() -> None:
    r = rounds(others(100))
    for peer in others(100):
        r.news_at(peer.id or b"", 0.0, is_urgent=False)
    r.hurry(0.0)
    asked, now = 0, 0.0
    while now < 5.1:
        now = max(now + 0.001, r.wake_at)
        for peer in asked_at(r, now, holdings):
            asked += 1
            r.answered(peer, peer.id or b"", now)
    assert asked >= 100


def test_news_of_a_node_that_is_being_asked_are_asked_for_afterwards() -> None:
    r = rounds([PEER])
    r.news_at(ANN, 0.0)
    assert asked_at(r, 0.0) == [PEER]
    r.news_at(ANN, 0.1)
    assert not asked_at(r, 1.0)
    r.answered(PEER, ANN, 1.0)
    assert asked_at(r, 1.3) == [PEER]


def test_every_lost_node_of_a_dozen_is_tried_within_two_rounds() -> None:
    lost = others(12)
    r, tried, now = rounds(lost=lost), [], 0.0
    while (now := max(now + 0.01, r.wake_at)) < 40:
        for peer in asked_at(r, now):
            tried.append(peer)
            r.failed(peer, now)
    assert len(tried) == 12
    assert set(tried) == set(lost)


def test_an_address_that_does_not_answer_is_tried_again_in_seconds_and_then_forgotten() -> None:
    """Whoever starts together with its only known peer must not wait for the next report."""
    r = rounds()
    r.hinted(THERE, 0)
    tried = []
    for tenth in range(600):
        now = tenth / 10
        for asked in asked_at(r, now):
            tried.append(now)
            r.failed(asked, now)
    assert tried == [0, 1, 3, 7, 15]
    r.hinted(THERE, 60)
    assert asked_at(r, 60) != []


def test_a_report_brings_the_next_try_forward() -> None:
    r = rounds()
    r.hinted(THERE, 0)
    for now in (0, 1, 3):
        r.failed(asked_at(r, now)[0], now)
    assert asked_at(r, 4) == []
    r.hinted(THERE, 4)
    assert len(asked_at(r, 4)) == 1
