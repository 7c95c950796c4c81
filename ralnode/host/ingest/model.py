"""The values of adding content: what is asked, what comes in, how far it is, what came of it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from threading import Lock
from typing import NamedTuple, TypeAlias

from ralnode.api import Holding, Source
from ralnode.dag.profile import V1_2025, Profile

FILE = "file"
DIRECTORY = "directory"
SYMLINK = "symlink"


@dataclass(frozen=True, slots=True)
class AddOptions:
    name: str = ""
    """Of the source; empty takes the last part of the path."""
    profile: Profile = V1_2025
    link: bool = False
    """By reference: the file stays where it is and no second copy is made. Needs raw leaves."""
    hidden: bool = False
    """Take in entries whose name begins with a dot."""
    copies: int = 2
    priority: int = 0


class Stamp(NamedTuple):
    """By which a file is known to be the one that was read before. `inode` is 0 for a file on another machine."""

    size_bytes: int
    mtime_ns: int
    inode: int = 0


@dataclass(frozen=True, slots=True)
class Item:
    """One entry of what is added, in depth-first order. `path` is relative, and empty for the top itself."""

    path: tuple[bytes, ...]
    kind: str
    """file, directory or symlink."""
    stamp: Stamp
    """Zero bytes for anything but a file."""
    origin: str = ""
    """Absolute path, under which an interrupted add is found again; empty if it cannot be."""
    local_path: bytes = b""
    """Where to read it; empty for an upload."""
    target: bytes = b""
    """Of a symlink."""

    @property
    def shown(self) -> str:
        return self.origin or b"/".join(self.path).decode("utf-8", "replace") or "the file"


class LentFile:
    """A file that a client has opened and lent to us. Closed when nobody refers to it any more, or before; by any thread."""

    __slots__ = ("__weakref__", "_descriptor", "_lock")

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = Lock()

    def open(self) -> int:
        """A descriptor of the caller's own. Raises OSError."""
        with self._lock:
            return os.dup(self._descriptor)

    def close(self) -> None:
        with self._lock:
            descriptor, self._descriptor = self._descriptor, -1
            if descriptor >= 0:
                os.close(descriptor)

    def __del__(self) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class UploadEntry:
    """An entry that a client sends. Depth-first: everything below a directory comes in one go."""

    path: str
    """Relative, `/`-separated; empty for the top itself when a single file is added."""
    kind: str
    size_bytes: int = 0
    target: str = ""
    origin: str = ""
    """What the client calls the file (absolute path, with its machine), to continue an interrupted upload."""
    mtime_ns: int = 0
    offset: int = 0
    """Where `chunks` begins: 0, or what `Ingest.resume_offsets` said."""
    chunks: AsyncIterator[bytes] | None = None
    """Content from `offset` on, in pieces of any size; None if there is none to come."""
    lent: LentFile | None = None
    """Where to read the content instead."""


@dataclass(frozen=True, slots=True)
class UploadFile:
    """A file that a client means to send, to ask how much of it is here already."""

    origin: str
    size_bytes: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Progress:
    bytes_done: int = 0
    """Durable, what an earlier, interrupted add left here included."""
    bytes_total: int = 0
    files_done: int = 0


Report: TypeAlias = Callable[[Progress], None]
"""Called on the event loop, a few times a second at full speed."""


@dataclass(frozen=True, slots=True)
class Added:
    source: Source
    holding: Holding
    reused_bytes: int = 0
    """Of content that did not have to be read again."""
