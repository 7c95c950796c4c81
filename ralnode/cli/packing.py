"""A local file or folder as the frames of an upload. What the node has already of an earlier attempt is not sent again."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from ralnode.api import LocalError
from ralnode.host.frames import FRAME_BYTES_MAX, Entry, Frame, Tag, encode, head
from ralnode.host.ingest.localtree import scan
from ralnode.host.ingest.model import DIRECTORY, FILE, SYMLINK, Item

BATCH_ITEMS: Final = 256
"""Entries about which the node is asked at once what it has of them."""

Offsets: TypeAlias = Callable[[Sequence[Item]], Sequence[int]]
"""For each file: how many of its bytes are durable on the node already."""


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


def pack(top: Path, offsets_of: Offsets, *, hidden: bool) -> Iterator[bytes]:
    """The body of the upload. Raises LocalError when a file cannot be read or changes meanwhile."""
    for batch in _batches(scan(top, hidden=hidden)):
        files = [item for item in batch if item.kind == FILE]
        offsets = dict(zip([item.path for item in files], offsets_of(files), strict=True)) if files else {}
        for item in batch:
            yield from _item(item, offsets.get(item.path, 0))
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


def _item(item: Item, offset: int) -> Iterator[bytes]:
    entry = Entry(
        path=b"/".join(item.path).decode("utf-8", "surrogateescape"),
        kind={FILE: "file", DIRECTORY: "directory", SYMLINK: "symlink"}[item.kind],
        size_bytes=item.stamp.size_bytes,
        target=item.target.decode("utf-8", "surrogateescape"),
        mtime_ns=item.stamp.mtime_ns,
        origin=item.origin,
        offset=offset,
    )
    yield encode(entry.encode())
    if item.kind == FILE:
        yield from _content(item, offset)
        yield encode(Frame(Tag.FILE_END))


def _content(item: Item, offset: int) -> Iterator[bytes]:
    """Exactly as many bytes as the entry says, or LocalError."""
    try:
        with open(item.local_path, "rb", buffering=0) as file:  # noqa: PTH123 - a path of bytes
            file.seek(offset)
            left = item.stamp.size_bytes - offset
            while left:
                data = file.read(min(left, FRAME_BYTES_MAX))
                if not data:
                    break
                yield head(Tag.DATA, len(data))
                yield data
                left -= len(data)
            if left or file.read(1) or os.fstat(file.fileno()).st_mtime_ns != item.stamp.mtime_ns:
                raise LocalError(f"{item.shown} was changed while it was being read, so nothing was added. Try again")
    except OSError as error:
        raise LocalError(f"cannot read {item.shown}: {error.strerror or error}. Nothing was added") from error
