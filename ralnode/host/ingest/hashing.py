"""Cuts content into leaves and hashes it: the work that threads do. Blocking; knows no store and no event loop."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from ralnode.api import Block, FileSlice, LocalError
from ralnode.api.limits import MIB
from ralnode.dag import cid as cids
from ralnode.dag.build import Built, Leaf, make_leaf
from ralnode.dag.profile import Profile
from ralnode.host.ingest.localtree import stamp_of
from ralnode.host.ingest.model import FILE, Item, LentFile

JOB_BYTES: Final = 2 * MIB
"""Content per call: hashed in 2 ms, which is worth the hop; several calls are under way at once."""
JOB_ITEMS: Final = 256
"""Small files per call."""


@dataclass(frozen=True, slots=True)
class Span:
    """Part of an item to hash: the `data` that was uploaded, else it is read from the file that was lent, else from the
    one at the item's local path."""

    item: Item
    offset: int = 0
    length: int = 0
    is_last: bool = True
    data: bytes | None = None
    lent: LentFile | None = None


@dataclass(slots=True)
class Part:
    """A span hashed; or what is known of an item without reading it (`known`, or `leaves` of an earlier, interrupted add)."""

    item: Item
    is_last: bool = True
    leaves: list[Leaf] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    slices: list[FileSlice] = field(default_factory=list)
    known: Built | None = None
    is_resumed: bool = False

    @property
    def content_bytes(self) -> int:
        if self.known is not None:
            return self.item.stamp.size_bytes
        return sum(leaf.content_bytes for leaf in self.leaves)


class Hasher:
    """`link`: nothing is kept of the content, leaves are remembered as slices of their file."""

    def __init__(self, profile: Profile, *, link: bool) -> None:
        self._profile = profile
        self._link = link

    def run(self, work: Sequence[Span | Part]) -> list[Part]:
        """In the same order; parts that are known already stay as they are. Raises LocalError when a file cannot be read
        or has changed since it was found."""
        return [self._part(each) if isinstance(each, Span) else each for each in work]

    def _part(self, span: Span) -> Part:
        part = Part(span.item, span.is_last)
        if span.item.kind != FILE:
            return part
        if span.data is not None:
            self._hash_data(span, part)
        elif self._link and span.length:
            self._hash_in_place(span, part)
        else:
            self._hash_file(span, part)
        return part

    def _hash_data(self, span: Span, part: Part) -> None:
        data, chunk_bytes = span.data or b"", self._profile.chunk_bytes
        for start in range(0, max(1, len(data)), chunk_bytes):
            whole = start == 0 and len(data) <= chunk_bytes
            self._add(part, data if whole else data[start : start + chunk_bytes])

    def _hash_file(self, span: Span, part: Part) -> None:
        with _Opened(span) as file:
            for offset, length in self._chunks(span):
                chunk = os.pread(file.descriptor, length, offset)
                if len(chunk) != length:
                    raise changed(span.item)
                self._add(part, chunk)

    def _hash_in_place(self, span: Span, part: Part) -> None:
        """Into one buffer: content that is not kept needs no memory of its own."""
        buffer = bytearray(min(self._profile.chunk_bytes, span.length))
        with _Opened(span) as file, memoryview(buffer) as view:
            for offset, length in self._chunks(span):
                if os.preadv(file.descriptor, [view[:length]], offset) != length:
                    raise changed(span.item)
                key = cids.raw_key(hashlib.sha256(view[:length]).digest())
                part.leaves.append(Leaf(key, length, length))
                part.slices.append(FileSlice(key, offset, length))

    def _chunks(self, span: Span) -> Iterator[tuple[int, int]]:
        """(offset, length) of each chunk; an empty file has one."""
        end = span.offset + span.length
        for offset in range(span.offset, max(end, span.offset + 1), self._profile.chunk_bytes):
            yield offset, min(self._profile.chunk_bytes, end - offset)

    def _add(self, part: Part, chunk: bytes) -> None:
        leaf, block = make_leaf(self._profile, chunk)
        part.leaves.append(leaf)
        part.blocks.append(block)


class _Opened:
    """An open file, checked at the end to be the one that was found, and as it was then."""

    def __init__(self, span: Span) -> None:
        self._item = span.item
        self._lent = span.lent
        self.descriptor = -1

    def __enter__(self) -> _Opened:
        try:
            self.descriptor = self._open()
            if stat.S_ISREG(os.fstat(self.descriptor).st_mode):
                return self
        except OSError as error:
            raise LocalError(f"cannot read {self._item.shown}: {error.strerror or error}") from error
        os.close(self.descriptor)  # reading anything else might never end
        raise LocalError(f"cannot read {self._item.shown}: it is no file")

    def _open(self) -> int:
        if self._lent is not None:
            return self._lent.open()
        return os.open(self._item.local_path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        try:
            is_same = self._is_same()
        finally:
            os.close(self.descriptor)
        if isinstance(error, OSError):
            raise LocalError(f"cannot read {self._item.shown}: {error.strerror or error}") from error
        if error is None and not is_same:
            raise changed(self._item)

    def _is_same(self) -> bool:
        found = stamp_of(os.fstat(self.descriptor))
        return (found if self._lent is None else found._replace(inode=0)) == self._item.stamp


def changed(item: Item) -> LocalError:
    return LocalError(
        f"{item.shown} was changed while it was being read, so it was not added. "
        "Nothing was published. Add it again when nobody writes to it."
    )
