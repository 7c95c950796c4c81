"""Writes a stream of frames to the disk: everything beside its place first, under its final name only when it is whole.

The names in the stream come from whoever made the folder, so every step goes through open directories with names that
hold no slash; nothing is followed, nothing is overwritten.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Final

from ralnode.api import LocalError, PeerError, UsageError
from ralnode.host.frames import Entry, Frame, Tag

PART_SUFFIX: Final = ".ralnode-part"
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def unpack(frames: Iterable[Frame], target: Path, advanced: Callable[[int], None], *, force: bool = False) -> Entry:
    """Writes what the frames describe as `target`; `advanced(bytes)` for every piece written. Returns the top entry.

    Raises UsageError when `target` exists (with `force` a file or link is replaced by a file or link), LocalError when
    the disk fails. Whatever goes wrong, nothing is left behind.
    """
    check_target(target, force=force)
    part = target.parent / f".{target.name[:60]}.{secrets.token_hex(4)}{PART_SUFFIX}"
    try:
        with Unpacker(part, advanced) as unpacker:
            for frame in frames:
                unpacker.take(frame)
        top = unpacker.whole()
        check_target(target, force=force and top.kind != "directory")
        part.rename(target)
    except OSError as error:
        raise LocalError(f"cannot write {target}: {error.strerror or error}. Nothing was left behind") from error
    finally:
        _remove(part)
    return top


def check_target(target: Path, *, force: bool) -> None:
    """Raises UsageError when something that must not be replaced is there, LocalError when its folder is not."""
    if not target.parent.is_dir():
        raise LocalError(f"cannot write {target}: there is no folder {target.parent}")
    if os.path.lexists(target) and (not force or (target.is_dir() and not target.is_symlink())):
        raise UsageError(
            f"{target} exists already; name another place with -o, or remove it" + " (or --force)" * (not force)
        )


class Unpacker:
    """Takes frames in order; keeps one open folder per level and at most one open file."""

    def __init__(self, part: Path, advanced: Callable[[int], None]) -> None:
        self._part = part
        self._advanced = advanced
        self._top: Entry | None = None
        self._folders: list[tuple[str, int]] = []
        """(path, descriptor) from the folder that holds `part` down to the innermost open one."""
        self._file: int | None = None
        self._left_bytes = 0

    def __enter__(self) -> Unpacker:
        self._folders.append(("", os.open(self._part.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            os.close(self._file)
        for _, folder in reversed(self._folders):
            os.close(folder)

    def whole(self) -> Entry:
        """The top entry. Raises PeerError when the stream held nothing, or ended within a file."""
        if self._top is None or self._file is not None:
            raise PeerError("the node ended the stream too early; nothing was kept. Try again")
        return self._top

    def take(self, frame: Frame) -> None:
        """Raises PeerError for a stream that makes no sense, UsageError for names that are not plain."""
        if frame.tag == Tag.ENTRY:
            self._entry(Entry.decode(frame.payload))
        elif frame.tag == Tag.DATA and self._file is not None:
            self._write(frame.payload)
        elif frame.tag == Tag.FILE_END and self._file is not None:
            os.close(self._file)
            self._file = None
        else:
            raise PeerError(f"the node sent a stream that makes no sense: {frame.tag.name} at the wrong place")

    def _entry(self, entry: Entry) -> None:
        if self._file is not None or (self._top is not None) == (entry.path == ""):
            raise PeerError("the node sent a stream that makes no sense: an entry at the wrong place")
        parent, name = self._place(entry.path)
        self._top = self._top or entry
        if entry.kind == "directory":
            os.mkdir(name, 0o777, dir_fd=parent)
            self._folders.append((entry.path, os.open(name, _FOLDER, dir_fd=parent)))
        elif entry.kind == "symlink":
            os.symlink(entry.target, name, dir_fd=parent)
        else:
            self._file = os.open(name, _CREATE, 0o666, dir_fd=parent)

    def _place(self, path: str) -> tuple[int, str]:
        """(open folder, name in it) of an entry. Folders that the stream has left are closed."""
        if not path:
            return self._folders[0][1], self._part.name
        parent, _, name = path.rpartition("/")
        while len(self._folders) > 2 and self._folders[-1][0] != parent:
            os.close(self._folders.pop()[1])
        if len(self._folders) < 2 or self._folders[-1][0] != parent:
            raise PeerError(f"the node sent a stream that makes no sense: {path!r} is in no folder that is open")
        return self._folders[-1][1], name

    def _write(self, data: bytes) -> None:
        assert self._file is not None
        view = memoryview(data)
        while view:
            view = view[os.write(self._file, view) :]
        self._advanced(len(data))


def _remove(part: Path) -> None:
    with contextlib.suppress(OSError):
        part.unlink()
        return
    shutil.rmtree(part, ignore_errors=True)
