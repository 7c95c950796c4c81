"""`MemoryStorage`: the whole storage role in dictionaries, for simulations and tests, with faults to switch on.

No method ever suspends, so a simulator without an event loop may drive one with `coroutine.send(None)`. Closing keeps
what is stored: open the same object again to restart a node. Linked files are read through `Files`.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

from ralnode.api import (
    Block,
    BlockKey,
    FileSlice,
    Held,
    Reservation,
    StorageError,
    StorageFullError,
    Usage,
    VerifyProgress,
)
from ralnode.dag import cid

Stamp: TypeAlias = tuple[int, int, int]
"""Size, modification time in ns, inode: what tells that a file is still the one that was linked."""

VERIFY_BATCH_BLOCKS: Final = 256
DISK_BYTES: Final = 1 << 40


class Files(Protocol):
    """The users' files, real or imagined."""

    def stamp(self, path: Path) -> Stamp | None:
        """None when the file is not there."""
        ...

    def read(self, path: Path, offset: int, length: int) -> bytes:
        """At most `length` bytes. Raises OSError."""
        ...


class RealFiles:
    """Files as the operating system has them."""

    def stamp(self, path: Path) -> Stamp | None:
        try:
            found = path.stat()
        except OSError:
            return None
        return found.st_size, found.st_mtime_ns, found.st_ino

    def read(self, path: Path, offset: int, length: int) -> bytes:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            return os.pread(descriptor, length, offset)
        finally:
            os.close(descriptor)


class Link(NamedTuple):
    path: Path
    offset: int
    length: int


@dataclass(slots=True)
class Faults:
    """Switches. They stay as set until they fire (`next_put`) or are set back."""

    next_put: StorageError | None = None
    """Raised by the next `put`, once, with nothing stored: a StorageFullError or a StorageError."""
    sync_is_a_lie: bool = False
    """Writes are acknowledged but not durable: `crash` loses them, unless `sync` came first."""
    read_only_reason: str = ""
    """Not empty: every write is refused with it, as after a failed fsync. Opening again clears it."""
    disk_free_bytes: int | None = None
    """What other programs leave free beside us; None for a disk of DISK_BYTES that nobody else uses."""


class MemoryReservation:
    """See `ralnode.api.Reservation`."""

    def __init__(self, store: MemoryStorage, size_bytes: int) -> None:
        self._store = store
        self._remaining_bytes = size_bytes

    @property
    def remaining_bytes(self) -> int:
        return self._remaining_bytes

    async def release(self) -> None:
        self.use(self._remaining_bytes)

    def use(self, size_bytes: int) -> None:
        """Takes up to `size_bytes` out of what is set aside."""
        taken = min(size_bytes, self._remaining_bytes)
        self._remaining_bytes -= taken
        self._store.reserved_bytes -= taken


@dataclass(slots=True)
class _Undo:
    """What to put back when a crash loses un-synced writes; None: the key was not there."""

    table: dict[Any, Any]
    key: Any
    before: Any


