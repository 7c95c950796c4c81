"""Exchange of state between two nodes: digests, the records that one lacks, membership and holdings, in two messages.

Most news are about who has which blocks; those travel alone, in messages of a few bytes. Otherwise a request carries what I know; the answer what I lack, and what the other knows. If that shows that the other lacks
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
from ralnode.core.rounds import Need, Rounds
from ralnode.core.sync import NO_VERSIONS, SyncBody, decode_sync, encode_sync
from ralnode.core.updates import Merged

_DELTA_BYTES: Final = 64 * limits.KIB
"""Records in one message: about 250, which take 40 ms to verify. The rest follows in further messages at once."""


_FIRST_RECORD: Final = Versions(1, 0)
"""What is expected of a node of which nothing was heard yet."""


@dataclass(frozen=True, slots=True)
class News:
    """What one message from a peer brought."""

    gossip: Sequence[GossipOutput]
    merged: Merged
    body: SyncBody
    has_holdings: bool
    """Somebody's holdings are others now."""
    is_remembered: bool
    """The peer knows holdings of an earlier run of this node, which must be told otherwise."""


class Exchange:
    """Builds and takes sync bodies; knows what is to be had of whom, and with whom a second message is under way."""

    def __init__(self, me: NodeId, gossip: Gossip, catalogue: Catalogue, holdings: Holdings, rounds: Rounds) -> None:
        self.me = me
        self._gossip = gossip
        self._catalogue = catalogue
        self._holdings = holdings
        self._rounds = rounds
        self._needs_blocks = False
        self._pushing: set[NodeId] = set()
        self._heard: dict[NodeId, Versions] = {}
        self._told: dict[NodeId, int] = {}
        """How far each peer knew my holdings when it last said so."""
        self._has_more: set[NodeId] = set()
        """Peers that have more than they have said."""

    # --- what is to be had of whom ----------------------------------------------------------------------------------

    def heard(self, node: NodeId, versions: Versions, now: Instant) -> None:
        """Somebody says that this node's state has got so far. Who has which blocks may wait while none are needed."""
        before = self._heard.get(node, NO_VERSIONS)
        self._heard[node] = Versions(max(before.records, versions.records), max(before.holdings, versions.holdings))
        is_urgent = self._needs_blocks or versions.records > self._catalogue.version(node)
        self._rounds.news_at(node, now.seconds, is_urgent=is_urgent)

    def has_more(self, node: NodeId, now: Instant, *, at_once: bool = False) -> None:
        """An exchange of everything with this node is worth it. `at_once`: this is only the continuation of one."""
        self._has_more.add(node)
        self._rounds.news_at(node, now.seconds, at_once=at_once)

    def blocks_are_needed(self, needed: bool, now: Instant) -> None:
        """Whether something is wanted that nobody known has: then it matters at once who has what."""
        if needed and not self._needs_blocks:
            self._rounds.hurry(now.seconds)
        self._needs_blocks = needed

    def need_of(self, node: NodeId) -> Need:
        heard = self._heard.get(node, _FIRST_RECORD)
        if node in self._has_more or heard.records > self._catalogue.version(node):
            return Need.EVERYTHING
        return Need.HOLDINGS if heard.holdings > self._holdings.known_version(node) else Need.NOTHING

    # --- messages out -----------------------------------------------------------------------------------------------

    def versions(self) -> Versions:
        return Versions(self._catalogue.version(self.me), self._holdings.told_version)

    def begin(self, now: Instant) -> list[SyncWith]:
        """Requests to those whose turn it is."""
        return [self._request(*turn) for turn in self._rounds.due(now.seconds, self.need_of)]

    def _request(self, peer: Peer, only_holdings: bool = False, push: Sequence[Delta] = ()) -> SyncWith:
        if only_holdings:
            assert peer.id is not None
            body = self._holdings_body(peer.id)
        else:
            body = self._body(peer.id, push)
            if peer.id is not None:
                self._has_more.discard(peer.id)
        return SyncWith(peer, encode_sync(replace(body, holdings=self._news_for(peer.id))))

    def _news_for(self, peer: NodeId | None) -> bytes | None:
        """My holdings after those that the peer was last known to know."""
        told = self._told.get(peer) if peer is not None else None
        if told is None or told == self._holdings.told_version:
            return None
        return self._holdings.delta(told, self._catalogue.source)

    def answer(self, body: SyncBody, peer: NodeId) -> bytes:
        holdings = self._holdings.delta(body.holdings_since, self._catalogue.source)
        if body.only_holdings:
            return encode_sync(replace(self._holdings_body(peer), holdings=holdings))
        delta = self._catalogue.delta(peer, body.digest, _DELTA_BYTES)
        return encode_sync(replace(self._body(peer, delta), holdings=holdings))

    def push(self, body: SyncBody, asked: Peer, peer: NodeId) -> list[SyncWith]:
        """If the answer shows that the peer lacks records that we have: one more message with them."""
        if body.only_holdings:
            return []
        if peer in self._pushing:
            self._pushing.discard(peer)
            return []
        lacking = self._catalogue.delta(peer, body.digest, _DELTA_BYTES)
        if not lacking:
            return []
        self._pushing.add(peer)
        again = replace(asked, id=peer)
        self._rounds.repeat(again)
        return [self._request(again, push=lacking)]

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

    def _holdings_body(self, peer: NodeId) -> SyncBody:
        known = self._holdings.known_version(peer)
        return SyncBody(only_holdings=True, holdings_since=known, my_versions=self.versions())

    # --- messages in ------------------------------------------------------------------------------------------------

    def take(self, data: bytes, peer: NodeId, seen_at: Address, now: Instant) -> News:
        """Merges everything a message brought. Raises PeerError if it is malformed; what came before the fault stays
        merged, which does no harm since each part is merged whole or not at all."""
        try:
            body = decode_sync(data, lambda: self._catalogue.digest(peer), self._holdings.known_versions)
        except ValueError as error:
            raise PeerError(f"the exchange is malformed: {error}") from error
        before = self._holdings.generation
        outputs: Sequence[GossipOutput] = ()
        if not body.only_holdings:
            outputs = self._gossip.exchange_received(body.gossip, peer, seen_at, now)
        merged = self._catalogue.merge(peer, body.deltas, now)
        if body.holdings is not None:
            self._holdings.merge(peer, body.holdings, self._catalogue.source)
        self._told[peer] = body.holdings_since
        is_remembered = self._holdings.remembered(body.holdings_since)
        self._note_what_is_left(peer, body, merged, now)
        return News(outputs, merged, body, self._holdings.generation != before, is_remembered)

    def _note_what_is_left(self, peer: NodeId, body: SyncBody, merged: Merged, now: Instant) -> None:
        """What this message says of news that it does not contain."""
        known, theirs = self._holdings.known_version(peer), body.my_versions
        if merged.more:
            self.has_more(peer, now, at_once=True)
        elif 0 < theirs.holdings < known:  # its clock has gone back
            self.has_more(peer, now)
        if theirs.holdings > known or (body.only_holdings and theirs.records > self._catalogue.version(peer)):
            self.heard(peer, theirs if body.only_holdings else Versions(0, theirs.holdings), now)
        for node, version in body.heard_holdings.items():
            if node != self.me and version > self._holdings.known_version(node):
                self.heard(node, Versions(0, version), now)
