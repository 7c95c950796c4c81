"""The shared catalogue: every author's records, merged with peers' by digest and delta; who has the last word on what.

Pure: calls that change it return the documents to make durable, `merge` also says what is new. Make an own write durable
before a digest or delta that shows it leaves this node; should a crash lose it all the same, numbers are reserved
ahead in steps so that none is ever used for different bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from ralnode.api.limits import AUTHORS_MAX, RECORDS_PER_AUTHOR_MAX, TOMBSTONE_DAYS
from ralnode.api.model import Instant, NodeId, NodeInfo, Root, Source
from ralnode.api.roles import Identity
from ralnode.core import catalogue_state as state
from ralnode.core.authormap import AuthorMap
from ralnode.core.claims import Claims
from ralnode.core.clock import HybridClock, is_too_far_ahead, unix_ms_of
from ralnode.core.deltas import Delta, Digest, DigestEntry, PackedDigest
from ralnode.core.records import NODE_KEY, NodeRecord, Record, RecordRefusedError, Signed, SourceRecord, sign, verify
from ralnode.core.updates import Change, Documents, Merged, Refusal

RESERVE_STEP: Final = 1000
"""Numbers reserved at once. A restart skips at most this many, which costs nothing."""

_NOTHING: Final = DigestEntry(0, 0, 0, 0)
_ENVELOPE_OVERHEAD_BYTES: Final = 3
_TOMBSTONE_MS: Final = TOMBSTONE_DAYS * 86_400_000


class Catalogue:
    """One node's copy of everybody's records, and the writer of its own."""

    def __init__(self, me: NodeId, identity: Identity) -> None:
        self._me = me
        self._identity = identity
        self._own = AuthorMap(me)
        self._maps: dict[NodeId, AuthorMap] = {me: self._own}
        self._claims = Claims()
        self._clock = HybridClock()
        self._next_seq = 1
        self._reserved = 0
        self._digest: PackedDigest | None = None
        """For everybody, as long as nothing changes and everything is whole."""
        self._adopted = False
        """Whether own records came back that this run did not know."""
        self._written: dict[bytes, Record] = {}
        """Own records of this run: to be written again if it turns out that their numbers were used before."""

    def load(self, documents: Mapping[bytes, bytes]) -> None:
        """Restores what the documents of all updates hold. Damaged ones are left out and fetched from peers again."""
        self._digest, loaded = None, state.load(documents)
        for author, author_map in loaded.maps.items():
            self._maps[author] = author_map
            for entry in author_map.entries.values():
                self._clock.last = max(self._clock.last, entry.clock)
                self._index(author_map, entry.key, Change())
        self._own = self._maps.setdefault(self._me, AuthorMap(self._me))
        self._reserved = loaded.reserved
        self._next_seq = max(self._reserved, self._own.top_seq) + 1

    # --- own records ------------------------------------------------------------------------------------------------

    def put_node(self, info: NodeInfo, now: Instant) -> Documents:
        """This node about itself; nothing happens if that is what the record says already. ValueError: a bad field."""
        change, current = Change(), self._own.entries.get(NODE_KEY)
        record = current.record if current else None
        if not isinstance(record, NodeRecord) or record.info != info:
            self._write(NodeRecord(info, self._clock.tick(now.unix_ms), self._own.gc_seq), change)
        return change.finish()

    def put_source(self, source: Source, now: Instant) -> Documents:
        """Adds a source, changes it, or brings a removed one back. What is in the catalogue just so makes no record: a
        removal on its way from elsewhere then wins. ValueError: a field out of bounds."""
        change = Change()
        if self.source(source.root) != source:
            self._write(SourceRecord(source, self._clock.tick(now.unix_ms)), change)
        return change.finish()

    def remove_source(self, root: Root, now: Instant) -> Documents:
        """Removes a source for everybody; nothing happens if it is not in the catalogue."""
        change, source = Change(), self.source(root)
        if source is not None:
            self._write(SourceRecord(source, self._clock.tick(now.unix_ms), deleted=True), change)
        return change.finish()

    def tend(self, now: Instant) -> Documents:
        """To be called every hour or so: forgets old tombstones, and dates own records anew that this machine's
        clock, once wrong, had put into the future where nobody takes them."""
        change, self._digest = Change(), None
        for key, entry in list(self._own.entries.items()):
            if (
                entry.record is not None
                and is_too_far_ahead(entry.clock, now.unix_ms)
                and self._own.entries[key] is entry
            ):
                self._write(replace(entry.record, clock=self._clock.tick(now.unix_ms)), change)
        self._collect_garbage(now.unix_ms, change)
        return change.finish()

    def _write(self, record: Record, change: Change) -> None:
        self._digest, seq = None, max(self._next_seq, self._own.top_seq + 1)
        signed = sign(self._identity, seq, record)
        self._written[signed.key] = record
        self._next_seq = seq + 1
        if self._next_seq + RESERVE_STEP // 2 > self._reserved:
            self._reserved = self._next_seq + RESERVE_STEP
            change.documents[state.RESERVED] = state.encode_reserved(self._reserved)
        self._apply(self._own, signed, change)
        if not self._own.unfinished:
            self._own.known = seq
        change.own_changed = True
        change.touched[self._me] = self._own

    def _collect_garbage(self, now_ms: int, change: Change) -> None:
        """Old tombstones that nothing needs go through `gc_seq`; those that must stay are written again above it."""
        tombstones = [entry for entry in self._own.entries.values() if entry.is_tombstone]
        droppable = [entry for entry in tombstones if self._is_droppable(entry, now_ms)]
        current = self._own.entries.get(NODE_KEY)
        if not droppable or current is None or not isinstance(current.record, NodeRecord):
            return
        gc_seq = max(entry.seq for entry in droppable)
        for entry in tombstones:
            if entry.seq < gc_seq and entry not in droppable and entry.record is not None:
                self._write(entry.record, change)
        self._write(replace(current.record, clock=self._clock.tick(now_ms), gc_seq=gc_seq), change)
        self._forget(self._own, self._own.collect_own(gc_seq), change)
        change.touched[self._me] = self._own

    def _is_droppable(self, entry: Signed, now_ms: int) -> bool:
        """Old enough, and nobody's older word would bring the source back without it."""
        record = entry.record
        if not isinstance(record, SourceRecord) or unix_ms_of(entry.clock) > now_ms - _TOMBSTONE_MS:
            return False
        others = self._claims.by_others(record.source.root, self._me)
        return not any(not other.deleted and other.clock <= record.clock for other in others)

    # --- sync -------------------------------------------------------------------------------------------------------

    def digest(self, peer: NodeId | None = None) -> Digest:
        """How far every author is known, for `peer` (whom we may be reading from the start)."""
        if self._digest is None:
            digest = {author: found.digest_entry(peer) for author, found in self._maps.items() if found.known}
            if not all(found.is_whole for found in self._maps.values()):
                return digest
            self._digest = PackedDigest(digest)
        return self._digest

    def delta(self, peer: NodeId, digest: Digest, byte_limit: int) -> tuple[Delta, ...]:
        """What `peer`, whose digest this is, lacks: oldest first, about `byte_limit` bytes, authors with little first.

        Call it for every digest received: it also notes differences that plain deltas would not cure.
        """
        mine = self.digest(peer)
        if digest is mine and isinstance(mine, PackedDigest):
            return ()
        for author, theirs in digest.items():
            author_map = self._maps.get(author)
            if author_map is not None and mine.get(author) != theirs:
                author_map.study(peer, theirs)
                self._digest = None if author_map.walk is not None else self._digest
        if self._own.unfinished and digest.get(self._me, _NOTHING).known <= self._own.known:
            self._own.unfinished, self._own.known = False, self._own.top_seq  # nothing of ours to be had there
        lacking = sorted((count, author) for author, count in self._lacking(digest))
        deltas: list[Delta] = []
        for _count, author in lacking:
            if byte_limit <= 0:
                break
            delta, size_bytes = self._delta_of(self._maps[author], digest.get(author, _NOTHING), byte_limit)
            byte_limit -= size_bytes
            deltas.append(delta)
        return tuple(deltas)

    def is_behind(self, peer: NodeId, digest: Digest) -> bool:
        """Whether an exchange with this peer would bring something (to be asked after `delta`)."""
        walks = (author_map.walk for author_map in self._maps.values())
        if any(walk is not None and walk.peer == peer for walk in walks):
            return True
        return any(theirs.known > self.version(author) for author, theirs in digest.items())

    def _lacking(self, digest: Digest) -> Iterable[tuple[NodeId, int]]:
        """Authors of whom we can send something, and about how much."""
        for author, author_map in self._maps.items():
            theirs = digest.get(author, _NOTHING)
            if author_map.top_seq > theirs.wanted_from or theirs.wanted_from < theirs.known:
                yield author, max(0, author_map.top_seq - theirs.wanted_from)

    def _delta_of(self, author_map: AuthorMap, theirs: DigestEntry, byte_limit: int) -> tuple[Delta, int]:
        envelopes: list[bytes] = []
        size_bytes, was_cut = 0, False
        for entry in author_map.above(theirs.wanted_from):
            if size_bytes + len(entry.envelope) > byte_limit and envelopes:
                was_cut = True
                break
            envelopes.append(entry.envelope)
            size_bytes += len(entry.envelope) + _ENVELOPE_OVERHEAD_BYTES
        node = author_map.entries.get(NODE_KEY)
        if was_cut and node is not None and node.seq > theirs.known:
            envelopes.insert(0, node.envelope)  # plans need it now, and it usually has the highest number
        complete = not was_cut and author_map.is_whole
        return Delta(author_map.author, theirs.wanted_from, author_map.gc_seq, complete, tuple(envelopes)), size_bytes

    def merge(self, peer: NodeId, deltas: Sequence[Delta], now: Instant) -> Merged:
        """Takes in a peer's deltas, in any order and any number of times. What is refused is named and fetched again
        later; it stops nothing else."""
        change = Change()
        if deltas:
            self._digest = None
        for delta in deltas:
            author_map = self._maps.get(delta.author)
            if author_map is None:
                if len(self._maps) >= AUTHORS_MAX:
                    change.refused.append(Refusal(delta.author, 0, f"too many authors (at most {AUTHORS_MAX})"))
                    continue
                author_map = AuthorMap(delta.author)
            self._merge_author(author_map, peer, delta, now.unix_ms, change)
        self._continue_own(now.unix_ms, change)
        self._retract_removed(change)
        return change.merged()

    def _merge_author(self, author_map: AuthorMap, sender: NodeId, delta: Delta, now_ms: int, change: Change) -> None:
        before = _progress(author_map)
        is_behind = author_map.is_behind(delta.gc_seq)
        if is_behind and delta.from_seq == 0:
            author_map.study(sender, DigestEntry(0, 0, delta.gc_seq, 0))
        walk, through, all_accepted = author_map.walk_of(delta, sender), 0, True
        for position, envelope in enumerate(delta.envelopes):
            try:
                signed = self._open(author_map, envelope, now_ms)
                is_early_node = position == 0 and signed.key == NODE_KEY and len(delta.envelopes) > 1
                if not is_early_node and (signed.seq < through or signed.seq <= delta.from_seq):
                    raise RecordRefusedError("malformed: the records are not in order")
            except RecordRefusedError as refusal:
                change.refused.append(Refusal(delta.author, 0, str(refusal)))
                all_accepted = False
                continue
            if isinstance(signed.record, NodeRecord) and author_map.is_behind(signed.record.gc_seq):
                is_behind = True
            if walk is not None:
                walk.seen.add(signed.seq)
            self._take(author_map, signed, sender, change)
            through = signed.seq if all_accepted and not is_early_node else through
        if author_map.entries:
            self._maps.setdefault(delta.author, author_map)
        gone = author_map.advance(delta, sender, through, all_accepted=all_accepted, is_behind=is_behind)
        self._forget(author_map, gone, change)
        self._note_progress(author_map, before, delta, change)

    def _open(self, author_map: AuthorMap, envelope: bytes, now_ms: int) -> Signed:
        """The record, verified unless we hold these very bytes. Raises RecordRefusedError."""
        signed = verify(self._identity, author_map.author, envelope)
        if not self._clock.observe(signed.clock, now_ms):
            raise RecordRefusedError("clock too far ahead")
        if signed.key not in author_map.entries and len(author_map.entries) >= RECORDS_PER_AUTHOR_MAX:
            raise RecordRefusedError(f"too many records (at most {RECORDS_PER_AUTHOR_MAX} per author)")
        return signed

    def _take(self, author_map: AuthorMap, signed: Signed, sender: NodeId, change: Change) -> None:
        if author_map.refuses_dropped(signed, sender):
            return
        is_new = self._apply(author_map, signed, change)
        self._adopted |= is_new and author_map is self._own
        if is_new and signed.flaw:
            change.refused.append(Refusal(author_map.author, signed.seq, signed.flaw))

    def _note_progress(self, author_map: AuthorMap, before: tuple[int, int, int], delta: Delta, change: Change) -> None:
        after = _progress(author_map)
        change.more |= after > before and not delta.complete
        if after[:2] != before[:2]:
            change.authors.add(author_map.author)
            change.touched[author_map.author] = author_map

    def _continue_own(self, now_ms: int, change: Change) -> None:
        """Our own records came back that we do not remember: go on above them, and say again what we have said in
        this run, since those who know the old numbers have not listened."""
        if self._own.unfinished or not self._adopted:
            return
        self._adopted, change.own_jumped, self._digest = False, True, None
        self._own.known = self._own.top_seq
        self._next_seq = max(self._next_seq, self._own.top_seq) + RESERVE_STEP
        for record in list(self._written.values()):
            again = replace(record, clock=self._clock.tick(now_ms))
            self._write(replace(again, gc_seq=self._own.gc_seq) if isinstance(again, NodeRecord) else again, change)

    def _retract_removed(self, change: Change) -> None:
        """A source of ours that another node has removed: say so ourselves, with its clock, so that its tombstone
        is not needed for ever. A newer add still wins."""
        for root in sorted(change.roots):
            winner = self._claims.winner(root)
            own = self._own.entries.get(state.key_of(root))
            if winner is None or not winner[1].deleted or own is None or not isinstance(own.record, SourceRecord):
                continue
            if not own.record.deleted:
                self._write(SourceRecord(own.record.source, winner[1].clock, deleted=True), change)

    # --- bookkeeping ------------------------------------------------------------------------------------------------

    def _apply(self, author_map: AuthorMap, signed: Signed, change: Change) -> bool:
        if not author_map.put(signed):
            return False
        change.documents[state.record_name(author_map.author, signed.key)] = signed.envelope
        self._index(author_map, signed.key, change)
        change.touched[author_map.author] = author_map
        return True

    def _forget(self, author_map: AuthorMap, keys: Iterable[bytes], change: Change) -> None:
        for key in keys:
            change.documents[state.record_name(author_map.author, key)] = None
            self._index(author_map, key, change)
            change.touched[author_map.author] = author_map

    def _index(self, author_map: AuthorMap, key: bytes, change: Change) -> None:
        """Brings the claims up to date with what the map now holds under `key`."""
        if key == NODE_KEY:
            change.nodes.add(author_map.author)
            return
        root = state.root_of(key)
        if root is not None:
            entry = author_map.entries.get(key)
            record = entry.record if entry and isinstance(entry.record, SourceRecord) else None
            before = self.source(root)
            if self._claims.set(root, author_map.author, record):
                change.roots.setdefault(root, before)

    # --- questions --------------------------------------------------------------------------------------------------

    def sources(self) -> tuple[Source, ...]:
        """All sources of the cluster, sorted by root."""
        return self._claims.live()

    def source(self, root: Root) -> Source | None:
        winner = self._claims.winner(root)
        return winner[1].source if winner and not winner[1].deleted else None

    def is_removed(self, root: Root) -> bool:
        """Whether a user has removed it. Not the same as unknown: only a removal may delete blocks."""
        winner = self._claims.winner(root)
        return winner is not None and winner[1].deleted

    def source_record(self, root: Root) -> tuple[NodeId, SourceRecord] | None:
        """The record that counts, with its author; may be a tombstone."""
        return self._claims.winner(root)

    def added_unix_ms(self, root: Root) -> int:
        """When the record that counts was written, by its author's clock; 0 if there is none."""
        winner = self._claims.winner(root)
        return unix_ms_of(winner[1].clock) if winner else 0

    def node_info(self, node_id: NodeId) -> NodeInfo | None:
        entry = self._maps[node_id].entries.get(NODE_KEY) if node_id in self._maps else None
        return entry.record.info if entry and isinstance(entry.record, NodeRecord) else None

    def node_infos(self) -> tuple[NodeInfo, ...]:
        """What every author says of itself, this node too, sorted by id."""
        infos = (self.node_info(author) for author in sorted(self._maps))
        return tuple(info for info in infos if info is not None)

    def version(self, author: NodeId) -> int:
        """The number up to which this author is known; 0 if not at all."""
        return self._maps[author].known if author in self._maps else 0

    def versions(self) -> dict[NodeId, int]:
        return {author: author_map.known for author, author_map in self._maps.items()}

    @property
    def clock(self) -> int:
        """The largest clock value given out or observed."""
        return self._clock.last


def _progress(author_map: AuthorMap) -> tuple[int, int, int]:
    return (author_map.known, author_map.gc_seq, author_map.walk.cursor if author_map.walk else 0)
