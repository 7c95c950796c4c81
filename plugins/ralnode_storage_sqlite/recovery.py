"""What `open` does before the first write: makes the segment files and the index agree again after a crash.

Bytes behind the last indexed record were never acknowledged and are cut off. Anything that a crash of ours cannot explain
is refused, with nothing changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ralnode.api import StorageError
from ralnode_storage_sqlite.disk import Disk
from ralnode_storage_sqlite.home import Home
from ralnode_storage_sqlite.index import SegmentRow
from ralnode_storage_sqlite.segments import UNACKNOWLEDGED_BYTES_MAX, segment_ids, segment_path


class Recovered(NamedTuple):
    cut_bytes: int
    """Cut off because no index row points there."""
    short: Mapping[int, int]
    """Segments that are shorter than the index says, and how long they are: a disk that lied about syncing."""


def recover(home: Home, disk: Disk, rows: Sequence[SegmentRow]) -> Recovered:
    """Blocking. Raises StorageError if a segment is missing or the index is older than the segments, and OSError."""
    sizes = {segment: disk.size(segment_path(home.segments, segment)) for segment in segment_ids(home.segments)}
    ends = {row.id: row.end for row in rows}
    missing = [row.id for row in rows if row.live_count and row.id not in sizes]
    if missing:
        raise _refusal(home, f"{segment_path(home.segments, missing[0]).name} is missing ({len(missing)} in all)")
    for segment, size_bytes in sizes.items():
        if size_bytes - ends.get(segment, 0) > UNACKNOWLEDGED_BYTES_MAX:
            raise _refusal(home, f"index.db is older than {segment_path(home.segments, segment).name}")
    cut_bytes = 0
    for segment, size_bytes in sizes.items():
        if size_bytes > ends.get(segment, 0):
            _cut(home, disk, segment, ends.get(segment))
            cut_bytes += size_bytes - ends.get(segment, 0)
    short = {row.id: sizes.get(row.id, 0) for row in rows if sizes.get(row.id, 0) < row.end}
    return Recovered(cut_bytes, short)


def _cut(home: Home, disk: Disk, segment: int, end: int | None) -> None:
    path = segment_path(home.segments, segment)
    if end is None:
        disk.unlink(path)
        return
    descriptor = disk.open_to_write(path)
    try:
        disk.truncate(descriptor, end)
        disk.sync(descriptor)
    finally:
        disk.close(descriptor)


def _refusal(home: Home, found: str) -> StorageError:
    return StorageError(
        f"cannot open storage {home.data_dir}: {found}. Nothing was changed. "
        "Bring the file back, or go on with what is there by `ralnode rebuild-index`."
    )
