"""Reads a source through a node and compares it, byte for byte and name for name, with the file or folder it was made of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from ralnode.api import PeerError
from ralnode.host.frames import Entry, Frame, Tag


class DifferenceError(PeerError):
    """What came is not what was seeded."""


def compare(frames: Iterable[Frame], original: Path) -> int:
    """Returns how many bytes were equal. Raises DifferenceError at the first difference."""
    expected, size_bytes = set(_names(original)), 0
    with ExitStack() as stack:
        file: IO[bytes] | None = None
        for frame in frames:
            if frame.tag == Tag.ENTRY:
                entry = Entry.decode(frame.payload)
                if entry.path not in expected:
                    raise DifferenceError(f"{original.name}: {entry.path!r} came, which was not seeded (or came twice)")
                expected.discard(entry.path)
                file = _open(entry, original / entry.path if entry.path else original, stack)
            elif frame.tag == Tag.DATA and file is not None:
                if file.read(len(frame.payload)) != frame.payload:
                    raise DifferenceError(f"{file.name} differs before byte {file.tell():,}")
                size_bytes += len(frame.payload)
            elif frame.tag == Tag.FILE_END and file is not None:
                if file.read(1):
                    raise DifferenceError(f"{file.name} came only up to byte {file.tell() - 1:,}")
                file.close()
    if expected:
        raise DifferenceError(f"{original.name}: {sorted(expected)[0]!r} did not come")
    return size_bytes


def _open(entry: Entry, original: Path, stack: ExitStack) -> IO[bytes] | None:
    kinds = {"directory": original.is_dir(), "symlink": original.is_symlink(), "file": original.is_file()}
    if not kinds[entry.kind]:
        raise DifferenceError(f"{original} came as a {entry.kind}")
    if entry.kind == "symlink" and str(original.readlink()) != entry.target:
        raise DifferenceError(f"{original} points to {entry.target!r} now")
    return stack.enter_context(original.open("rb")) if entry.kind == "file" else None


def _names(original: Path) -> Iterator[str]:
    """Every path that must come, the top one as the empty path; hidden files are not seeded."""
    yield ""
    for path in original.rglob("*") if original.is_dir() else ():
        relative = path.relative_to(original)
        if not any(part.startswith(".") for part in relative.parts):
            yield relative.as_posix()
