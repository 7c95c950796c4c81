"""Walks a local file or folder depth first, names sorted, and tells what it would come to. Symlinks below are kept as such;
the path that was given is itself followed. Blocking: call it in a thread."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ralnode.api import LocalError, NotFoundError, UsageError
from ralnode.dag.profile import Profile
from ralnode.dag.tree import DEPTH_MAX
from ralnode.host.ingest.model import DIRECTORY, FILE, SYMLINK, Item, Stamp


@dataclass(frozen=True, slots=True)
class Totals:
    content_bytes: int
    stored_bytes: int
    """Upper bound of the blocks, with what the index needs for them."""
    linked_bytes: int
    """Likewise when the content stays where it is."""
    file_count: int
    here_bytes: int = 0
    """Of the content, stored already by an earlier, interrupted add."""


ENTRY_BYTES: Final = 512
"""Upper bound of an entry's link in its directory and of a symlink, with 255-byte names."""
_LEAF_BYTES: Final = 256
"""Upper bound of a leaf's link in its parent, and of its row in the index."""


def resolve(path: Path) -> Path:
    """The real place of what the user named. Raises NotFoundError."""
    try:
        return path.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise NotFoundError(f"cannot add {path}: {_reason(error)}. Nothing was changed.") from error


def measure(top: Path, profile: Profile, *, hidden: bool) -> Totals:
    """What adding `top` would come to. Raises as `scan`."""
    content = stored = linked = files = 0
    for item in scan(top, hidden=hidden):
        size = item.stamp.size_bytes
        content += size
        stored += ENTRY_BYTES + (profile.stored_bytes(size) if item.kind == FILE else 0)
        linked += ENTRY_BYTES + _LEAF_BYTES * (1 + size // profile.chunk_bytes)
        files += item.kind == FILE
    return Totals(content, stored, linked, files)


def scan(top: Path, *, hidden: bool) -> Iterator[Item]:
    """Every entry, directories before what is in them. Raises LocalError for what cannot be read, UsageError for what is
    neither file, directory nor symlink."""
    name = os.fsencode(top)
    try:
        first = _item(name, (), top.stat())
    except OSError as error:
        raise LocalError(f"cannot read {top}: {_reason(error)}") from error
    yield first
    if first.kind == DIRECTORY:
        waiting = [_entries(name, (), hidden=hidden)]
        while waiting:
            item = next(waiting[-1], None)
            if item is None:
                waiting.pop()
                continue
            yield item
            if item.kind == DIRECTORY:
                if len(item.path) >= DEPTH_MAX:
                    raise UsageError(f"cannot add {item.shown}: folders are more than {DEPTH_MAX} deep")
                waiting.append(_entries(item.local_path, item.path, hidden=hidden))


def _entries(folder: bytes, path: tuple[bytes, ...], *, hidden: bool) -> Iterator[Item]:
    try:
        with os.scandir(folder) as found:
            names = sorted(entry.name for entry in found if hidden or not entry.name.startswith(b"."))
        for name in names:
            place = folder + b"/" + name
            yield _item(place, (*path, name), os.lstat(place))
    except OSError as error:
        raise LocalError(f"cannot read {os.fsdecode(folder)}: {_reason(error)}") from error


def _item(place: bytes, path: tuple[bytes, ...], found: os.stat_result) -> Item:
    origin = os.fsdecode(place)
    if stat.S_ISREG(found.st_mode):
        return Item(path, FILE, stamp_of(found), origin, place)
    if stat.S_ISDIR(found.st_mode):
        return Item(path, DIRECTORY, Stamp(0, found.st_mtime_ns, found.st_ino), origin, place)
    if stat.S_ISLNK(found.st_mode):
        return Item(path, SYMLINK, Stamp(0, found.st_mtime_ns, found.st_ino), origin, place, os.readlink(place))  # noqa: PTH115 - bytes
    raise UsageError(f"cannot add {origin}: it is neither a file, a folder nor a symbolic link. Nothing was published.")


def stamp_of(found: os.stat_result) -> Stamp:
    return Stamp(found.st_size, found.st_mtime_ns, found.st_ino)


def _reason(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
