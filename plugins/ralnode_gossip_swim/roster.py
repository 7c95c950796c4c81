"""The table of nodes: look-ups, the list of the living for random picks, and the order of probing. It knows no protocol rule."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from hashlib import blake2b
from math import ceil, inf, log10
from random import Random

from ralnode.api import Address, Liveness, Member, NodeId
from ralnode_gossip_swim.packets import PREFIX_BYTES
from ralnode_gossip_swim.records import Alive, Signed, Stamp
from ralnode_gossip_swim.suspicion import Suspicion


@dataclass(slots=True)
class Entry:
    """One other node. Changed by membership.py only."""

    signed: Signed
    claim: Alive
    stamp: Stamp
    """Of the claim, or of the later record by which it left."""
    host: str
    """Where to reach it: as announced, or as seen when it announced none."""
    liveness: Liveness
    since: float
    """Monotonic seconds of the last change of `liveness`."""
    heard_at: float = -inf
    """When the last packet of its own came, or table."""
    left: Signed | None = None
    suspicion: Suspicion | None = None
    disputed: bool = False
    """Others hold it for dead in this incarnation although we have met it."""
    member: Member | None = None
    """As last published."""
    live_at: int = -1
    """Place in the list of the living."""
    mark: int = 0
    """Its part of the fingerprint."""

    @property
    def id(self) -> NodeId:
        return self.claim.id

    @property
    def address(self) -> Address:
        return Address(self.host, self.claim.port)

    @property
    def is_live(self) -> bool:
        return self.liveness is Liveness.ALIVE or self.liveness is Liveness.SUSPECT


class Roster:
    """Everything here costs the same for ten nodes and for ten thousand."""

    def __init__(self, rng: Random) -> None:
        self.fingerprint = 0
        """Equal for equal sets of (id, stamp) of the living, in whatever order they became known."""
        self._rng = rng
        self._entries: dict[NodeId, Entry] = {}
        self._by_prefix: dict[bytes, Entry] = {}
        self._by_record: dict[bytes, Entry] = {}
        self._live: list[Entry] = []
        self._order: list[Entry] = []
        self._next = 0

    def __len__(self) -> int:
        return len(self._entries)

    def entries(self) -> Collection[Entry]:
        """In the order in which they became known."""
        return self._entries.values()

    def get(self, node: NodeId) -> Entry | None:
        return self._entries.get(node)

    def by_prefix(self, prefix: bytes) -> Entry | None:
        return self._by_prefix.get(prefix)

    def by_record(self, record: bytes) -> Entry | None:
        """Whose present `alive` record these very bytes are: most rumours are old news, and this is the quick way to tell."""
        return self._by_record.get(record)

    def add(self, entry: Entry) -> None:
        self._entries[entry.id] = entry
        self._by_prefix[entry.id[:PREFIX_BYTES]] = entry
        self._by_record[entry.signed.record] = entry

    def replace_record(self, entry: Entry, signed: Signed, claim: Alive) -> None:
        self._by_record.pop(entry.signed.record, None)
        entry.signed, entry.claim = signed, claim
        self._by_record[signed.record] = entry

    def remark(self, entry: Entry) -> None:
        """To be called after a change of its stamp or liveness."""
        self.fingerprint ^= entry.mark
        entry.mark = mark_of(entry.id, entry.stamp) if entry.is_live else 0
        self.fingerprint ^= entry.mark

    def remove(self, entry: Entry) -> None:
        """Only of one that is not live."""
        self._by_record.pop(entry.signed.record, None)
        self._by_prefix.pop(entry.id[:PREFIX_BYTES], None)
        self._entries.pop(entry.id, None)

    # --- the living

    @property
    def live_count(self) -> int:
        return len(self._live)

    @property
    def retransmit_scale(self) -> int:
        """ceil(log10(N + 1)), N with this node."""
        return ceil(log10(len(self._live) + 2))

    def set_live(self, entry: Entry, *, live: bool) -> None:
        if live == (entry.live_at >= 0):
            return
        if live:
            entry.live_at = len(self._live)
            self._live.append(entry)
            self._insert_in_order(entry)
        else:
            last = self._live.pop()
            if last is not entry:
                self._live[entry.live_at] = last
                last.live_at = entry.live_at
            entry.live_at = -1

    def sample(self, count: int) -> list[Entry]:
        """Different living nodes by chance."""
        return self._rng.sample(self._live, min(count, len(self._live)))

    def helpers(self, count: int, besides: Entry) -> list[Entry]:
        """Nodes that are alive and not even suspect, by chance."""
        picked = self.sample(3 * count + 1)
        return [entry for entry in picked if entry is not besides and entry.liveness is Liveness.ALIVE][:count]

    # --- the order of probing: every living node once per cycle, each cycle in a new order

    def next_to_probe(self) -> Entry | None:
        """Within 2 N - 1 calls every living node comes up at least once."""
        while self._next < len(self._order):
            entry = self._order[self._next]
            self._next += 1
            if entry.live_at >= 0:
                return entry
        if not self._live:
            return None
        self._order = self._rng.sample(self._live, len(self._live))
        self._next = 1
        return self._order[0]

    def _insert_in_order(self, entry: Entry) -> None:
        """At a random place among those still to come in this cycle. Flapping nodes must not make the list grow."""
        if len(self._order) > 2 * len(self._live) + 16:
            self._order = [left for left in self._order[self._next :] if left.live_at >= 0 and left is not entry]
            self._next = 0
        self._order.append(entry)
        place = self._rng.randrange(self._next, len(self._order))
        self._order[place], self._order[-1] = self._order[-1], self._order[place]


def mark_of(node: NodeId, stamp: Stamp) -> int:
    """64 bits. A collision only delays an exchange of tables."""
    said = node + stamp[0].to_bytes(8, "big") + stamp[1].to_bytes(4, "big")
    return int.from_bytes(blake2b(said, digest_size=8).digest(), "big")
