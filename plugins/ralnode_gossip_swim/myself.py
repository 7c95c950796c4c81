"""What this node says of itself: its signed record, refutations, its departure, and whether somebody else uses its key."""

from __future__ import annotations

from collections import Counter

from ralnode.api import Member, NodeId
from ralnode_gossip_swim import packets
from ralnode_gossip_swim.health import LocalHealth
from ralnode_gossip_swim.packets import PREFIX_BYTES
from ralnode_gossip_swim.records import Notary, Signed, Stamp
from ralnode_gossip_swim.roster import mark_of
from ralnode_gossip_swim.rumours import RumourQueue


class Myself:
    """Every change makes a later stamp and is queued as a rumour."""

    def __init__(
        self, node: NodeId, notary: Notary, rumours: RumourQueue, health: LocalHealth, counters: Counter[str]
    ) -> None:
        self.id = node
        self.prefix = node[:PREFIX_BYTES]
        self.stamp: Stamp = (0, 0)
        self.signed = Signed(b"", b"")
        self.left: Signed | None = None
        """Set once this node has left for good."""
        self._notary = notary
        self._rumours = rumours
        self._health = health
        self._counters = counters

    def begin(self, me: Member, boot: int) -> None:
        self._me = me
        self._announce((boot, 0))

    def change(self, me: Member) -> None:
        """A new name or address."""
        self._me = me
        self._announce((self.stamp[0], self.stamp[1] + 1))

    def begin_again(self, boot: int) -> None:
        """A higher boot number for the running process."""
        self._announce((boot, 0))

    def leave(self) -> bytes:
        """From now on accusations are not refuted. Returns the farewell, which is also queued."""
        self.left = self._notary.left(self.id, (self.stamp[0], self.stamp[1] + 1))
        farewell = packets.left_rumour(self.left)
        self._rumours.put(self.id, farewell)
        return farewell

    def introduction(self) -> bytes:
        """This node's record as a rumour."""
        return packets.alive_rumour(self.signed, "")

    def refute(self, stamp: Stamp) -> bytes | None:
        """Somebody thinks ill of this node's incarnation `stamp`. Returns what he should hear when that is out of date."""
        if self.left is not None:
            return None
        if stamp < self.stamp:
            return self.introduction()
        if stamp > self.stamp:
            self._counters["claims_ahead"] += 1
            return None
        self._counters["refutations"] += 1
        self._health.change(+1)
        self._announce((stamp[0], stamp[1] + 1))
        return None

    def is_clone(self, stamp: Stamp, signed: Signed) -> bool:
        """Whether this record in our name, not made by this process, comes from somebody who has our key."""
        if stamp < self.stamp or signed in (self.signed, self.left) or not self._notary.is_true(self.id, signed):
            return False
        self._counters["cloned_key"] += 1
        return True

    @property
    def mark(self) -> int:
        """This node's part of the fingerprint of the living."""
        return mark_of(self.id, self.stamp) if self.left is None else 0

    def _announce(self, stamp: Stamp) -> None:
        self.stamp, self.signed = stamp, self._notary.alive(self._me, stamp)
        self._rumours.put(self.id, self.introduction())
