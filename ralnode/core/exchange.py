"""Exchange of state between two nodes: digests, the records that one lacks, membership and holdings, in two messages.

A request carries what I know; the answer what I lack, and what the other knows. If that shows that the other lacks
something, one more request carries it. Pure: bodies in, bodies out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from ralnode.api import Address, Gossip, GossipOutput, Instant, NodeId, Peer, PeerError, Versions, limits
from ralnode.core.catalogue import Catalogue
from ralnode.core.deltas import Delta
from ralnode.core.events import SyncWith
from ralnode.core.holdings import Holdings
from ralnode.core.rounds import Rounds
from ralnode.core.sync import SyncBody, decode_sync, encode_sync
from ralnode.core.updates import Merged

_DELTA_BYTES: Final = 64 * limits.KIB
"""Records in one message: about 250, which take 40 ms to verify. The rest follows in further messages at once."""


@dataclass(frozen=True, slots=True)
class News:
    """What one message from a peer brought."""

    gossip: Sequence[GossipOutput]
    merged: Merged
    body: SyncBody


class Exchange:
    """Builds and takes sync bodies; knows with whom a second message is under way."""

    def __init__(self, me: NodeId, gossip: Gossip, catalogue: Catalogue, holdings: Holdings, rounds: Rounds) -> None:
        self.me = me
        self._gossip = gossip
        self._catalogue = catalogue
        self._holdings = holdings
        self._rounds = rounds
        self._pushing: set[NodeId] = set()
        self._heard: dict[NodeId, Versions] = {}
        self._has_more: set[NodeId] = set()
        """Peers whose last answer was cut."""

    def heard(self, node: NodeId, versions: Versions) -> None:
        """Somebody says that this node's state has got so far."""
        before = self._heard.get(node, Versions(0, 0))
        self._heard[node] = Versions(max(before.records, versions.records), max(before.holdings, versions.holdings))

    def is_news(self, node: NodeId) -> bool:
        """Whether an exchange with this node would bring what we have heard of, or we do not know."""
        heard = self._heard.get(node)
        if heard is None or node in self._has_more:
            self._has_more.discard(node)
            return True
        return heard.records > self._catalogue.version(node) or heard.holdings > self._holdings.known_version(node)

    def versions(self) -> Versions:
        return Versions(self._catalogue.version(self.me), self._holdings.version)

    def request(self, peer: Peer, push: Sequence[Delta] = ()) -> SyncWith:
        return SyncWith(peer, encode_sync(self._body(peer.id, push)))

    def take(self, data: bytes, peer: NodeId, seen_at: Address, now: Instant) -> News:
        """Merges everything a message brought. Raises PeerError if it is malformed; what came before the fault stays
        merged, which does no harm since each part is merged whole or not at all."""
        try:
            body = decode_sync(data)
        except ValueError as error:
            raise PeerError(f"the exchange is malformed: {error}") from error
        outputs = self._gossip.exchange_received(body.gossip, peer, seen_at, now)
        merged = self._catalogue.merge(peer, body.deltas, now)
        if body.holdings is not None:
            self._holdings.merge(peer, body.holdings, self._catalogue.source)
        if body.my_versions.holdings != self._holdings.known_version(peer) or merged.more:
            self._has_more.add(peer)
            self._rounds.news_at(peer, now.seconds)
        for node, version in body.heard_holdings.items():
            if version > self._holdings.known_version(node):
                self.heard(node, Versions(0, version))
                self._rounds.news_at(node, now.seconds)
        return News(outputs, merged, body)

    def answer(self, body: SyncBody, peer: NodeId) -> bytes:
        delta = self._catalogue.delta(peer, body.digest, _DELTA_BYTES)
        holdings = self._holdings.delta(body.holdings_since, self._catalogue.source)
        return encode_sync(replace(self._body(peer, delta), holdings=holdings))

    def push(self, body: SyncBody, asked: Peer, peer: NodeId) -> list[SyncWith]:
        """If the answer shows that the peer lacks records that we have: one more message with them."""
        if peer in self._pushing:
            self._pushing.discard(peer)
            return []
        lacking = self._catalogue.delta(peer, body.digest, _DELTA_BYTES)
        if not lacking:
            return []
        self._pushing.add(peer)
        again = replace(asked, id=peer)
        self._rounds.repeat(again)
        return [self.request(again, lacking)]

    def failed(self, asked: Peer, now: Instant) -> None:
        self._rounds.failed(asked, now.seconds)
        if asked.id is not None:
            self._pushing.discard(asked.id)

    def _body(self, peer: NodeId | None, deltas: Sequence[Delta]) -> SyncBody:
        return SyncBody(
            digest=self._catalogue.digest(peer),
            deltas=tuple(deltas),
            gossip=self._gossip.exchange(),
            holdings_since=self._holdings.known_version(peer) if peer is not None else 0,
            my_versions=self.versions(),
            heard_holdings=self._holdings.known_versions(),
        )
