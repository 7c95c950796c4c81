"""Who has which leaves of which source: mine as the store has confirmed it, the others' as they last said themselves.

Everything advertised is a subset of what is on disk: `set_mine` and `add_mine` are called after blocks are durable,
`drop_mine` before they are deleted. Exact sets only; they travel whole per changed source, which costs less than a
thousandth of the blocks that changed. Pure: no IO, no clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import cbor2

from ralnode.api import BlockSet, Holding, NodeId, PeerError, Root, Source, limits
from ralnode.core.sync import PackedVersions

EMPTY: Final = Holding()
_FORMAT: Final = 1
_UNKNOWN_ROOTS_MAX: Final = 10_000


@dataclass(slots=True)
class _PeerHoldings:
    version: int = 0
    sources: dict[Root, Holding] = field(default_factory=dict)
    unread: dict[Root, tuple[bool, bytes, bytes]] = field(default_factory=dict)
    """Of sources whose record has not arrived yet, so that their leaf count is unknown."""
    parked: dict[Root, Holding] = field(default_factory=dict)
    """Of removed sources: should one come back, a peer that never heard of the removal has nothing new to say."""


class Holdings:
    """All holdings that this node knows. The first version grows from start to start (wall clock in ms)."""

    def __init__(self, me: NodeId, first_version: int = 1) -> None:
        self.me = me
        self.first_version = first_version
        self.version = first_version
        self.generation = 0
        """Grows with every change of anybody's holdings."""
        self._is_remembered = False
        self._heard: PackedVersions | None = None
        self._mine: dict[Root, Holding] = {}
        self._changed_at: dict[Root, int] = {}
        self._peers: dict[NodeId, _PeerHoldings] = {}
        self._stamps: dict[Root, int] = {}

    def start(self, first_version: int) -> None:
        """Before anything of mine is set: numbers of this run begin here."""
        self.first_version = self.version = first_version
        self._is_remembered = False

    @property
    def told_version(self) -> int:
        """How far I tell others that I have got. 0 while there is nothing to tell, so that nobody asks in vain."""
        return self.version if self._changed_at or self._is_remembered else 0

    def remembered(self, version: int) -> bool:
        """Somebody knows this version of mine. If it is from another run, everybody must hear that it is outdated,
        even when I have nothing now; whether that is new."""
        if version == 0 or self.first_version <= version <= self.version or self.told_version:
            return False
        self._is_remembered = True
        return True

    # --- mine ---

    def mine(self, root: Root) -> Holding:
        return self._mine.get(root, EMPTY)

    def set_mine(self, root: Root, holding: Holding) -> bool:
        """Replaces what I have of a source; whether that is a change."""
        if self.mine(root) == holding:
            return False
        self._mine[root] = holding
        self.version += 1
        self._heard = None
        self._changed_at[root] = self.version
        self._touch(root)
        return True

    def add_mine(self, root: Root, owned: BlockSet) -> bool:
        before = self.mine(root)
        return self.set_mine(root, Holding(before.has_interior, before.owned | owned, before.linked - owned))

    def drop_mine(self, root: Root) -> None:
        if root in self._mine:
            self.set_mine(root, EMPTY)
            del self._mine[root]

    # --- everybody's ---

    def of(self, node: NodeId, root: Root) -> Holding:
        if node == self.me:
            return self.mine(root)
        peer = self._peers.get(node)
        return EMPTY if peer is None else peer.sources.get(root, EMPTY)

    def known_version(self, node: NodeId) -> int:
        """Of that node's holdings as heard from itself; 0 when never."""
        peer = self._peers.get(node)
        return 0 if peer is None else peer.version

    def known_versions(self) -> PackedVersions:
        """Of everybody with something to tell, this node too."""
        if self._heard is None or self._heard.get(self.me, 0) != self.told_version:
            known = {node: peer.version for node, peer in self._peers.items() if peer.version}
            if self.told_version:
                known[self.me] = self.told_version
            self._heard = PackedVersions(known)
        return self._heard

    def forget_peer(self, node: NodeId) -> None:
        peer, self._heard = self._peers.pop(node, None), None
        for root in peer.sources if peer else ():
            self._touch(root)

    def distrust(self, node: NodeId, root: Root, blocks: BlockSet) -> None:
        """The node did not have these after all; believed until it says something new about this source."""
        peer = self._peers.get(node)
        if peer is None or root not in peer.sources:
            return
        before = peer.sources[root]
        peer.sources[root] = Holding(before.has_interior, before.owned - blocks, before.linked - blocks)
        self._touch(root)

    def stamp(self, root: Root) -> int:
        """Changes whenever anybody's holding of this source changes."""
        return self._stamps.get(root, 0)

    def copies(self, source: Source, nodes: Iterable[NodeId], levels: int) -> list[BlockSet]:
        """`[i]` (i = 0 … levels): the leaves with exactly i own copies on `nodes`; the last: with that many or more."""
        at_least = [(1 << source.leaf_count) - 1] + [0] * levels
        for node in nodes:
            owned = self.of(node, source.root).owned.bits
            for level in range(levels, 0, -1):
                at_least[level] |= at_least[level - 1] & owned
        return [BlockSet(here & ~above) for here, above in zip(at_least, [*at_least[1:], 0], strict=True)]

    def servable(self, source: Source, nodes: Iterable[NodeId]) -> BlockSet:
        """Leaves that at least one of the nodes can serve."""
        found = BlockSet()
        for node in nodes:
            found |= self.of(node, source.root).servable
        return found

    def owned_by(self, node: NodeId) -> Mapping[Root, BlockSet]:
        sources = self._mine if node == self.me else self._peers.get(node, _PeerHoldings()).sources
        return {root: holding.owned for root, holding in sources.items() if holding.owned}

    # --- exchange ---

    def delta(self, since: int, source_of: Callable[[Root], Source | None]) -> bytes:
        """What changed here after version `since`, oldest first, bounded; DAG-CBOR [format, full, version, items, since]."""
        full = not self.first_version <= since <= self.version
        items: list[list[object]] = []
        version, size = (self.first_version if full else since), 0
        for root, changed_at in sorted(self._changed_at.items(), key=lambda item: item[1]):
            if not full and changed_at <= since:
                continue
            source = source_of(root)
            holding, count = (self.mine(root), source.leaf_count) if source else (EMPTY, 0)
            owned, linked = holding.owned.encode(count), holding.linked.encode(count)
            size += len(owned) + len(linked) + 64
            if size > limits.SYNC_BYTES_MAX // 4 and items:
                return cbor2.dumps([_FORMAT, full, version, items, since], canonical=True)
            items.append([root, holding.has_interior, owned, linked])
            version = changed_at
        return cbor2.dumps([_FORMAT, full, self.told_version, items, since], canonical=True)

    def merge(self, node: NodeId, data: bytes, source_of: Callable[[Root], Source | None]) -> set[Root]:
        """Takes a peer's `delta`; returns the roots whose holding may have changed. Raises PeerError, nothing changed."""
        full, version, items, since = _decode(data)
        peer = self._peers.setdefault(node, _PeerHoldings())
        if not full and not since <= peer.version <= version:
            return set()
        decoded: dict[Root, Holding] = {}
        unread: dict[Root, tuple[bool, bytes, bytes]] = {}
        for root, has_interior, owned, linked in items:
            source = source_of(root)
            if source is None:
                unread[root] = (has_interior, owned, linked)
            else:
                decoded[root] = _holding(source, has_interior, owned, linked)
        changed = set(decoded)
        if full:
            changed |= set(peer.sources)
            peer.sources.clear()
            peer.unread.clear()
            peer.parked.clear()
        peer.sources.update(decoded)
        for root in decoded:
            peer.unread.pop(root, None)
        for root in (*decoded, *unread):
            peer.parked.pop(root, None)
        for root in unread:  # the catalogue may have dropped this source just now: what was said before is outdated
            if peer.sources.pop(root, None) is not None:
                changed.add(root)
        if len(peer.unread) + len(unread) <= _UNKNOWN_ROOTS_MAX:
            peer.unread.update(unread)
        peer.version = version
        self._heard = None
        for root in changed:
            self._touch(root)
        return changed

    def source_arrived(self, source: Source) -> None:
        """The record of a source is known now: read what peers said about it before."""
        for peer in self._peers.values():
            parked = peer.parked.pop(source.root, None)
            if parked is not None and parked.servable.bits.bit_length() <= source.leaf_count:
                peer.sources[source.root] = parked
                self._touch(source.root)
            raw = peer.unread.pop(source.root, None)
            if raw is None:
                continue
            try:
                peer.sources[source.root] = _holding(source, *raw)
            except PeerError:
                continue
            self._touch(source.root)

    def source_removed(self, root: Root) -> None:
        for peer in self._peers.values():
            said = peer.sources.pop(root, None)
            if said is not None and root not in peer.unread and len(peer.parked) < _UNKNOWN_ROOTS_MAX:
                peer.parked[root] = said
        self._touch(root)

    def _touch(self, root: Root) -> None:
        self.generation += 1
        self._stamps[root] = self.generation


