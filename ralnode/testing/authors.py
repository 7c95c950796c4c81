"""`Author`: a catalogue that can be driven in one line, for tests of merging and of what stands on it. No network."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from typing import Final

from ralnode.api import Instant, NodeInfo, Source
from ralnode.core.catalogue import Catalogue
from ralnode.core.deltas import Digest
from ralnode.core.sync import SyncBody, decode_sync, encode_sync
from ralnode.core.updates import Documents, Merged
from ralnode.testing.clock import START_UNIX_MS
from ralnode.testing.fake_identity import FakeIdentity

DAY_MS: Final = 86_400_000
LIMIT_BYTES: Final = 1 << 20
ROUNDS_MAX: Final = 1000
UNCHANGED_ROUNDS_MAX: Final = 3


def make_source(number: int, name: str = "", leaf_count: int = 10) -> Source:
    """A source that differs from others only by its root and name."""
    root = b"\x01\x70\x12\x20" + number.to_bytes(32, "big")
    return Source(root, name or f"source {number}", leaf_count * 100, leaf_count, leaf_count * 100, 1, 50)


class Author:
    """One node's catalogue with its disk: `disk` has what was saved, `crash` starts again from it."""

    def __init__(self, name: str, unix_ms: int = START_UNIX_MS) -> None:
        self.name = name
        self.identity = FakeIdentity(name)
        self.id = self.identity.id
        self.disk: dict[bytes, bytes] = {}
        self.unix_ms = unix_ms
        self.catalogue = Catalogue(self.id, self.identity)
        self.merges: list[Merged] = []

    @property
    def now(self) -> Instant:
        return Instant(0.0, self.unix_ms)

    def save(self, documents: Documents) -> None:
        for name, value in documents.items():
            if value is None:
                self.disk.pop(name, None)
            else:
                self.disk[name] = value

    def crash(self, *, lose_disk: bool = False) -> None:
        """Starts again from the disk, or from nothing."""
        if lose_disk:
            self.disk.clear()
        self.catalogue = Catalogue(self.id, self.identity)
        self.catalogue.load(self.disk)

    def introduce(self, capacity_bytes: int = 1000) -> None:
        self.save(self.catalogue.put_node(NodeInfo(self.id, self.name, capacity_bytes), self.now))

    def add(self, number: int, name: str = "") -> None:
        self.save(self.catalogue.put_source(make_source(number, name), self.now))

    def remove(self, number: int) -> None:
        self.save(self.catalogue.remove_source(make_source(number).root, self.now))

    def tend(self) -> None:
        self.save(self.catalogue.tend(self.now))

    def names(self) -> list[str]:
        return sorted(source.name for source in self.catalogue.sources())

    def digest_of(self, peer: Author) -> Digest:
        """The peer's digest, as an exchange brings it here."""
        body = encode_sync(SyncBody(peer.catalogue.digest(self.id)))
        return decode_sync(body, lambda: self.catalogue.digest(peer.id)).digest

    def body_for(self, peer: Author, limit_bytes: int = LIMIT_BYTES) -> bytes:
        """What this author would answer to `peer` now."""
        deltas = self.catalogue.delta(peer.id, self.digest_of(peer), limit_bytes)
        return encode_sync(SyncBody(self.catalogue.digest(peer.id), deltas))

    def take(self, body: bytes, sender: Author) -> Merged:
        merged = self.catalogue.merge(sender.id, decode_sync(body).deltas, self.now)
        self.save(merged.documents)
        self.merges.append(merged)
        return merged

    def pull(self, peer: Author, limit_bytes: int = LIMIT_BYTES) -> Merged:
        """One exchange: both see the other's digest, only this one takes records."""
        self.catalogue.delta(peer.id, self.digest_of(peer), 0)
        return self.take(peer.body_for(self, limit_bytes), peer)


def settle(authors: Sequence[Author], limit_bytes: int = LIMIT_BYTES) -> int:
    """Everybody pulls from everybody until nothing has changed for so long that a peer who was asked to read out an
    author from the start, and has gone, is given up; returns how many rounds that took."""
    unchanged_rounds = 0
    for count in range(ROUNDS_MAX):
        before = [author.catalogue.digest() for author in authors]
        for one, other in permutations(authors, 2):
            one.pull(other, limit_bytes)
        is_same = before == [author.catalogue.digest() for author in authors]
        unchanged_rounds = unchanged_rounds + 1 if is_same else 0
        if unchanged_rounds > UNCHANGED_ROUNDS_MAX:
            return count
    raise AssertionError("the catalogues never settle")
