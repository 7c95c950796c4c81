"""Who is there, in seconds: members as gossip reports them, where to reach them, and what would be lost with them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ralnode.api import Address, Instant, Liveness, Member, NodeId, NodeInfo, Peer, Source
from ralnode.core.catalogue import Catalogue
from ralnode.core.holdings import Holdings

LIVE: Final = (Liveness.ALIVE, Liveness.SUSPECT)


class Membership:
    """Follows `MemberChanged`; nodes known only from the catalogue count as dead until heard of."""

    def __init__(self, me: NodeId, catalogue: Catalogue, holdings: Holdings) -> None:
        self.me = me
        self._catalogue = catalogue
        self._holdings = holdings
        self._members: dict[NodeId, Member] = {}
        self._heard_at: dict[NodeId, float] = {}
        self._at_risk: tuple[object, dict[NodeId, bool]] = (None, {})
        self._generation = 0
        """Grows with every change of who is live."""
        self._live: list[NodeId] | None = None
        self._live_others: list[NodeId] | None = None
        self._live_peers: list[Peer] | None = None
        self._peers: dict[NodeId, tuple[Member | None, NodeInfo | None, Peer]] = {}
        """Made from these; asked for on every event."""

    def changed(self, member: Member, now: Instant) -> Liveness | None:
        """Notes the news; returns what the node was before (None: unknown until now)."""
        before = self._members.get(member.id)
        self._members[member.id] = member
        self._live_peers = None
        if before is None or before.liveness is not member.liveness:
            self._live = self._live_others = None
            self._generation += 1
        if member.liveness is not Liveness.DEAD:
            self._heard_at[member.id] = now.seconds
        return before.liveness if before else None

    def all(self) -> list[Member]:
        return list(self._members.values())

    def liveness(self, node: NodeId) -> Liveness:
        if node == self.me:
            return Liveness.ALIVE
        return self._members[node].liveness if node in self._members else Liveness.DEAD

    def silent_seconds(self, node: NodeId, now: Instant) -> float:
        """Since the last good news of it."""
        if self.liveness(node) is Liveness.ALIVE:
            return 0.0
        return now.seconds - self._heard_at.get(node, now.seconds)

    def records_changed(self) -> None:
        """Nodes say something new of themselves, perhaps other addresses."""
        self._live_peers = None

    def is_live(self, node: NodeId) -> bool:
        """Whether it is another node, believed alive or merely suspected."""
        return node in self._members and node != self.me and self._members[node].liveness in LIVE

    def live(self) -> Sequence[NodeId]:
        """This node and the peers believed alive or merely suspected, sorted."""
        if self._live is None:
            self._live = sorted([self.me, *(m.id for m in self._members.values() if m.liveness in LIVE)])
        return self._live

    def live_others(self) -> Sequence[NodeId]:
        if self._live_others is None:
            self._live_others = [node for node in self.live() if node != self.me]
        return self._live_others

    def live_peers(self) -> Sequence[Peer]:
        if self._live_peers is None:
            self._live_peers = [self.peer(node) for node in self.live_others()]
        return self._live_peers

    def lost_peers(self) -> list[Peer]:
        """Known, not alive, with an address to try. Those that left for good too: should one have been started again, it
        may know nobody any more that is still there."""
        known = {info.id for info in self._catalogue.node_infos()} | set(self._members)
        lost = [node for node in sorted(known) if node != self.me and not self.is_live(node)]
        return [peer for peer in map(self.peer, lost) if peer.addresses]

    def peer(self, node: NodeId) -> Peer:
        """With every address known of that node, the one membership uses first."""
        member, info = self._members.get(node), self._catalogue.node_info(node)
        known = self._peers.get(node)
        if known is None or known[0] is not member or known[1] is not info:
            known = self._peers[node] = (member, info, _peer(node, member, info))
        return known[2]

    def only_copy_at_risk(self, node: NodeId) -> bool:
        """Whether a block that this dead node owned has at most one live copy left."""
        stamp = (self._holdings.generation, self._generation)
        if self._at_risk[0] != stamp:
            self._at_risk = (stamp, {})
        known = self._at_risk[1]
        if node not in known:
            known[node] = any(self._is_short_without(source, node) for source in self._catalogue.sources())
        return known[node]

    def _is_short_without(self, source: Source, node: NodeId) -> bool:
        owned = self._holdings.of(node, source.root).owned
        if not owned:
            return False
        none, one, _more = self._holdings.copies(source, self.live(), 2)
        return bool(owned & (none | one))


def _peer(node: NodeId, member: Member | None, info: NodeInfo | None) -> Peer:
    addresses = [Address(member.address.host, member.transport_port)] if member else []
    addresses += [address for address in (info.addresses if info else ()) if address not in addresses]
    return Peer(node, tuple(addresses))
