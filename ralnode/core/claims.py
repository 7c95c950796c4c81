"""Which author's word on a source counts: per root the record with the largest (clock, author)."""

from __future__ import annotations

from collections.abc import Iterable

from ralnode.api.model import NodeId, Root, Source
from ralnode.core.records import SourceRecord


class Claims:
    """All authors' source records by root, and the winner of each."""

    __slots__ = ("_by_root", "_live", "_winners")

    def __init__(self) -> None:
        self._by_root: dict[Root, dict[NodeId, SourceRecord]] = {}
        self._winners: dict[Root, tuple[NodeId, SourceRecord]] = {}
        self._live: tuple[Source, ...] | None = ()

    def set(self, root: Root, author: NodeId, record: SourceRecord | None) -> bool:
        """Notes or (None) forgets an author's record; whether the winner is another one now."""
        claims = self._by_root.setdefault(root, {})
        if record is None:
            claims.pop(author, None)
        else:
            claims[author] = record
        before = self._winners.pop(root, None)
        if claims:
            winner = max(claims, key=lambda name: (claims[name].clock, name))
            self._winners[root] = (winner, claims[winner])
        else:
            del self._by_root[root]
        if before == self._winners.get(root):
            return False
        self._live = None
        return True

    def winner(self, root: Root) -> tuple[NodeId, SourceRecord] | None:
        """Its author too; the record may be a tombstone."""
        return self._winners.get(root)

    def by_others(self, root: Root, author: NodeId) -> Iterable[SourceRecord]:
        return [record for name, record in self._by_root.get(root, {}).items() if name != author]

    def live(self) -> tuple[Source, ...]:
        """Sources that are not removed, sorted by root."""
        if self._live is None:
            winners = sorted(self._winners.items())
            self._live = tuple(record.source for _root, (_author, record) in winners if not record.deleted)
        return self._live
