"""`Home`: the store's folder. Its paths, the lock against a second process, and the marker that tells a missing disk
from an empty one.

The marker lies in `segments/`, the folder that may be a disk of its own: when it is not mounted, the index still says
that there are blocks, and the store must refuse instead of letting the whole cluster repair what is merely unplugged.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Final

from ralnode.api import NodeId, StorageError
from ralnode.dag import cid
from ralnode_storage_sqlite.disk import Disk
from ralnode_storage_sqlite.segments import segment_ids

_MARKER: Final = "this is a ralnode store"


class Home:
    """Paths never change; `lock` and `unlock` bracket every use."""

    def __init__(self, data_dir: Path, node: NodeId, disk: Disk) -> None:
        self.data_dir = data_dir
        self.segments = data_dir / "segments"
        self.index = data_dir / "index.db"
        self.wal = data_dir / "index.db-wal"
        self._marker = self.segments / "NODE"
        self._text = f"{_MARKER} of node {cid.peer_id(node)}\n"
        self._disk = disk
        self._lock_path = data_dir / "storage.lock"
        self._lock: int | None = None

    # --- lock

    def lock(self) -> None:
        """Makes the folders. Raises StorageError if another process has the store open."""
        try:
            self.segments.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self._lock_path, os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.unlock()
            raise StorageError(
                f"cannot open storage {self.data_dir}: another process has it open. Nothing was changed. "
                "Stop that node, or give this one its own [node] data_dir."
            ) from None
        except OSError as error:
            self.unlock()
            raise StorageError(
                f"cannot open storage {self.data_dir}: {error.strerror}. Nothing was changed. "
                "Check that the folder exists and is writable for this user."
            ) from error

    def unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    # --- marker

    def check_owner(self) -> None:
        """Raises StorageError if the folder belongs to another node."""
        if self._marker.exists() and self._marker.read_text(errors="replace") != self._text:
            raise StorageError(
                f"cannot open storage {self.data_dir}: it belongs to another node ({self._marker}). "
                "Nothing was changed. Point [node] data_dir at this node's own folder."
            )

    def check_index_is_there(self) -> None:
        """Raises StorageError if there are segments without an index."""
        if not self.index.exists() and segment_ids(self.segments):
            raise StorageError(
                f"cannot open storage {self.data_dir}: there are segments but no index.db. Nothing was changed. "
                "Bring index.db back, or make it anew with `ralnode rebuild-index`."
            )

    def check_disk_is_there(self, block_count: int) -> None:
        """Raises StorageError if the index knows blocks and the marker is not where they should be."""
        if block_count and not self._marker.exists():
            raise StorageError(
                f"cannot open storage {self.data_dir}: its index says that there are {block_count} blocks, but "
                f"{self.segments} is not the folder they are in: is a disk not mounted? Nothing was changed. "
                "Mount it; if it is lost for good, run `ralnode rebuild-index`."
            )

    def mark(self) -> None:
        """Says durably whose store this is."""
        if self._marker.exists():
            return
        descriptor = os.open(self._marker, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.write(descriptor, self._text.encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self._disk.sync_folder(self.segments)
        self._disk.sync_folder(self.data_dir)

    # --- measures

    def wal_bytes(self) -> int:
        return self.wal.stat().st_size if self.wal.exists() else 0

    def free_bytes(self) -> tuple[int, int]:
        """(free, total) of the disk with the segments."""
        return self._disk.free_bytes(self.segments)

    def measure(self) -> tuple[int, int, int]:
        """(size of the WAL, free, total)."""
        return (self.wal_bytes(), *self.free_bytes())
