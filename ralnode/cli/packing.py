"""A local file or folder as the frames of an upload. Files that are not small are lent to the node, which reads them itself;
what it has already of an earlier attempt is not sent again."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Final, TypeAlias

from ralnode.api import LocalError
from ralnode.api.limits import KIB
from ralnode.host.frames import FRAME_BYTES_MAX, Entry, Frame, Tag, encode, head
from ralnode.host.ingest.localtree import scan
from ralnode.host.ingest.model import DIRECTORY, FILE, SYMLINK, Item

BATCH_ITEMS: Final = 256
"""Entries about which the node is asked at once what it has of them."""

Offsets: TypeAlias = Callable[[Sequence[Item]], Sequence[int]]
"""For each file: how many of its bytes are durable on the node already."""

Lend: TypeAlias = Callable[[int], str]
"""Hands a descriptor to the node; its ticket, or nothing when the node does not take it."""

LENT_BYTES_MIN: Final = 256 * KIB
"""Less is sent sooner than it is lent."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What an upload comes to."""

    content_bytes: int
    here_bytes: int
    """Of these, what the node has of an earlier attempt."""
    entry_count: int


def survey(top: Path, offsets_of: Offsets, *, hidden: bool) -> Survey:
    """Walks the tree without reading files. Raises LocalError, UsageError for what cannot be added."""
    content = here = entries = 0
    for batch in _batches(scan(top, hidden=hidden)):
        files = [item for item in batch if item.kind == FILE]
        content += sum(item.stamp.size_bytes for item in files)
        here += sum(offsets_of(files)) if files else 0
        entries += len(batch)
    return Survey(content, here, entries)


def pack(top: Path, offsets_of: Offsets, lend: Lend, *, hidden: bool) -> Generator[bytes, None, None]:
    """The body of the upload. Raises LocalError when a file cannot be read or changes meanwhile."""
    for batch in _batches(scan(top, hidden=hidden)):
        files = [item for item in batch if item.kind == FILE]
        offsets = dict(zip([item.path for item in files], offsets_of(files), strict=True)) if files else {}
        for item in batch:
            yield from _item(item, offsets.get(item.path, 0), lend)
    yield encode(Frame(Tag.END))


def _batches(items: Iterator[Item]) -> Iterator[list[Item]]:
    batch: list[Item] = []
    for item in items:
        batch.append(item)
        if len(batch) == BATCH_ITEMS:
            yield batch
            batch = []
    if batch:
        yield batch


def _item(item: Item, offset: int, lend: Lend) -> Iterator[bytes]:
    if item.kind != FILE:
        yield encode(_entry(item).encode())
        return
    with _opened(item) as file:
        is_small = item.stamp.size_bytes - offset < LENT_BYTES_MIN
        ticket = "" if is_small else lend(file.fileno())
        yield encode(_entry(item, offset, ticket).encode())
        if not ticket:
            yield from _content(file, item, offset)
        yield encode(Frame(Tag.FILE_END))


def _entry(item: Item, offset: int = 0, ticket: str = "") -> Entry:
    return Entry(
        path=b"/".join(item.path).decode("utf-8", "surrogateescape"),
        kind={FILE: "file", DIRECTORY: "directory", SYMLINK: "symlink"}[item.kind],
        size_bytes=item.stamp.size_bytes,
        target=item.target.decode("utf-8", "surrogateescape"),
        mtime_ns=item.stamp.mtime_ns,
        origin=item.origin,
        offset=offset,
        ticket=ticket,
    )


@contextmanager
def _opened(item: Item) -> Iterator[FileIO]:
    """Raises LocalError for whatever goes wrong with the file, also while it is read."""
    try:
        with open(item.local_path, "rb", buffering=0) as file:  # noqa: PTH123 - a path of bytes
            yield file
    except OSError as error:
        raise LocalError(f"cannot read {item.shown}: {error.strerror or error}. Nothing was added") from error


def _content(file: FileIO, item: Item, offset: int) -> Iterator[bytes]:
    """Exactly as many bytes as the entry says, or LocalError."""
    file.seek(offset)
    left = item.stamp.size_bytes - offset
    while left and (data := file.read(min(left, FRAME_BYTES_MAX))):
        yield head(Tag.DATA, len(data))
        yield data
        left -= len(data)
    if left or file.read(1) or os.fstat(file.fileno()).st_mtime_ns != item.stamp.mtime_ns:
        raise LocalError(f"{item.shown} was changed while it was being read, so nothing was added. Try again")
