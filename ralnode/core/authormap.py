"""All that is known of one author: its newest record per key, and how far that knowledge goes.

Why merging in any order ends in the same state: an author numbers its records, so per key the highest number wins,
and a record disappears only by a higher number for its key or, for a tombstone, by the author's signed `gc_seq`.
Nothing here verifies signatures or knows what a source is.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final

from ralnode.api.model import NodeId
from ralnode.core.deltas import Delta, DigestEntry
from ralnode.core.records import NODE_KEY, NodeRecord, Signed

_FINGERPRINT_MASK: Final = (1 << 128) - 1
_STALLED_MAX: Final = 3
"""Exchanges with others during which a walk may stand still before another peer is asked."""


@dataclass(slots=True)
class Walk:
    """Reading this author from the start, from one peer: to find what was lost, or (`prune`) what was dropped."""

    peer: NodeId
    prune: bool
    gc_seq: int
    """The peer's when the walk began. An answer with another one is from another time and no part of the walk."""
    cursor: int = 0
    seen: set[int] = field(default_factory=set)
    stalled: int = 0


class AuthorMap:
    """One author's records. `known`: all live records up to this number are here. `gc_seq`: tombstones up to it are
    dropped. `unfinished`: the last delta was cut, so a comparison of fingerprints would mean nothing."""

    __slots__ = (
        "_order",
        "_tried",
        "author",
        "entries",
        "fingerprint",
        "gc_seq",
        "known",
        "top_seq",
        "unfinished",
        "walk",
    )

    def __init__(self, author: NodeId) -> None:
        self.author = author
        self.entries: dict[bytes, Signed] = {}
        self.known = 0
        self.gc_seq = 0
        self.fingerprint = 0
        self.top_seq = 0
        """The highest number held; above `known` where something between was refused."""
        self.unfinished = False
        self.walk: Walk | None = None
        self._order: list[tuple[int, bytes]] = []
        self._tried = (0, 0, False)

    # --- entries ----------------------------------------------------------------------------------------------------

    @property
    def signed_gc_seq(self) -> int:
        """The author's own word on how far its tombstones are gone."""
        entry = self.entries.get(NODE_KEY)
        return entry.record.gc_seq if entry and isinstance(entry.record, NodeRecord) else 0

    def put(self, signed: Signed) -> bool:
        """Keeps the record if it is newer than the one under its key. Two with one number: the larger bytes win."""
        old = self.entries.get(signed.key)
        if old is not None:
            if (old.seq, old.envelope) >= (signed.seq, signed.envelope):
                return False
            self.fingerprint -= _mark(old)
        self.entries[signed.key] = signed
        self.fingerprint = (self.fingerprint + _mark(signed)) & _FINGERPRINT_MASK
        self.top_seq = max(self.top_seq, signed.seq)
        place = (signed.seq, signed.key)
        if not self._order or self._order[-1] < place:
            self._order.append(place)
        else:
            insort(self._order, place)
        if len(self._order) > 64 + 2 * len(self.entries):
            self._order = [place for place in self._order if self._is_live(place)]
        return True

    def drop(self, key: bytes) -> None:
        gone = self.entries.pop(key)
        self.fingerprint = (self.fingerprint - _mark(gone)) & _FINGERPRINT_MASK
        if gone.seq == self.top_seq:
            self.top_seq = max((entry.seq for entry in self.entries.values()), default=0)

    def above(self, seq: int) -> Iterator[Signed]:
        """Records with higher numbers, oldest first. The map must not change meanwhile."""
        for index in range(bisect_right(self._order, (seq, b"\xff" * 256)), len(self._order)):
            if self._is_live(self._order[index]):
                yield self.entries[self._order[index][1]]

    def _is_live(self, place: tuple[int, bytes]) -> bool:
        entry = self.entries.get(place[1])
        return entry is not None and entry.seq == place[0]

    # --- what others may be told ------------------------------------------------------------------------------------

    @property
    def is_whole(self) -> bool:
        return not self.unfinished and self.walk is None and self.known == self.top_seq

    def digest_entry(self, peer: NodeId | None) -> DigestEntry:
        wanted = self.walk.cursor if self.walk is not None and self.walk.peer == peer else self.known
        return DigestEntry(self.known, wanted, self.gc_seq, self.fingerprint if self.is_whole else 0)

    # --- reading again from the start -------------------------------------------------------------------------------

    def is_behind(self, gc_seq: int) -> bool:
        """Whether tombstones that this map never saw have been dropped elsewhere."""
        return gc_seq > max(self.known, self.gc_seq)

    def study(self, peer: NodeId, theirs: DigestEntry) -> None:
        """Starts a walk if the peer's digest shows that one is needed; each difference is tried once,
        and once more with the author itself."""
        if self.walk is not None:
            if self.walk.peer == peer:
                if theirs.gc_seq > self.walk.gc_seq:
                    self.walk = Walk(peer, prune=True, gc_seq=theirs.gc_seq)
                return
            self.walk.stalled += 1
            if self.walk.stalled < _STALLED_MAX:
                return
            self.walk, self._tried = None, (0, 0, False)  # it was never walked to its end
        if theirs.known == self.known == self.top_seq and theirs.fingerprint:
            self.unfinished = False  # that peer is whole and knows no more
        if self.is_behind(theirs.gc_seq):
            self.walk = Walk(peer, prune=True, gc_seq=theirs.gc_seq)
        elif self._differs(theirs):
            trial = (self.fingerprint, theirs.fingerprint, peer == self.author)
            if self._tried != trial:  # the author itself may cure what others cannot
                self._tried = trial
                self.walk = Walk(peer, prune=False, gc_seq=theirs.gc_seq)

    def _differs(self, theirs: DigestEntry) -> bool:
        comparable = theirs.known == self.known and theirs.fingerprint != 0 and self.is_whole
        return comparable and theirs.fingerprint != self.fingerprint

    def walk_of(self, delta: Delta, sender: NodeId) -> Walk | None:
        """The walk that this delta is a part of."""
        walk = self.walk
        if walk is None or walk.peer != sender or delta.gc_seq != walk.gc_seq or delta.from_seq > walk.cursor:
            return None
        return walk

    def refuses_dropped(self, signed: Signed, sender: NodeId) -> bool:
        """Below `gc_seq` only the author itself may add, and only while it is read from the start: anything else may be
        what a lost tombstone had removed, or an answer of the author's that was overtaken by a later one."""
        if signed.seq > self.gc_seq:
            return False
        old = self.entries.get(signed.key)
        is_read_anew = sender == self.author and self.walk is not None and self.walk.peer == sender
        return signed.is_tombstone or (not is_read_anew and (old is None or old.seq < signed.seq))

    def advance(
        self, delta: Delta, sender: NodeId, through: int, *, all_accepted: bool, is_behind: bool
    ) -> list[bytes]:
        """Moves `known` up to `through`, if no gap lies before. Returns the keys that a finished walk has dropped."""
        whole = delta.complete and all_accepted
        walk = self.walk_of(delta, sender)
        if walk is not None and through > walk.cursor:
            walk.cursor, walk.stalled = through, 0
            self.unfinished |= walk.prune
        if walk is not None and whole and (not walk.prune or walk.cursor > self.signed_gc_seq):
            return self._finish_walk(walk, sender)
        if is_behind or delta.from_seq > self.known or (walk is not None and walk.prune):
            return []
        if walk is None and through >= self.known:  # an old delta says nothing about what came after it
            self.unfinished = not whole
        self.known = max(self.known, through)
        return self._collect(self.signed_gc_seq)

    def _finish_walk(self, walk: Walk, sender: NodeId) -> list[bytes]:
        limit = self.signed_gc_seq
        may_prune = sender == self.author or (walk.prune and self.is_behind(limit))
        self.walk, self.unfinished = None, False
        self.known = max(self.known, walk.cursor)
        gone: list[bytes] = []
        if may_prune:
            gone = [key for key, entry in self.entries.items() if entry.seq <= limit and entry.seq not in walk.seen]
            for key in gone:
                self.drop(key)
        return gone + self._collect(limit)

    def _collect(self, gc_seq: int) -> list[bytes]:
        if gc_seq <= self.gc_seq or self.is_behind(gc_seq):
            return []
        self.gc_seq = gc_seq
        gone = [key for key, entry in self.entries.items() if entry.seq <= gc_seq and entry.is_tombstone]
        for key in gone:
            self.drop(key)
        return gone

    def collect_own(self, gc_seq: int) -> list[bytes]:
        """The author itself drops its tombstones up to `gc_seq`; returns their keys."""
        return self._collect(gc_seq)


def _mark(signed: Signed) -> int:
    """What one record adds to the fingerprint; its number is part of the envelope."""
    return int.from_bytes(blake2b(signed.envelope, digest_size=16).digest(), "big")
