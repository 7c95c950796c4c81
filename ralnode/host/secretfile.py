"""Small secret files: readable by their owner alone, written whole or not at all. Nothing here knows what is in them."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ralnode.api.errors import ConfigError, LocalError


def read_secret(path: Path, size_bytes: int) -> bytes | None:
    """The file's bytes, or None if there is no such file.

    Raises ConfigError when its size is not `size_bytes` or when others may read it, LocalError when it cannot be read.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(size_bytes + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LocalError(f"cannot read {path}: {error.strerror}. Nothing was changed.") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(
            f"cannot use {path}: other users may access it (mode {stat.S_IMODE(mode):04o}). Nothing was changed. "
            f"Run: chmod 600 {path}"
        )
    if len(data) != size_bytes:
        raise ConfigError(
            f"cannot use {path}: found {'more than ' * (len(data) > size_bytes)}{min(len(data), size_bytes)} bytes, a key "
            f"has {size_bytes}. Nothing was changed. Restore the file from a backup."
        )
    return data


def create_secret(path: Path, data: bytes) -> None:
    """Writes a new file with mode 0600, durably; readers see all of it or none.

    Raises FileExistsError when somebody was faster (nothing is overwritten), LocalError when it cannot be written.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _temporary(path.parent, data) as temporary:
            os.link(temporary, path)  # unlike rename, refuses to replace a key that exists
        _sync_directory(path.parent)
    except FileExistsError:
        raise
    except OSError as error:
        raise LocalError(f"cannot write {path}: {error.strerror}. Nothing was changed.") from error


@contextmanager
def readable_path(data: bytes, directory: Path) -> Iterator[str]:
    """A path under which this process alone can read `data` for a moment, for libraries that accept only paths.

    Anonymous memory where the system has it, so that the bytes never reach a disk; else a file with mode 0600.
    """
    if hasattr(os, "memfd_create") and Path("/proc/self/fd").is_dir():
        with os.fdopen(os.memfd_create("ralnode"), "wb", buffering=0) as memory:
            memory.write(data)
            yield f"/proc/self/fd/{memory.fileno()}"
    else:
        with _temporary(directory, data) as temporary:
            yield str(temporary)


@contextmanager
def _temporary(directory: Path, data: bytes) -> Iterator[Path]:
    descriptor, name = tempfile.mkstemp(prefix=".ralnode-", dir=directory)  # mkstemp makes it 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield Path(name)
    finally:
        Path(name).unlink()


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
