"""`Admission`: before a group of changes is carried out, decides what of it is new and what there is room for."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ralnode.api import BlockKey, StorageFullError
from ralnode_storage_sqlite import carfile
from ralnode_storage_sqlite.changes import Change, LinkFile, MoveBlocks, PutBlocks
from ralnode_storage_sqlite.ledger import Cost
from ralnode_storage_sqlite.parts import Parts
from ralnode_storage_sqlite.transaction import Transaction


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

    async def admit(self, group: Sequence[Entry]) -> None:
        """Leaves in each put what is new, and fails the changes that there is no room for."""
        await self._choose_fresh(group)
        if any(_takes_room(entry.change) for entry in group):
            free_bytes, _ = await self._threads.write(self._home.free_bytes)
            self._refuse_too_much(group, free_bytes)

    def settle(self, group: Sequence[Entry]) -> None:
        """What was in flight is now used, or was not stored. May be called again."""
        for entry in group:
            self._ledger.in_flight_bytes -= entry.bytes_in_flight
            entry.bytes_in_flight = 0
            change = entry.change
            if entry.has_failed and isinstance(change, PutBlocks) and change.reservation is not None:
                change.reservation.give_back(entry.reservation_bytes)
                entry.reservation_bytes = 0

    async def _choose_fresh(self, group: Sequence[Entry]) -> None:
        """Leaves in each put what is not owned yet, nor put by another of the group."""
        puts = [entry.change for entry in group if isinstance(entry.change, PutBlocks)]
        reading = Transaction(self._index.writer, {}, 0)
        places = await reading.places(list({block.key for put in puts for block in put.offered}))
        linked = {key: place for key, place in places.items() if place.is_linked}
        known = places.keys() - linked.keys()
        for put in puts:
            fresh = {block.key: block for block in put.offered if block.key not in known}
            put.blocks = list(fresh.values())
            put.linked = linked
            known |= fresh.keys()

    def _refuse_too_much(self, group: Sequence[Entry], free_bytes: int) -> None:
        refused: set[BlockKey] = set()
        for entry in group:
            if isinstance(entry.change, PutBlocks):
                self._take_over(entry.change, refused)
            if _takes_room(entry.change) and not self._has_room(entry, free_bytes):
                refused |= {block.key for block in entry.change.blocks}
                entry.change.blocks = ()

    @staticmethod
    def _take_over(put: PutBlocks, refused: set[BlockKey]) -> None:
        """Blocks that this put left to one that was then refused become its own."""
        mine = {block.key for block in put.blocks}
        again = {block.key: block for block in put.offered if block.key in refused and block.key not in mine}
        put.blocks = [*put.blocks, *again.values()]
        refused -= again.keys()

    def _has_room(self, entry: Entry, free_bytes: int) -> bool:
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
            entry.fail(error)
            return False
        if reservation is not None:
            entry.reservation_bytes = reservation.use(sum(len(block.data) for block in change.blocks))
        return True


def _takes_room(change: Change) -> bool:
    return bool(change.blocks) or isinstance(change, LinkFile)
