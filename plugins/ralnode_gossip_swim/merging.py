"""Merges a peer's table. What it says of third parties is hearsay: its dead are only suspects here, for they may refute."""

from __future__ import annotations

from collections.abc import Sequence

from ralnode.api import Liveness, NodeId
from ralnode_gossip_swim.exchange import Row
from ralnode_gossip_swim.membership import Membership, is_specified
from ralnode_gossip_swim.options import VERIFIES_PER_EXCHANGE_MAX, SwimOptions
from ralnode_gossip_swim.packets import PREFIX_BYTES, Accusation


class Merger:
    """Signatures are checked for news only, and for a bounded number of rows per table."""

    def __init__(self, options: SwimOptions, membership: Membership) -> None:
        self._options = options
        self._membership = membership
        self._verifies_left = 0

    def merge(self, rows: Sequence[Row], sender: NodeId, host: str, now: float) -> int | None:
        """`host`: where the sender was reached. Returns the boot number of somebody who uses this node's key, if any."""
        self._verifies_left = VERIFIES_PER_EXCHANGE_MAX
        rival_boot = None
        for row in rows:
            if row.claim.id == self._membership.myself.id:
                rival_boot = self._merge_mine(row) or rival_boot
            else:
                self._merge_other(row, sender, host, now)
                if row is rows[0]:
                    self._meet(sender, host, now)
        return rival_boot

    def _merge_mine(self, row: Row) -> int | None:
        """What the peer believes of this node."""
        mine = self._membership.myself
        if row.left is not None and row.leaving is not None and mine.is_clone(row.leaving.stamp, row.left):
            return row.leaving.stamp[0]
        if mine.is_clone(row.claim.stamp, row.signed):
            return row.claim.stamp[0]
        if row.state in (Liveness.SUSPECT, Liveness.DEAD):
            mine.refute(row.claim.stamp)
        return None

    def _meet(self, sender: NodeId, host: str, now: float) -> None:
        entry = self._membership.roster.get(sender)
        if entry is not None:
            self._membership.met(entry, host, now)

    def _merge_other(self, row: Row, sender: NodeId, host: str, now: float) -> None:
        entry = self._membership.roster.get(row.claim.id)
        if entry is None or row.claim.stamp > entry.stamp:
            if not self._may_verify():
                return
            is_lost = row.state in (Liveness.DEAD, Liveness.LEFT) and (entry is None or not entry.is_live)
            if is_lost:
                self._merge_lost(row, now)
            else:
                self._membership.hear_alive(row.signed, row.host, sender, host, now)
        if row.left is not None:
            if self._may_verify():
                self._membership.hear_left(row.left, now)
        elif row.state is not Liveness.ALIVE:
            subject, accuser = row.claim.id[:PREFIX_BYTES], sender[:PREFIX_BYTES]
            self._membership.hear_accusation(Accusation(False, subject, row.claim.stamp, accuser), now)

    def _merge_lost(self, row: Row, now: float) -> None:
        """Keeps the age, else two nodes would remind each other of the dead for ever."""
        if row.age_seconds < self._options.dead_kept_seconds:
            host = row.claim.host if is_specified(row.claim.host) else row.host
            self._membership.learn_dead(row.signed, row.claim, host, now - row.age_seconds)

    def _may_verify(self) -> bool:
        if self._verifies_left == 0:
            self._membership.counters["rows_deferred"] += 1
            return False
        self._verifies_left -= 1
        return True
