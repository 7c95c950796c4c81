"""`SegmentWriter`: appends records to the newest segment and makes them durable.

It is decided on the event loop where records go (`lay_out`), threads do the rest: one writes (`write`), another may make
durable what was written before (`sync`). Until `commit` everything is provisional: `rollback` cuts it off again, and so
does the next start after a crash.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from ralnode.api import Block
from ralnode.api.limits import MIB
from ralnode_storage_sqlite import carfile
from ralnode_storage_sqlite.disk import Buffer, Disk
from ralnode_storage_sqlite.index import Place

SEGMENT_BYTES_MIN: Final = MIB
_SEGMENTS_PER_CAPACITY: Final = 64
"""Room for rewriting half a segment is kept free (see ledger.py), so one is only a small part of the capacity."""

NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

UNACKNOWLEDGED_BYTES_MAX: Final = 256 * MIB
"""More than this behind the last indexed record cannot be the rest of an interrupted write: the index is an old one."""


def segment_path(folder: Path, segment: int) -> Path:
    return folder / f"{segment:06}.car"


def segment_ids(folder: Path) -> list[int]:
    """Of the segment files that are there, ascending."""
    return sorted(int(path.stem) for path in folder.glob("*.car") if path.stem.isdigit())


def segment_length_bytes(option_bytes: int, capacity_bytes: int) -> int:
    """How long segments get in a store of this capacity."""
    return min(option_bytes, max(SEGMENT_BYTES_MIN, capacity_bytes // _SEGMENTS_PER_CAPACITY))


class NoRoomError(OSError):
    """The disk is full; what was being appended has been cut off again."""


Tail: TypeAlias = tuple[int, int] | None
"""The segment that the next record goes to and where it ends; None when that will be a new one."""


class Run(NamedTuple):
    """Records that lie behind each other in one segment."""

    segment: int
    offset: int
    buffers: list[Buffer]


@dataclass(slots=True)
class Layout:
    """Where some blocks go. `runs` are emptied once they are written, so that nobody holds the content any longer."""

    before: Tail
    tail: Tail
    places: list[Place] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    ends: dict[int, int] = field(default_factory=dict)
    """Of the segments that grow."""
    new_ids: list[int] = field(default_factory=list)
    """Segments that begin here."""


class SegmentWriter:
    """The open end of the log. `tail` is the segment to go on with (id, end), if there is one."""

    def __init__(self, disk: Disk, folder: Path, length_bytes: int, tail: Tail, last_id: int) -> None:
        self._disk = disk
        self._folder = folder
        self.length_bytes = length_bytes
        """A segment is closed when the next record would make it longer. May be set at any time."""
        self._last_id = self._committed_id = last_id
        self._committed = self._tail = tail
        self._descriptors: dict[int, int] = {}

    @property
    def tail_id(self) -> int:
        """The segment that the next record goes to; 0 when that will be a new one."""
        return self._tail[0] if self._tail else 0

    def is_open(self, segment: int) -> bool:
        """Whether records may still be written to it, or have been since the last commit."""
        return segment > self._committed_id or segment in {tail[0] for tail in (self._tail, self._committed) if tail}

    # --- appending

    def lay_out(self, blocks: Sequence[Block]) -> Layout:
        """Decides where each block goes, behind everything that was laid out before. No IO."""
        layout = Layout(self._tail, self._tail)
        start = 0
        while start < len(blocks):
            start = self._add_run(blocks, start, layout)
        layout.tail = self._tail
        return layout

    def _add_run(self, blocks: Sequence[Block], start: int, layout: Layout) -> int:
        """Fills the tail as far as it goes; returns the index of the first block left over."""
        segment, end, buffers = self._room_for(blocks[start], layout)
        first, stop = end - sum(map(len, buffers)), start
        while stop < len(blocks) and (stop == start or end + _record_bytes(blocks[stop]) <= self.length_bytes):
            key, data = blocks[stop]
            head = carfile.head(key, len(data))
            buffers += (head, data)
            layout.places.append(Place(segment, end + len(head), len(data)))
            end += len(head) + len(data)
            stop += 1
        layout.runs.append(Run(segment, first, buffers))
        layout.ends[segment] = end
        self._tail = (segment, end)
        return stop

    def _room_for(self, block: Block, layout: Layout) -> tuple[int, int, list[Buffer]]:
        """The segment that the block goes to, where in it, and what goes before: a new one, with its header, if the block
        would make the tail too long."""
        tail = self._tail
        if tail and (tail[1] + _record_bytes(block) <= self.length_bytes or tail[1] <= len(carfile.HEADER)):
            return (*tail, [])
        self._last_id += 1
        layout.new_ids.append(self._last_id)
        return self._last_id, len(carfile.HEADER), [carfile.HEADER]

    def write(self, layout: Layout) -> None:
        """Hands the records to the operating system. Blocking; in the order in which they were laid out. Raises
        NoRoomError, with what was written cut off (then `give_up`), or OSError: the store must not write again."""
        try:
            for segment, offset, buffers in layout.runs:
                self._disk.write(self._descriptor(segment), buffers, offset)
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            self._cut_off(layout.before, layout.new_ids)
            raise NoRoomError(*error.args) from error
        finally:
            layout.runs.clear()

    def sync(self, ends: Mapping[int, int], has_new_file: bool) -> None:
        """Makes these segments durable as far as they were written. Blocking. Raises OSError: the store must not write
        again."""
        for segment in ends:
            self._disk.sync(self._descriptor(segment))
        if has_new_file:
            self._disk.sync_folder(self._folder)

    def _descriptor(self, segment: int) -> int:
        if segment not in self._descriptors:
            self._descriptors[segment] = self._disk.open_to_write(segment_path(self._folder, segment))
        return self._descriptors[segment]

    # --- the end of it, one way or the other

    def commit(self, tail: Tail, ends: Mapping[int, int]) -> None:
        """The index knows these records now."""
        if tail is None or not ends:
            return
        self._committed, self._committed_id = tail, max(self._committed_id, tail[0])
        for segment in [segment for segment in list(self._descriptors) if segment < tail[0]]:
            self._close(segment)

    def give_up(self, layout: Layout) -> None:
        """What was laid out last has not been written."""
        self._tail = layout.before

    def rollback(self) -> None:
        """Cuts off everything since the last commit. Blocking, while nothing is written. Raises OSError."""
        if self._tail != self._committed:
            self._cut_off(self._committed, range(self._committed_id + 1, self._last_id + 1))
        self._tail = self._committed

    def _cut_off(self, kept: Tail, gone: Sequence[int]) -> None:
        for segment in gone:
            self._close(segment)
            self._disk.unlink(segment_path(self._folder, segment))
        if kept:
            self._disk.truncate(self._descriptor(kept[0]), kept[1])

    def seal(self) -> None:
        """The next record begins a new segment. Only between a commit and the next `lay_out`."""
        self._tail = self._committed = None
        self.close()

    def close(self) -> None:
        for segment in list(self._descriptors):
            self._close(segment)

    def _close(self, segment: int) -> None:
        descriptor = self._descriptors.pop(segment, None)
        if descriptor is not None:
            self._disk.close(descriptor)


def _record_bytes(block: Block) -> int:
    return carfile.record_bytes(block.key, len(block.data))
