"""`SegmentWriter`: appends records to the newest segment and makes them durable. Used only in the store's write thread.

Between two `commit`s everything is provisional: `rollback` cuts it off again, and so does the next start after a crash.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path
from typing import Final

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


class SegmentWriter:
    """The open end of the log. `tail` is the segment to go on with (id, end), if there is one."""

    def __init__(self, disk: Disk, folder: Path, length_bytes: int, tail: tuple[int, int] | None, last_id: int) -> None:
        self._disk = disk
        self._folder = folder
        self.length_bytes = length_bytes
        """A segment is closed when the next record would make it longer. May be set at any time."""
        self._last_id = last_id
        self._ends: dict[int, int] = {}
        """Provisional ends of the segments written since the last commit."""
        self._committed = tail
        self._tail: tuple[int, int] | None = tail
        self._descriptors: dict[int, int] = {}
        self._has_new_file = False

    @property
    def tail_id(self) -> int:
        """The segment that the next record goes to; 0 when that will be a new one."""
        return self._tail[0] if self._tail else 0

    def is_open(self, segment: int) -> bool:
        """Whether records may still be written to it."""
        tails = {tail[0] for tail in (self._tail, self._committed) if tail}
        return segment in tails or segment in self._ends

    @property
    def ends(self) -> dict[int, int]:
        """Segments written since the last commit, and where they end now."""
        return dict(self._ends)

    def append(self, blocks: Sequence[Block]) -> list[Place]:
        """Writes records and syncs them; says where their data lie. Raises NoRoomError, nothing changed, or OSError:
        then the store must not write again."""
        try:
            places = self._write(blocks)
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            self.rollback()
            raise NoRoomError(*error.args) from error
        self._sync()
        return places

    def _write(self, blocks: Sequence[Block]) -> list[Place]:
        places: list[Place] = []
        start = 0
        while start < len(blocks):
            start = self._append_run(blocks, start, places)
        return places

    def _append_run(self, blocks: Sequence[Block], start: int, places: list[Place]) -> int:
        """Fills the tail as far as it goes; returns the index of the first block left over."""
        segment, end = self._room_for(blocks[start])
        buffers: list[Buffer] = []
        first, stop = end, start
        while stop < len(blocks) and (stop == start or end + _record_bytes(blocks[stop]) <= self.length_bytes):
            key, data = blocks[stop]
            head = carfile.head(key, len(data))
            buffers += (head, data)
            places.append(Place(segment, end + len(head), len(data)))
            end += len(head) + len(data)
            stop += 1
        self._disk.write(self._descriptor(segment), buffers, first)
        self._tail = (segment, end)
        self._ends[segment] = end
        return stop

    def _room_for(self, block: Block) -> tuple[int, int]:
        """The segment that the block goes to, and where in it; a new one if it would make the tail too long."""
        if self._tail is None or (
            self._tail[1] + _record_bytes(block) > self.length_bytes and self._tail[1] > len(carfile.HEADER)
        ):
            self._last_id += 1
            self._has_new_file = True
            self._tail = (self._last_id, len(carfile.HEADER))
            self._ends[self._last_id] = len(carfile.HEADER)
            self._disk.write(self._descriptor(self._last_id), [carfile.HEADER], 0)
        return self._tail

    def _descriptor(self, segment: int) -> int:
        if segment not in self._descriptors:
            self._descriptors[segment] = self._disk.open_to_write(segment_path(self._folder, segment))
        return self._descriptors[segment]

    def _sync(self) -> None:
        for segment in self._ends:
            self._disk.sync(self._descriptor(segment))
        if self._has_new_file:
            self._disk.sync_folder(self._folder)

    def commit(self) -> None:
        """The index knows the records now."""
        self._committed = self._tail
        self._ends.clear()
        self._has_new_file = False
        self._close_all_but(self.tail_id)

    def rollback(self) -> None:
        """Cuts off what was appended since the last commit. Raises OSError."""
        self._close_all_but(0)
        kept, end = self._committed or (0, 0)
        for segment in self._ends:
            if segment == kept:
                self._disk.truncate(self._descriptor(segment), end)
            else:
                self._disk.unlink(segment_path(self._folder, segment))
        self._tail = self._committed
        self._ends.clear()
        self._has_new_file = False

    def seal(self) -> None:
        """The next record begins a new segment. Only between a commit and the next append."""
        self._tail = self._committed = None
        self._close_all_but(0)

    def close(self) -> None:
        self._close_all_but(0)

    def _close_all_but(self, kept: int) -> None:
        for segment in [segment for segment in self._descriptors if segment != kept]:
            self._disk.close(self._descriptors.pop(segment))


def _record_bytes(block: Block) -> int:
    return carfile.record_bytes(block.key, len(block.data))
