"""`Ledger`: the arithmetic of room. Pure: it is told what was measured and says what still fits.

Everything on the disk counts: segments with their framing, less the holes punched into them; the index; the WAL; a few
small files. The WAL counts with the size that is set aside for it. Some room is kept from puts: for small documents, and
for the live half of a segment that is rewritten; so a full store can still save state, delete, and give space back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ralnode.api import StorageFullError, Usage
from ralnode.api.limits import GIB, KIB, MIB
from ralnode_storage_sqlite.schema import BLOCK_ROW_BYTES, PAGE_BYTES

_WAL_BYTES_SMALL: Final = 2 * MIB
_WAL_BYTES_LARGE: Final = 4 * MIB
_SMALL_FILES_BYTES: Final = 64 * KIB
"""Shared memory of the WAL (32 KiB), marker, lock and folders."""
_FRAME_BYTES: Final = PAGE_BYTES + 24
_STATE_ROOM_BYTES: Final = 512 * KIB
_MOVE_EXTRA_BYTES: Final = 128 * KIB
_RESERVATION_EXTRA_BYTES: Final = 64 * KIB
_RESERVATION_EXTRA_SHARE: Final = 64
"""One part in so many: enough for blocks of 16 KiB and more."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a change may add at most."""

    record_bytes: int = 0
    row_count: int = 0


def wal_bytes(capacity_bytes: int) -> int:
    """What is set aside for the WAL in a store of this capacity, and what it is checkpointed at."""
    return _WAL_BYTES_LARGE if capacity_bytes >= GIB else _WAL_BYTES_SMALL


class Reservation:
    """See `ralnode.api.Reservation`."""

    def __init__(self, ledger: Ledger, size_bytes: int) -> None:
        self._ledger = ledger
        self._remaining_bytes = size_bytes
        self._is_released = False

    @property
    def remaining_bytes(self) -> int:
        return self._remaining_bytes

    @property
    def backing_bytes(self) -> int:
        """What the ledger keeps free for it."""
        return _backing(self._remaining_bytes)

    async def release(self) -> None:
        self._is_released = True
        self._set(0)

    def use(self, size_bytes: int) -> int:
        """Takes up to `size_bytes` out; returns what was taken."""
        taken = min(size_bytes, self._remaining_bytes)
        self._set(self._remaining_bytes - taken)
        return taken

    def give_back(self, size_bytes: int) -> None:
        """Undoes a `use` whose put has failed."""
        if not self._is_released:
            self._set(self._remaining_bytes + size_bytes)

    def _set(self, remaining_bytes: int) -> None:
        before = self.backing_bytes
        self._remaining_bytes = remaining_bytes
        self._ledger.reserved_bytes += self.backing_bytes - before


def _backing(size_bytes: int) -> int:
    """Framing, rows and the pages that they may split come on top of what was asked for."""
    return size_bytes + size_bytes // _RESERVATION_EXTRA_SHARE + _RESERVATION_EXTRA_BYTES if size_bytes else 0


