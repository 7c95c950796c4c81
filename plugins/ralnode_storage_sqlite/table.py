"""`SegmentTable`: what is known of every segment, in memory, and the changes to it that a transaction gathers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ralnode_storage_sqlite.index import SegmentRow
from ralnode_storage_sqlite.schema import PAGE_BYTES


@dataclass(slots=True)
class SegmentDelta:
    """By how much one segment's row changes; `end` is the new value, None to keep it."""

    end: int | None = None
    live_count: int = 0
    live_bytes: int = 0
    punched_bytes: int = 0


@dataclass(slots=True)
class Delta:
    """What one transaction changes in the counts."""

    segments: dict[int, SegmentDelta] = field(default_factory=dict)
    retired: list[int] = field(default_factory=list)
    linked_count: int = 0
    linked_bytes: int = 0

    def segment(self, segment: int) -> SegmentDelta:
        return self.segments.setdefault(segment, SegmentDelta())


class SegmentTable:
    """A mirror of the table `segments`, brought up to date after each commit."""

    def __init__(self, rows: Iterable[SegmentRow]) -> None:
        self._rows: dict[int, SegmentRow] = {}
        self.block_count = 0
        self.physical_bytes = 0
        """What all segments take on the disk."""
        for row in rows:
            self._set(row)

    @property
    def rows(self) -> Iterable[SegmentRow]:
        return self._rows.values()

    def get(self, segment: int) -> SegmentRow:
        """Zeros for one that is not there."""
        return self._rows.get(segment, SegmentRow(segment, 0, 0, 0, 0))

    def apply(self, delta: Delta) -> None:
        for segment, change in delta.segments.items():
            row = self.get(segment)
            end = row.end if change.end is None else change.end
            live_count, live_bytes = row.live_count + change.live_count, row.live_bytes + change.live_bytes
            self._set(SegmentRow(segment, end, live_count, live_bytes, row.punched_bytes + change.punched_bytes))
        for segment in delta.retired:
            self._set(SegmentRow(segment, 0, 0, 0, 0))
            self._rows.pop(segment)

    def _set(self, row: SegmentRow) -> None:
        before = self.get(row.id)
        self.block_count += row.live_count - before.live_count
        self.physical_bytes += physical_bytes(row) - physical_bytes(before)
        self._rows[row.id] = row


def physical_bytes(row: SegmentRow) -> int:
    """What a segment takes on the disk: its length in whole pages, less the holes, and a page to list those."""
    pages = -(-row.end // PAGE_BYTES) + (row.punched_bytes > 0)
    return max(0, pages * PAGE_BYTES - row.punched_bytes)