def _holding(source: Source, has_interior: bool, owned: bytes, linked: bytes) -> Holding:
    try:
        mine = BlockSet.decode(owned, source.leaf_count)
        return Holding(has_interior, mine, BlockSet.decode(linked, source.leaf_count) - mine)
    except ValueError as error:
        raise PeerError(f"holdings of a source are malformed: {error}") from error


def _decode(data: bytes) -> tuple[bool, int, list[tuple[Root, bool, bytes, bytes]], int]:
    try:
        fields = cbor2.loads(data)
        if not isinstance(fields, list) or fields[0] != _FORMAT:
            raise ValueError("unknown format")
        full, version, items = bool(fields[1]), int(fields[2]), fields[3]
        since = int(fields[4]) if len(fields) > 4 else 0
        if version < 0 or version >= 1 << 63:
            raise ValueError("version out of range")
        checked = [(bytes(root), bool(flag), bytes(owned), bytes(linked)) for root, flag, owned, linked, *_ in items]
    except (ValueError, TypeError, IndexError, cbor2.CBORDecodeError) as error:
        raise PeerError(f"holdings are malformed: {error}") from error
    if any(len(root) > 128 for root, *_ in checked):
        raise PeerError("holdings are malformed: a root CID is too long")
    return full, version, checked, since