class MemoryStorage:
    """A `Storage` in memory; only the bytes of owned blocks count against the capacity."""

    def __init__(
        self,
        capacity_bytes: int,
        disk_floor_bytes: int = 0,
        files: Files | None = None,
        faults: Faults | None = None,
    ) -> None:
        self.capacity_bytes = capacity_bytes
        self.disk_floor_bytes = disk_floor_bytes
        self.files = files or RealFiles()
        self.faults = faults or Faults()
        self.used_bytes = 0
        self.reserved_bytes = 0
        self.is_open = False
        self._blocks: dict[BlockKey, bytes] = {}
        self._links: dict[BlockKey, Link] = {}
        self._stamps: dict[Path, Stamp] = {}
        self._state: dict[bytes, bytes] = {}
        self._undo: list[_Undo] = []
        self._on_lost: Callable[[Sequence[BlockKey]], None] = lambda keys: None

    # --- life

    async def open(self, on_lost: Callable[[Sequence[BlockKey]], None]) -> None:
        if self.is_open:
            raise StorageError("cannot open the memory store: it is open already. Nothing was changed.")
        self.is_open = True
        self.faults.read_only_reason = ""
        self._on_lost = on_lost

    async def close(self) -> None:
        self.is_open = False
        self.reserved_bytes = 0

    def sync(self) -> None:
        """All that was written so far will survive a crash, whatever the faults say."""
        self._undo.clear()

    def crash(self) -> None:
        """The machine loses power: un-synced writes are undone, reservations forgotten, the store closed."""
        for undo in reversed(self._undo):
            if undo.before is None:
                undo.table.pop(undo.key, None)
            else:
                undo.table[undo.key] = undo.before
        self._undo.clear()
        self.used_bytes = sum(map(len, self._blocks.values()))
        self.reserved_bytes = 0
        self.is_open = False

    def flip_bit(self, key: BlockKey, bit: int = 0) -> None:
        """Rots one bit of an owned block on the imagined disk."""
        damaged = bytearray(self._blocks[key])
        damaged[bit // 8] ^= 1 << bit % 8
        self._blocks[key] = bytes(damaged)

    # --- quota

    async def reserve(self, size_bytes: int) -> MemoryReservation:
        self._check_writable("set bytes aside")
        self._check_room(size_bytes)
        self.reserved_bytes += size_bytes
        return MemoryReservation(self, size_bytes)

    def usage(self) -> Usage:
        return Usage(
            capacity_bytes=self.capacity_bytes,
            used_bytes=self.used_bytes,
            reserved_bytes=self.reserved_bytes,
            linked_bytes=sum(link.length for link in self._links.values()),
            block_count=len(self._blocks) + len(self._links),
            disk_free_bytes=self._disk_free_bytes(),
            disk_total_bytes=DISK_BYTES,
            read_only_reason=self.faults.read_only_reason,
        )

    async def set_capacity(self, capacity_bytes: int) -> None:
        if capacity_bytes < self.used_bytes + self.reserved_bytes:
            raise StorageFullError(
                f"cannot set the capacity to {capacity_bytes} B: {self.used_bytes} B are used and "
                f"{self.reserved_bytes} B reserved. Nothing was changed. Remove sources first."
            )
        self.capacity_bytes = capacity_bytes

    def _disk_free_bytes(self) -> int:
        if self.faults.disk_free_bytes is not None:
            return self.faults.disk_free_bytes
        return max(0, DISK_BYTES - self.used_bytes)

    def _check_room(self, size_bytes: int) -> None:
        free = self.capacity_bytes - self.used_bytes - self.reserved_bytes
        above_floor = self._disk_free_bytes() - self.reserved_bytes - self.disk_floor_bytes
        if size_bytes > min(free, above_floor):
            raise StorageFullError(
                f"no room for {size_bytes} B: {free} B are free under the capacity of {self.capacity_bytes} B, "
                f"{above_floor} B above the disk floor. Nothing was stored. Raise the capacity or remove sources."
            )

    def _check_writable(self, action: str) -> None:
        if not self.is_open:
            raise StorageError(f"cannot {action}: the memory store is not open. Nothing was changed.")
        if self.faults.read_only_reason:
            raise StorageError(f"cannot {action}: the store is read-only ({self.faults.read_only_reason}).")

    # --- writing

    async def put(
        self,
        blocks: Sequence[Block],
        reservation: Reservation | None = None,
        written: Callable[[], None] | None = None,
    ) -> None:
        assert reservation is None or isinstance(reservation, MemoryReservation), "a reservation of another store"
        self._check_writable(f"store {len(blocks)} blocks")
        if self.faults.next_put is not None:
            error, self.faults.next_put = self.faults.next_put, None
            raise error
        fresh = {block.key: block.data for block in blocks if block.key not in self._blocks}
        size_bytes = sum(map(len, fresh.values()))
        self._check_room(size_bytes - min(size_bytes, reservation.remaining_bytes if reservation else 0))
        if reservation:
            reservation.use(size_bytes)
        for key, data in fresh.items():
            self._change(self._links, key, None)
            self._change(self._blocks, key, bytes(data))
        self.used_bytes += size_bytes
        if written is not None:
            written()

    async def link(self, path: Path, slices: Sequence[FileSlice]) -> None:
        self._check_writable(f"link {path}")
        stamp = self.files.stamp(path)
        end = max((piece.offset + piece.length for piece in slices), default=0)
        if stamp is None or end > stamp[0]:
            found = "it is not there" if stamp is None else f"it has {stamp[0]} B, the blocks reach to {end} B"
            raise StorageError(f"cannot link {path}: {found}. Nothing was changed. Add it again.")
        others = {self._links[piece.key].path for piece in slices if piece.key in self._links}
        stale = self._drop_changed(others | {path})
        self._change(self._stamps, path, stamp)
        for key, offset, length in slices:
            if key not in self._blocks and key not in self._links:
                self._change(self._links, key, Link(path, offset, length))
        self._report(key for key in stale if key not in self._links)

    async def delete(self, keys: Sequence[BlockKey]) -> int:
        self._check_writable(f"delete {len(keys)} blocks")
        return sum(self._forget(key) for key in set(keys))

    async def save_state(self, items: Mapping[bytes, bytes | None]) -> None:
        self._check_writable("save state")
        for name, document in items.items():
            self._change(self._state, name, document)

    def _change(self, table: dict[Any, Any], key: Any, value: Any) -> None:
        """Sets (None: removes) one entry, remembering the old one while syncs are lies."""
        if self.faults.sync_is_a_lie:
            self._undo.append(_Undo(table, key, table.get(key)))
        if value is None:
            table.pop(key, None)
        else:
            table[key] = value

    def _forget(self, key: BlockKey) -> bool:
        if (data := self._blocks.get(key)) is not None:
            self.used_bytes -= len(data)
            self._change(self._blocks, key, None)
            return True
        was_linked = key in self._links
        self._change(self._links, key, None)
        return was_linked

    # --- reading

    async def get(self, key: BlockKey) -> bytes | None:
        return (await self.get_many([key]))[0]

    async def get_many(self, keys: Sequence[BlockKey]) -> list[bytes | None]:
        lost: list[BlockKey] = []
        found = [self._read(key, lost) for key in keys]
        self._report(lost)
        return found

    async def held(self, keys: Sequence[BlockKey]) -> list[Held]:
        return [self._held(key) for key in keys]

    async def owned_blocks(self) -> AsyncIterator[Sequence[tuple[BlockKey, int]]]:
        """See `ralnode.api.ListingStorage`."""
        listed = [(key, len(data)) for key, data in self._blocks.items()]
        for start in range(0, len(listed), VERIFY_BATCH_BLOCKS):
            yield listed[start : start + VERIFY_BATCH_BLOCKS]

    async def load_state(self, prefix: bytes) -> dict[bytes, bytes]:
        return {name: document for name, document in self._state.items() if name.startswith(prefix)}

    def _held(self, key: BlockKey) -> Held:
        if key in self._blocks:
            return Held.OWNED
        return Held.LINKED if key in self._links else Held.NO

    def _read(self, key: BlockKey, lost: list[BlockKey]) -> bytes | None:
        link = self._links.get(key)
        if link is not None:
            lost.extend(self._drop_changed({link.path}))
            link = self._links.get(key)
        data = self._read_link(link) if link else self._blocks.get(key)
        if data is None or cid.verify(key, data):
            return data
        self._forget(key)
        lost.append(key)
        return None

    def _read_link(self, link: Link) -> bytes:
        try:
            return self.files.read(link.path, link.offset, link.length)
        except OSError:
            return b""

    def _drop_changed(self, paths: set[Path]) -> list[BlockKey]:
        """Forgets all blocks in those of `paths` that are no longer the file that was linked."""
        changed = {path for path in paths if path in self._stamps and self.files.stamp(path) != self._stamps[path]}
        dropped = [key for key, link in self._links.items() if link.path in changed] if changed else []
        for key in dropped:
            self._change(self._links, key, None)
        for path in changed:
            self._change(self._stamps, path, None)
        return dropped

    def _report(self, keys: Any) -> None:
        lost = list(dict.fromkeys(keys))
        if lost:
            self._on_lost(lost)

    # --- care

    async def verify(self, *, bytes_per_second: int | None = None) -> AsyncIterator[VerifyProgress]:
        """`bytes_per_second` is ignored: time is the caller's here."""
        keys = [*self._blocks, *self._links]
        checked_bytes = 0
        for start in range(0, len(keys), VERIFY_BATCH_BLOCKS):
            batch = keys[start : start + VERIFY_BATCH_BLOCKS]
            lost: list[BlockKey] = []
            checked_bytes += sum(len(self._read(key, lost) or b"") for key in batch)
            self._report(lost)
            yield VerifyProgress(start + len(batch), len(keys), checked_bytes, tuple(lost))

    async def rebuild_index(self, progress: Callable[[int, int], None]) -> int:
        """There is no index beside the blocks; damaged ones are left out as a real rebuild would."""
        lost: list[BlockKey] = []
        for key in list(self._blocks):
            self._read(key, lost)
        self._report(lost)
        progress(self.used_bytes, self.used_bytes)
        return len(self._blocks) + len(self._links)
