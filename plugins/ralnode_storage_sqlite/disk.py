"""`Disk`: the only place that touches segment files, so that tests can put a failing disk in its stead.

All calls block and run in the store's threads. Nothing here knows of blocks, and no error is handled here.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

Buffer: TypeAlias = bytes | bytearray | memoryview

_VECTOR_MAX: Final = 1024
"""IOV_MAX of Linux."""
_WRITE_BYTES: Final = 1 << 20
"""Handed to the kernel at a time. From 2 MiB on ext4 takes twice the processor time per byte (Linux 6.18, large folios)."""

_KEEP_SIZE: Final = 1
_PUNCH_HOLE: Final = 2


def _libc_call(name: str, *types: type) -> Callable[..., int] | None:
    function: Any = getattr(ctypes.CDLL(None, use_errno=True), name, None)
    if function is not None:
        function.argtypes = types
    return function  # type: ignore[no-any-return]


_fallocate: Final = _libc_call("fallocate64", ctypes.c_int, ctypes.c_int, ctypes.c_longlong, ctypes.c_longlong)


class Stamp(NamedTuple):
    """What tells that a user's file is still the one that was linked."""

    size_bytes: int
    mtime_ns: int
    inode: int


class Disk:
    """Plain system calls on descriptors. Subclass it to inject faults."""

    def open_to_write(self, path: Path) -> int:
        """Creates the file if it is not there."""
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    def open_to_read(self, path: Path | bytes) -> int:
        """Never waits, not even on a pipe."""
        return os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    def close(self, descriptor: int) -> None:
        os.close(descriptor)

    def write(self, descriptor: int, buffers: Sequence[Buffer], offset: int) -> int:
        """Writes all of `buffers` side by side from `offset`; returns the offset behind them."""
        start = 0
        while start < len(buffers):
            stop, size_bytes = _vector(buffers, start)
            self._write_vector(descriptor, buffers[start:stop], offset, size_bytes)
            offset += size_bytes
            start = stop
        return offset

    def _write_vector(self, descriptor: int, buffers: Sequence[Buffer], offset: int, size_bytes: int) -> None:
        written = os.pwritev(descriptor, buffers, offset)
        if written < size_bytes:  # a signal, or the disk is nearly full: the next call says which
            rest = memoryview(b"".join(buffers))
            while written < size_bytes:
                written += os.pwrite(descriptor, rest[written:], offset + written)

    def sync(self, descriptor: int) -> None:
        """Data and size are on the platter on return. An error here means that nothing may be trusted any more."""
        getattr(os, "fdatasync", os.fsync)(descriptor)

    def sync_folder(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def truncate(self, descriptor: int, size_bytes: int) -> None:
        os.ftruncate(descriptor, size_bytes)

    def unlink(self, path: Path) -> None:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()

    def read(self, descriptor: int, length: int, offset: int) -> bytes:
        """Fewer than `length` bytes only at the end of the file."""
        data = os.pread(descriptor, length, offset)
        while len(data) < length and (more := os.pread(descriptor, length - len(data), offset + len(data))):
            data += more
        return data

    def will_read(self, descriptor: int, offset: int, length: int) -> None:
        """Lets the kernel fetch the range while we still ask for its first part."""
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(descriptor, offset, length, os.POSIX_FADV_WILLNEED)

    def drop_cache(self, descriptor: int, offset: int, length: int) -> None:
        """So that the next read comes from the platter, and a scrub does not push out what is in use."""
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(descriptor, offset, length, os.POSIX_FADV_DONTNEED)

    def size(self, path: Path) -> int:
        return path.stat().st_size

    def hole_bytes(self, path: Path) -> int:
        """How much less than its length a file takes on the disk."""
        found = path.stat()
        return max(0, found.st_size - found.st_blocks * 512)

    def stamp(self, descriptor: int) -> Stamp:
        found = os.fstat(descriptor)
        return Stamp(found.st_size, found.st_mtime_ns, found.st_ino)

    def stamp_of_path(self, path: bytes) -> Stamp | None:
        """None when the file cannot be reached."""
        try:
            found = os.stat(path)  # noqa: PTH116 - a path is bytes here
        except OSError:
            return None
        return Stamp(found.st_size, found.st_mtime_ns, found.st_ino)

    def punch(self, descriptor: int, offset: int, length: int) -> bool:
        """Gives the whole pages of the range back to the file system; all of it reads as zeros afterwards.
        False when this file system cannot; then nothing has changed."""
        if _fallocate is None:
            return False
        if _fallocate(descriptor, _PUNCH_HOLE | _KEEP_SIZE, offset, length) == 0:
            return True
        code = ctypes.get_errno()
        if code in (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL):
            return False
        raise OSError(code, os.strerror(code))

    def set_aside(self, path: Path, size_bytes: int) -> None:
        """Allocates room behind the end of a file, where the file system can, so that it may grow on a full disk."""
        if _fallocate is not None:
            descriptor = self.open_to_write(path)
            _fallocate(descriptor, _KEEP_SIZE, 0, size_bytes)
            os.close(descriptor)

    def page_bytes(self, path: Path) -> int:
        """The unit in which the file system gives out room."""
        return max(512, os.statvfs(path).f_bsize)

    def free_bytes(self, path: Path) -> tuple[int, int]:
        """(free for us, total) of the disk that `path` is on."""
        found = os.statvfs(path)
        return found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize


def _vector(buffers: Sequence[Buffer], start: int) -> tuple[int, int]:
    """The end of the run of buffers to write at once, and its bytes."""
    size_bytes = len(buffers[start])
    stop = start + 1
    while stop < len(buffers) and stop - start < _VECTOR_MAX and size_bytes < _WRITE_BYTES:
        size_bytes += len(buffers[stop])
        stop += 1
    return stop, size_bytes
