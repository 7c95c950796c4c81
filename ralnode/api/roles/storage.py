"""The storage role: blocks by key, durable when acknowledged, under a hard quota. IO; never blocks the loop over 50 ms."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from ralnode.api.model import Block, BlockKey, FileSlice, Held, Usage


class Reservation(Protocol):
    """Bytes set aside under the quota before they are written."""

    @property
    def remaining_bytes(self) -> int: ...

    async def release(self) -> None:
        """Give back what was not used. May be called twice."""
        ...


@dataclass(frozen=True, slots=True)
class VerifyProgress:
    checked_count: int
    total_count: int
    checked_bytes: int
    bad: tuple[BlockKey, ...] = ()
    """Found bad since the last report; already quarantined and no longer held."""


class Storage(Protocol):
    """Blocks by key, durable when acknowledged, under a hard quota. The contract suite is `ralnode.testing.storage_contract`."""

    async def open(self, on_lost: Callable[[Sequence[BlockKey]], None]) -> None:
        """Opens or creates. `on_lost` is called on the event loop when blocks turn out bad or a linked file changed;
        they are then no longer held. Raises StorageError (a disk that is missing, a schema too new, …)."""
        ...

    async def close(self) -> None: ...

    async def reserve(self, size_bytes: int) -> Reservation:
        """Sets bytes aside. Raises StorageFullError, nothing changed."""
        ...

    async def put(
        self,
        blocks: Sequence[Block],
        reservation: Reservation | None = None,
        written: Callable[[], None] | None = None,
    ) -> None:
        """Stores blocks that the caller has verified; on return they are durable. All or nothing; a block already owned
        is skipped, a linked one becomes owned. Raises StorageFullError before anything is written.

        `written` is called on the event loop once `blocks` will not be looked at again, which may be long before they are
        durable: a caller that keeps several puts under way may let go of the content then."""
        ...

    async def link(self, path: Path, slices: Sequence[FileSlice]) -> None:
        """Holds blocks by reference into `path`. Durable on return. Blocks already held are skipped."""
        ...

    async def get(self, key: BlockKey) -> bytes | None:
        """The verified bytes, or None if not held (or found bad: then `on_lost` has been called)."""
        ...

    async def get_many(self, keys: Sequence[BlockKey]) -> list[bytes | None]:
        """As `get`, in the order of the keys; reads are coalesced where blocks lie side by side."""
        ...

    async def held(self, keys: Sequence[BlockKey]) -> list[Held]:
        """An index look-up, no data is read. Fast for hundreds of thousands of keys."""
        ...

    async def delete(self, keys: Sequence[BlockKey]) -> int:
        """Forgets owned and linked blocks; returns how many were held. A user's file is never touched."""
        ...

    def usage(self) -> Usage:
        """As of the last change; no IO."""
        ...

    async def set_capacity(self, capacity_bytes: int) -> None:
        """A hard limit from now on. Raises StorageFullError if more is used already; nothing changed."""
        ...

    async def save_state(self, items: Mapping[bytes, bytes | None]) -> None:
        """Small durable documents beside the blocks (catalogue, counters); None deletes. One transaction."""
        ...

    async def load_state(self, prefix: bytes) -> dict[bytes, bytes]:
        """All documents whose name starts with `prefix`."""
        ...

    def verify(self, *, bytes_per_second: int | None = None) -> AsyncIterator[VerifyProgress]:
        """Re-hashes everything held, at a limited pace if asked."""
        ...

    async def rebuild_index(self, progress: Callable[[int, int], None]) -> int:
        """Makes the index anew from the segments; `progress(done_bytes, total_bytes)`; returns the count of blocks."""
        ...


@runtime_checkable
class ListingStorage(Protocol):
    """A storage that can also say what it has; optional. Without it leftovers cannot be found."""

    def owned_blocks(self) -> AsyncIterator[Sequence[tuple[BlockKey, int]]]:
        """(key, bytes) of every owned block, in groups of a few thousand, in any order; blocks by reference are left out.
        One that moves or comes meanwhile may be told twice or not at all; one that was there all the time is told."""
        ...
