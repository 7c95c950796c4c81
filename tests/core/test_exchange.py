"""Two nodes tell each other what they have, in as few and as short messages as it takes."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from ralnode.api import Address, BlockSet, GossipOutput, Holding, Instant, NodeId, NodeInfo, Peer, Source
from ralnode.core.catalogue import Catalogue
from ralnode.core.exchange import Exchange, News
from ralnode.core.holdings import Holdings
from ralnode.core.rounds import Need, RoundOptions, Rounds
from ralnode.core.sync import decode_sync
from ralnode.testing.fake_identity import FakeIdentity

FILM = Source(bytes.fromhex("01551220") + b"f" * 32, "film", 1000, 10, 1000, 1, 50)
NOW = Instant(100.0, 1_700_000_000_000)
SOMEWHERE = Address("10.0.0.9", 9)


class NoGossip:
    def exchange(self) -> bytes:
        return b""

    def exchange_received(self, data: bytes, sender: NodeId, seen_at: Address, now: Instant) -> list[GossipOutput]:
        return []


class Side:
    """One node, as far as exchanges go. It knows only its peer."""

    def __init__(self, name: str, first_version: int = 1) -> None:
        self.identity = FakeIdentity(name)
        self.id = self.identity.id
        self.peer = Peer(self.id, (Address("10.0.0.1", 10090),))
        self.others: list[Peer] = []
        self.catalogue = Catalogue(self.id, self.identity)
        self.catalogue.put_node(NodeInfo(self.id, name, 1000), NOW)
        self.holdings = Holdings(self.id)
        self.holdings.start(first_version)
        self.rounds = Rounds(self.id, self, RoundOptions(1e9, 1e9), Random(1))
        self.exchange = Exchange(self.id, NoGossip(), self.catalogue, self.holdings, self.rounds)  # type: ignore[arg-type]
        self.sent: list[bytes] = []

    def live_others(self) -> Sequence[NodeId]:
        return [peer.id for peer in self.others if peer.id]

    def is_live(self, node: NodeId) -> bool:
        return node in self.live_others()

    def peer_of(self, node: NodeId) -> Peer:
        return next(peer for peer in self.others if peer.id == node)

    def live_peers(self) -> Sequence[Peer]:
        return self.others

    def lost_peers(self) -> Sequence[Peer]:
        return []

    def owns(self, *blocks: int) -> None:
        self.holdings.set_mine(FILM.root, Holding(True, BlockSet.of(blocks)))

    def take(self, data: bytes, sender: Side) -> News:
        return self.exchange.take(data, sender.id, SOMEWHERE, NOW)


class Roster:
    """`Side` has a peer of its own; what Rounds asks for is this."""

    def __init__(self, side: Side) -> None:
        self.live_others, self.is_live, self.peer = side.live_others, side.is_live, side.peer_of
        self.live_peers, self.lost_peers = side.live_peers, side.lost_peers


def meet(one: Side, other: Side) -> None:
    for side, peer in ((one, other), (other, one)):
        side.others = [peer.peer]
        side.rounds._roster = Roster(side)
    one.catalogue.put_source(FILM, NOW)
    talk(one, other, only_holdings=False)


def talk(asker: Side, other: Side, *, only_holdings: bool) -> list[int]:
    """A request, its answer, and what is pushed after it; the lengths of all messages."""
    requests, lengths = [asker.exchange._request(other.peer, only_holdings)], []
    while requests:
        request = requests.pop()
        news = other.take(request.body, asker)
        answer = other.exchange.answer(news.body, asker.id)
        back = asker.take(answer, other)
        asker.rounds.answered(other.peer, other.id, NOW.seconds)
        requests += asker.exchange.push(back.body, other.peer, other.id)
        lengths += [len(request.body), len(answer)]
    return lengths


def test_who_has_which_blocks_is_settled_for_both_by_one_exchange_of_few_bytes() -> None:
    ann, bob = Side("ann"), Side("bob")
    meet(ann, bob)
    ann.owns(1, 2)
    bob.owns(3)
    lengths = talk(ann, bob, only_holdings=True)
    assert len(lengths) == 2
    assert max(lengths) < 120
    assert set(bob.holdings.of(ann.id, FILM.root).owned) == {1, 2}
    assert set(ann.holdings.of(bob.id, FILM.root).owned) == {3}
    assert ann.exchange.need_of(bob.id) is bob.exchange.need_of(ann.id) is Need.NOTHING


def test_the_peer_is_asked_for_what_a_message_only_mentions() -> None:
    """One that does not know how far the other knows it can only say how far it has got."""
    ann, bob = Side("ann"), Side("bob")
    meet(ann, bob)
    ann.owns(1)
    ann.exchange._told.clear()
    request = ann.exchange._request(bob.peer, only_holdings=True)
    assert decode_sync(request.body).holdings is None
    bob.take(request.body, ann)
    assert bob.exchange.need_of(ann.id) is Need.HOLDINGS
    talk(bob, ann, only_holdings=True)
    assert set(bob.holdings.of(ann.id, FILM.root).owned) == {1}


def test_new_records_are_noticed_in_a_message_with_holdings_alone() -> None:
    ann, bob = Side("ann"), Side("bob")
    meet(ann, bob)
    ann.catalogue.remove_source(FILM.root, NOW)
    bob.take(ann.exchange._request(bob.peer, only_holdings=True).body, ann)
    assert bob.exchange.need_of(ann.id) is Need.EVERYTHING
    talk(bob, ann, only_holdings=False)
    assert bob.catalogue.is_removed(FILM.root)


def test_what_a_lost_disk_had_is_taken_back_everywhere() -> None:
    """The node itself has nothing to tell, until somebody mentions what it had."""
    ann, bob, cat = Side("ann"), Side("bob"), Side("cat")
    meet(ann, bob)
    meet(ann, cat)
    ann.owns(1, 2)
    for other in (bob, cat):
        talk(other, ann, only_holdings=True)
    again = Side("ann", first_version=1000)
    assert again.exchange.versions().holdings == 0
    again.others = [bob.peer]
    again.rounds._roster = Roster(again)
    assert again.take(bob.exchange._request(again.peer).body, bob).is_remembered
    assert again.exchange.versions().holdings == 1000
    talk(bob, again, only_holdings=False)
    assert not bob.holdings.of(ann.id, FILM.root).owned
    talk(cat, bob, only_holdings=False)
    assert cat.exchange.need_of(again.id) is not Need.NOTHING


def test_news_heard_of_a_node_before_it_is_known_to_live_are_kept() -> None:
    ann, bob = Side("ann"), Side("bob")
    meet(ann, bob)
    bob.owns(3)
    ann.others = []
    ann.exchange.heard(bob.id, bob.exchange.versions(), NOW)
    assert ann.rounds.due(200.0, ann.exchange.need_of) == []
    ann.others = [bob.peer]
    ann.rounds.news_at(bob.id, 200.0)
    (turn,) = ann.rounds.due(200.0, ann.exchange.need_of)
    assert turn.only_holdings
