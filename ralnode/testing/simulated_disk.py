"""A disk in memory for simulated nodes: synchronous, reckons with the full size of tiny blocks, survives a crash.

It refuses what the real store refuses (quota, read-only) and checks bytes when they are read. It does not know sources.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from ralnode.api import Block, BlockKey, Held, StorageError, StorageFullError, Usage
from ralnode.dag import cid

FREE_BYTES: Final = 1 << 50


class SimulatedDisk:
    """Blocks, links into the user's files, state documents. `size_of` says how large a block counts."""

    def __init__(self, capacity_bytes: int, size_of: Callable[[BlockKey], int]) -> None:
        self.capacity_bytes = capacity_bytes
        self.used_bytes = 0
        self.reserved_bytes = 0
        self.read_only_reason = ""
        self.documents: dict[bytes, bytes] = {}
        self._size_of = size_of
        self._blocks: dict[BlockKey, bytes] = {}
        self._links: dict[BlockKey, bytes] = {}
        self._rotten: set[BlockKey] = set()

    # --- quota ------------------------------------------------------------------------------------------------------

    def usage(self) -> Usage:
        return Usage(
            capacity_bytes=self.capacity_bytes,
            used_bytes=self.used_bytes,
            reserved_bytes=self.reserved_bytes,
            block_count=len(self._blocks),
            disk_free_bytes=FREE_BYTES,
            disk_total_bytes=FREE_BYTES,
            read_only_reason=self.read_only_reason,
        )

    def reserve(self, size_bytes: int) -> None:
        """Raises StorageFullError, nothing changed."""
        self._check_writable()
        free = self.capacity_bytes - self.used_bytes - self.reserved_bytes
        if size_bytes > free:
            raise StorageFullError(f"{size_bytes} B do not fit into the {free} B that are free. Nothing was stored.")
        self.reserved_bytes += size_bytes

    def release(self, size_bytes: int) -> None:
        self.reserved_bytes -= size_bytes

    def set_capacity(self, capacity_bytes: int) -> None:
        """Raises StorageFullError if more is used already, nothing changed."""
        if capacity_bytes < self.used_bytes + self.reserved_bytes:
            raise StorageFullError(f"{self.used_bytes} B are used, so {capacity_bytes} B are too few")
        self.capacity_bytes = capacity_bytes

    def _check_writable(self) -> None:
        if self.read_only_reason:
            raise StorageError(f"the store is read-only: {self.read_only_reason}")

    # --- blocks -----------------------------------------------------------------------------------------------------

    def put(self, blocks: Iterable[Block], reserved_bytes: int = 0) -> int:
        """Stores verified blocks, durable on return; up to `reserved_bytes` come out of what was reserved, and the
        bytes that did are returned. Raises StorageError or StorageFullError, nothing changed."""
        self._check_writable()
        fresh = {block.key: block.data for block in blocks if block.key not in self._blocks}
        size_bytes = sum(map(self._size_of, fresh))
        used_of_reserve = min(size_bytes, reserved_bytes)
        self.reserved_bytes -= used_of_reserve
        try:
            self.reserve(size_bytes)
        except StorageFullError:
            self.reserved_bytes += used_of_reserve
            raise
        self.reserved_bytes -= size_bytes
        self.used_bytes += size_bytes
        self._blocks.update(fresh)
        for key in fresh:
            self._links.pop(key, None)
        return used_of_reserve

    def link(self, blocks: Iterable[Block]) -> None:
        for block in blocks:
            if block.key not in self._blocks:
                self._links[block.key] = block.data

    def delete(self, keys: Iterable[BlockKey]) -> None:
        for key in keys:
            self._rotten.discard(key)
            if self._blocks.pop(key, None) is not None:
                self.used_bytes -= self._size_of(key)
            self._links.pop(key, None)

    def held(self, key: BlockKey) -> Held:
        if key in self._blocks:
            return Held.OWNED
        return Held.LINKED if key in self._links else Held.NO

    def has_all(self, keys: Sequence[BlockKey]) -> bool:
        return all(key in self._blocks for key in keys)

    def read(self, key: BlockKey) -> bytes | None:
        """The bytes if they are what the key says; rotten ones are forgotten (ask `held` afterwards)."""
        data = self._blocks.get(key, self._links.get(key))
        if data is not None and not cid.verify(key, data):
            self.delete([key])
            return None
        return data

    def peek(self, key: BlockKey) -> bytes | None:
        """The bytes as they lie there, unchecked."""
        return self._blocks.get(key)

    def is_rotten(self, key: BlockKey) -> bool:
        return key in self._rotten

    def owned(self) -> Sequence[BlockKey]:
        """The keys of all owned blocks."""
        return list(self._blocks)

    def held_keys(self) -> Sequence[BlockKey]:
        """Owned and linked."""
        return [*self._blocks, *self._links]

    # --- state ------------------------------------------------------------------------------------------------------

    def save(self, items: Mapping[bytes, bytes | None]) -> None:
        for name, value in items.items():
            if value is None:
                self.documents.pop(name, None)
            else:
                self.documents[name] = value

    # --- faults -----------------------------------------------------------------------------------------------------

    def restart(self) -> None:
        """Reservations do not outlive the process."""
        self.reserved_bytes = 0
        self.read_only_reason = ""

    def wipe(self) -> None:
        self._blocks.clear()
        self._links.clear()
        self._rotten.clear()
        self.documents.clear()
        self.used_bytes = self.reserved_bytes = 0

    def rot(self, key: BlockKey) -> None:
        """Flips a bit of an owned block."""
        self._rotten.add(key)
        data = bytearray(self._blocks[key])
        data[0] ^= 1
        self._blocks[key] = bytes(data)
