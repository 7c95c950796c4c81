"""`Admission`: before a batch of changes is carried out, decides what of it is new and what there is room for."""

from __future__ import annotations

import asyncio
from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Any

from ralnode.api import BlockKey, StorageFullError
from ralnode_storage_sqlite import carfile
from ralnode_storage_sqlite.changes import Change, LinkFile, MoveBlocks, PutBlocks
from ralnode_storage_sqlite.ledger import Cost
from ralnode_storage_sqlite.parts import Parts


@dataclass(slots=True)
class Entry:
    """A change on its way. `bytes_in_flight` is to be given back when it is over, `reservation_bytes` if it failed."""

    change: Change
    future: asyncio.Future[Any]
    bytes_in_flight: int = 0
    reservation_bytes: int = 0
    has_failed: bool = False
    has_succeeded: bool = False

    def fail(self, error: Exception) -> None:
        if self.has_succeeded:
            return
        self.has_failed = True
        if not self.future.done():
            self.future.set_exception(error)

    def succeed(self, answer: Any) -> None:
        self.has_succeeded = not self.has_failed
        if not self.future.done():  # or nobody waits any more
            self.future.set_result(answer)


class Admission:
    """Used by the writer alone."""

    def __init__(self, parts: Parts) -> None:
        self._index = parts.index
        self._ledger = parts.ledger
        self._home = parts.home
        self._threads = parts.threads
        self._free_bytes_then = 0

    async def admit(self, batch: Sequence[Entry], written: Sequence[Container[BlockKey]]) -> bool:
        """Leaves in each put what is new. `written` are the blocks of earlier batches that are not committed yet: while
        there are any, their room is counted twice, so False, with nothing changed, means: ask again after the commit.
        Without any, the changes that there is no room for fail."""
        await self._choose_fresh(batch, written)
        if any(_takes_room(entry.change) for entry in batch):
            free_bytes = await self._free_bytes(is_fresh=not written)
            if written and not self._has_room_for_all(batch, free_bytes):
                return False
            if not written:
                self._refuse_too_much(batch, free_bytes)
        return True

    async def _free_bytes(self, *, is_fresh: bool) -> int:
        """What was measured here or by a commit, whichever is less, is as good as new while a commit is at most one group
        away: what came since is in flight."""
        if is_fresh:
            self._free_bytes_then, _ = await self._threads.write(self._home.free_bytes)
            return self._free_bytes_then
        return min(self._free_bytes_then, self._ledger.disk_free_bytes)

    def settle(self, group: Sequence[Entry]) -> None:
        """What was in flight is now used, or was not stored. May be called again."""
        for entry in group:
            self._ledger.in_flight_bytes -= entry.bytes_in_flight
            entry.bytes_in_flight = 0
            if entry.has_failed:
                self._give_back(entry)

    @staticmethod
    def _give_back(entry: Entry) -> None:
        change = entry.change
        if isinstance(change, PutBlocks) and change.reservation is not None:
            change.reservation.give_back(entry.reservation_bytes)
            entry.reservation_bytes = 0

    async def _choose_fresh(self, batch: Sequence[Entry], written: Sequence[Container[BlockKey]]) -> None:
        """Leaves in each put what is not owned yet, nor written already, nor put by another of the batch. What was
        written when we begin is passed in, so it does not matter whether its commit comes in between."""
        puts = [entry.change for entry in batch if isinstance(entry.change, PutBlocks)]
        places = await self._index.places(list({block.key for put in puts for block in put.offered}))
        linked = {key: place for key, place in places.items() if place.is_linked}
        known = places.keys() - linked.keys()
        for put in puts:
            fresh = {
                block.key: block
                for block in put.offered
                if block.key not in known and not any(block.key in keys for keys in written)
            }
            put.blocks = list(fresh.values())
            put.linked = linked
            known |= fresh.keys()

    def _has_room_for_all(self, batch: Sequence[Entry], free_bytes: int) -> bool:
        """Takes it, or nothing."""
        for entry in batch:
            if _takes_room(entry.change) and self._take_room(entry, free_bytes) is not None:
                for taken in batch:
                    self._ledger.in_flight_bytes -= taken.bytes_in_flight
                    taken.bytes_in_flight = 0
                    self._give_back(taken)
                return False
        return True

    def _refuse_too_much(self, group: Sequence[Entry], free_bytes: int) -> None:
        refused: set[BlockKey] = set()
        for entry in group:
            if isinstance(entry.change, PutBlocks):
                self._take_over(entry.change, refused)
            if _takes_room(entry.change) and (error := self._take_room(entry, free_bytes)) is not None:
                entry.fail(error)
                refused |= {block.key for block in entry.change.blocks}
                entry.change.blocks = ()

    @staticmethod
    def _take_over(put: PutBlocks, refused: set[BlockKey]) -> None:
        """Blocks that this put left to one that was then refused become its own."""
        mine = {block.key for block in put.blocks}
        again = {block.key: block for block in put.offered if block.key in refused and block.key not in mine}
        put.blocks = [*put.blocks, *again.values()]
        refused -= again.keys()

    def _take_room(self, entry: Entry, free_bytes: int) -> StorageFullError | None:
        change = entry.change
        reservation = change.reservation if isinstance(change, PutBlocks) else None
        own_bytes = reservation.backing_bytes if reservation else 0
        if isinstance(change, MoveBlocks):
            own_bytes = self._ledger.move_room_bytes
        record_bytes = sum(carfile.record_bytes(block.key, len(block.data)) for block in change.blocks)
        try:
            cost = Cost(record_bytes, change.row_count)
            entry.bytes_in_flight = self._ledger.admit(cost, free_bytes, own_bytes)
        except StorageFullError as error:
            return error
        if reservation is not None:
            entry.reservation_bytes = reservation.use(sum(len(block.data) for block in change.blocks))
        return None


def _takes_room(change: Change) -> bool:
    return bool(change.blocks) or isinstance(change, LinkFile)