@dataclass(slots=True)
class Ledger:
    """One per open store; only the event loop touches it."""

    capacity_bytes: int
    disk_floor_bytes: int
    segment_length_bytes: int
    """At which segments are closed."""
    segment_bytes: int = 0
    """Taken by all segments."""
    index_bytes: int = 0
    wal_bytes: int = 0
    """Taken by the WAL file or set aside for it."""
    wal_filled_bytes: int = 0
    """At most so much of it is in use since the last full checkpoint."""
    disk_free_bytes: int = 0
    disk_total_bytes: int = 0
    reserved_bytes: int = 0
    in_flight_bytes: int = 0
    """Admitted, not yet committed."""
    block_count: int = 0
    linked_count: int = 0
    linked_bytes: int = 0
    read_only_reason: str = ""

    @property
    def used_bytes(self) -> int:
        return self.segment_bytes + self.index_bytes + self.wal_bytes + _SMALL_FILES_BYTES

    def usage(self) -> Usage:
        return Usage(
            capacity_bytes=self.capacity_bytes,
            used_bytes=self.used_bytes,
            reserved_bytes=self.reserved_bytes + self.in_flight_bytes,
            linked_bytes=self.linked_bytes,
            block_count=self.block_count + self.linked_count,
            disk_free_bytes=self.disk_free_bytes,
            disk_total_bytes=self.disk_total_bytes,
            read_only_reason=self.read_only_reason,
        )

    def wal_growth(self, row_count: int) -> int:
        """At most what a transaction of so many rows appends to the WAL: a leaf and its split for every row, never more
        than every page there is, and a few pages of the small tables."""
        pages = self.index_bytes // PAGE_BYTES
        touched = min(2 * row_count, pages + row_count * BLOCK_ROW_BYTES // PAGE_BYTES) + row_count // 32 + 12
        return touched * _FRAME_BYTES

    def needed_bytes(self, cost: Cost) -> int:
        """At most what carrying out `cost` adds to `used_bytes`."""
        pages = self.index_bytes // PAGE_BYTES
        index = (min(cost.row_count, pages) + 4) * PAGE_BYTES + cost.row_count * BLOCK_ROW_BYTES
        wal = self.wal_growth(cost.row_count) - self.wal_bytes
        segments = (cost.record_bytes // self.segment_length_bytes + 2) * 2 * PAGE_BYTES if cost.record_bytes else 0
        return cost.record_bytes + segments + index + max(0, wal)

    def wal_is_full(self, row_count: int) -> bool:
        """Whether a transaction of so many rows may make the WAL longer than what is set aside, unless it is
        checkpointed first."""
        return self.wal_filled_bytes > 0 and self.wal_filled_bytes + self.wal_growth(row_count) > self.wal_bytes

    @property
    def move_room_bytes(self) -> int:
        """Kept for the live part of a segment that is more than half waste."""
        return self.segment_length_bytes // 2 + _MOVE_EXTRA_BYTES

    def room_bytes(self) -> int:
        """What puts and reservations may still take under the capacity."""
        kept = _STATE_ROOM_BYTES + self.move_room_bytes
        return self.capacity_bytes - self.used_bytes - kept - self.reserved_bytes - self.in_flight_bytes

    def admit(self, cost: Cost, disk_free_bytes: int, own_bytes: int = 0) -> int:
        """Counts the cost as in flight and returns its bytes. `own_bytes` of what is kept or reserved are for this change.
        Raises StorageFullError, nothing changed."""
        needed = self.needed_bytes(cost)
        self._check(needed, own_bytes, disk_free_bytes)
        self.in_flight_bytes += needed
        return needed

    def reserve(self, size_bytes: int, disk_free_bytes: int) -> Reservation:
        """Raises StorageFullError, nothing changed."""
        self._check(_backing(size_bytes), 0, disk_free_bytes)
        self.reserved_bytes += _backing(size_bytes)
        return Reservation(self, size_bytes)

    def _check(self, needed: int, own: int, disk_free_bytes: int) -> None:
        room = self.room_bytes() + own
        above_floor = disk_free_bytes - self.disk_floor_bytes - self.reserved_bytes - self.in_flight_bytes + own
        if needed > room:
            raise StorageFullError(
                f"no room for {needed} B: {max(0, room)} B are left of the capacity of {self.capacity_bytes} B. "
                "Nothing was stored. Raise the capacity (`ralnode capacity`) or remove sources (`ralnode rm`)."
            )
        if needed > above_floor:
            raise StorageFullError(
                f"no room for {needed} B: the disk has {disk_free_bytes} B free and {self.disk_floor_bytes} B of them "
                "stay free. Nothing was stored. Make room on the disk or remove sources (`ralnode rm`)."
            )

    def set_capacity(self, capacity_bytes: int) -> None:
        """Raises StorageFullError if more is used or reserved already."""
        taken = self.used_bytes + self.reserved_bytes + self.in_flight_bytes
        if taken > capacity_bytes:
            raise StorageFullError(
                f"cannot set the capacity to {capacity_bytes} B: {taken} B are used or reserved already. "
                "Nothing was changed. Remove sources first (`ralnode rm`)."
            )
        self.capacity_bytes = capacity_bytes
