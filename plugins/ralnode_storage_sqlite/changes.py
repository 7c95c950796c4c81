"""Everything that can be done to a store, as small objects that the writer carries out in groups.

`blocks` are appended before the transaction begins; `apply` then says what they mean. In a group, puts come before links
and both before anything that removes or moves: what a put was told about held blocks is then still true when it is applied.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from ralnode.api import Block, BlockKey, FileSlice, StorageError
from ralnode_storage_sqlite.disk import Stamp
from ralnode_storage_sqlite.index import Place
from ralnode_storage_sqlite.ledger import Reservation
from ralnode_storage_sqlite.schema import PAGE_BYTES
from ralnode_storage_sqlite.transaction import Transaction

ROWS_PER_CHANGE: Final = 200
"""Long lists of keys are carried out in pieces, so that others are served in between and the WAL keeps its size."""

ANY_RANK: Final = -1

_GONE: Final = Stamp(-1, -1, -1)
"""Of a linked file whose blocks are being dropped: no file has it."""


class Found(NamedTuple):
    """A block that did not verify where the index says it is."""

    key: BlockKey
    place: Place
    reason: str


class Change:
    """The base: something that touches rows only. An `apply` that raises StorageError has changed nothing yet."""

    rank = 2
    """A change may follow those of its own rank and of lower ones into a group."""
    blocks: Sequence[Block] = ()
    """To append."""
    size_bytes = 0
    """Of the content that it brings."""

    @property
    def row_count(self) -> int:
        return ROWS_PER_CHANGE

    async def apply(self, transaction: Transaction) -> Any:
        raise NotImplementedError


class PutBlocks(Change):
    """The writer sets `blocks` to those that are not owned yet, and `linked` to where some of them lie by reference."""

    rank = 0

    def __init__(
        self,
        offered: Sequence[Block],
        reservation: Reservation | None,
        written: Callable[[], None] | None = None,
    ) -> None:
        self.offered = offered
        self.reservation = reservation
        self.linked: dict[BlockKey, Place] = {}
        self.size_bytes = sum(len(block.data) for block in offered)
        self._keys: Sequence[BlockKey] = ()
        self._row_count = len(offered)
        self._written = written

    @property
    def row_count(self) -> int:
        return self._row_count

    @property
    def is_void(self) -> bool:
        """Whether nothing of it was new."""
        return not self._keys and not self.blocks

    def let_go(self) -> None:
        """The content is written: only the keys are needed from now on."""
        self._keys = [block.key for block in self.blocks]
        self.offered = self.blocks = ()
        if self._written is not None:
            self._written()

    async def apply(self, transaction: Transaction) -> None:
        await transaction.own(self._keys, [self.linked[key] for key in self._keys if key in self.linked])


class SaveState(Change):
    """Small documents; they have nothing to do with blocks."""

    rank = ANY_RANK

    def __init__(self, items: Mapping[bytes, bytes | None]) -> None:
        self._items = items

    @property
    def row_count(self) -> int:
        """In pages, since a document may be long."""
        return sum(2 + len(document or b"") // PAGE_BYTES for document in self._items.values())

    async def apply(self, transaction: Transaction) -> None:
        gone = [(name,) for name, document in self._items.items() if document is None]
        kept = [(name, document) for name, document in self._items.items() if document is not None]
        await transaction.many("DELETE FROM state WHERE name = ?", gone)
        await transaction.many(
            "INSERT INTO state(name, document) VALUES(?, ?)"
            " ON CONFLICT(name) DO UPDATE SET document = excluded.document",
            kept,
        )


class LinkFile(Change):
    """Some slices of one file; those held already are skipped."""

    rank = 1

    def __init__(self, path: bytes, stamp: Stamp, slices: Sequence[FileSlice]) -> None:
        self._path = path
        self._stamp = stamp
        self._slices = {piece.key: piece for piece in slices}

    @property
    def row_count(self) -> int:
        return len(self._slices)

    async def apply(self, transaction: Transaction) -> None:
        held = await transaction.places(list(self._slices))
        fresh = [piece for key, piece in self._slices.items() if key not in held]
        if not fresh:
            return
        file_id, stamp = await transaction.linked_file(self._path, self._stamp)
        if stamp != self._stamp:
            raise StorageError(f"cannot link {self._path!r}: it changed meanwhile. Add it again.")
        await transaction.link([(key, Place(-file_id, offset, length)) for key, offset, length in fresh])


class DropFile(Change):
    """Forgets some blocks of a linked file that is no longer what it was. Answers (keys, whether that was all)."""

    def __init__(self, file_id: int, stamp: Stamp) -> None:
        self._file_id = file_id
        self._stamp = stamp

    async def apply(self, transaction: Transaction) -> tuple[list[BlockKey], bool]:
        now = await transaction.rows("SELECT size, mtime_ns, inode FROM linked_files WHERE id = ?", (self._file_id,))
        if not now or Stamp(*now[0]) not in (self._stamp, _GONE):
            return [], True
        rows = await transaction.rows(
            "SELECT key, file, offset, length FROM blocks WHERE file = ? LIMIT ?", (-self._file_id, ROWS_PER_CHANGE)
        )
        await transaction.rows(
            "UPDATE linked_files SET size = ?, mtime_ns = ?, inode = ? WHERE id = ?", (*_GONE, self._file_id)
        )
        await transaction.remove([(row[0], Place(*row[1:])) for row in rows])
        await transaction.forget_empty_files([-self._file_id])
        return [row[0] for row in rows], len(rows) < ROWS_PER_CHANGE


class DeleteBlocks(Change):
    """Answers how many of the keys were held."""

    def __init__(self, keys: Sequence[BlockKey]) -> None:
        self._keys = keys

    async def apply(self, transaction: Transaction) -> int:
        held = await transaction.places(self._keys)
        await transaction.remove(list(held.items()))
        return len(held)


class QuarantineBlocks(Change):
    """Forgets bad blocks, unless they have moved since they were read. Answers the keys that are held no longer."""

    def __init__(self, found: Sequence[Found]) -> None:
        self._found = found

    async def apply(self, transaction: Transaction) -> list[BlockKey]:
        places = await transaction.places([bad.key for bad in self._found])
        bad = {bad.key: bad for bad in self._found if places.get(bad.key) == bad.place}
        await transaction.remove([(key, one.place) for key, one in bad.items()])
        await transaction.quarantine(list(bad.values()))
        return list(bad)


class MoveBlocks(Change):
    """Live blocks of a segment that is mostly dead, copied to the tail."""

    def __init__(self, blocks: Sequence[Block], places: Mapping[BlockKey, Place]) -> None:
        self.blocks = blocks
        self.size_bytes = sum(len(block.data) for block in blocks)
        self._places = places

    @property
    def row_count(self) -> int:
        return len(self.blocks)

    async def apply(self, transaction: Transaction) -> None:
        now = await transaction.places(list(self._places))
        same = [(key, place) for key, place in self._places.items() if now.get(key) == place]
        await transaction.move(same)
        gone = self._places.keys() - dict(same).keys()
        await transaction.bury([*same, *((key, transaction.appended[key]) for key in gone)])


class ForgetDead(Change):
    """The bytes of these records were given back, so many in each segment."""

    def __init__(self, places: Sequence[Place], punched_bytes: Mapping[int, int]) -> None:
        self._places = places
        self._punched_bytes = punched_bytes

    async def apply(self, transaction: Transaction) -> None:
        await transaction.many(
            "DELETE FROM dead WHERE segment = ? AND offset = ?", [(place.file, place.offset) for place in self._places]
        )
        for segment, size_bytes in self._punched_bytes.items():
            transaction.delta.segment(segment).punched_bytes += size_bytes


class RetireSegment(Change):
    """A segment without live blocks whose file has been removed."""

    def __init__(self, segment: int) -> None:
        self._segment = segment

    async def apply(self, transaction: Transaction) -> None:
        await transaction.retire(self._segment)


class SealTail(Change):
    """The next block begins a new segment, so that the one in use so far can be rewritten."""

    async def apply(self, transaction: Transaction) -> None:
        """The writer knows what to do."""
