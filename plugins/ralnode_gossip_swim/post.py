"""Puts packets together: the message, claims that its receiver must hear first, then as many rumours as fit; and seals them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ralnode.api import Address, GossipOutput, NodeId, SendDatagram, Versions
from ralnode_gossip_swim import packets
from ralnode_gossip_swim.options import RUMOURS_PER_PACKET_MAX, SwimOptions
from ralnode_gossip_swim.packets import PREFIX_BYTES, RUMOURS_HEAD_BYTES
from ralnode_gossip_swim.roster import Roster
from ralnode_gossip_swim.rumours import RumourQueue
from ralnode_gossip_swim.sealing import BODY_BYTES_MAX, Sealer


class Post:
    """Two queues share a packet: membership has the first call, but leaves a third to versions when both wait.

    Otherwise a mass join would keep versions from spreading for minutes (memberlist issue 299).
    """

    def __init__(
        self,
        sealer: Sealer,
        options: SwimOptions,
        roster: Roster,
        rumours: RumourQueue,
        counters: Counter[str],
        out: list[GossipOutput],
    ) -> None:
        self.versions = RumourQueue()
        self._sealer = sealer
        self._multiplier = options.retransmit_multiplier
        self._roster = roster
        self._rumours = rumours
        self._counters = counters
        self._out = out

    def send(self, address: Address, head: bytes, first: Sequence[bytes] = ()) -> None:
        """`head` is begun by one of the functions of packets.py."""
        room = BODY_BYTES_MAX - len(head) - RUMOURS_HEAD_BYTES - sum(map(len, first))
        body = packets.with_rumours(head, [*first, *self._pick(room, RUMOURS_PER_PACKET_MAX - len(first))])
        self._counters["packets_sent"] += 1
        self._out.append(SendDatagram(address, self._sealer.seal(body)))

    def spread_versions(self, author: NodeId, versions: Versions) -> None:
        """Newest wins: an older rumour about this author is gone."""
        known = self._roster.get(author) is not None
        self.versions.put(author, packets.versions_rumour(author[:PREFIX_BYTES] if known else author, versions))

    def versions_echoed(self, author: NodeId) -> None:
        """A peer told us what we are telling. In a large cluster that spares half of the traffic."""
        if self._roster.retransmit_scale > 2:
            self.versions.echoed(author, self._limit)

    @property
    def is_waiting(self) -> bool:
        return bool(len(self._rumours) or len(self.versions))

    @property
    def _limit(self) -> int:
        return self._multiplier * self._roster.retransmit_scale

    def _pick(self, room: int, count_max: int) -> list[bytes]:
        if not self.is_waiting:
            return []
        limit = self._limit
        share = room * 2 // 3 if len(self.versions) else room
        chosen = self._rumours.take(share, limit, count_max)
        room -= sum(map(len, chosen))
        return chosen + self.versions.take(room, limit, count_max - len(chosen))
