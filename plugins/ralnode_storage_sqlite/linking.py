"""Holding blocks by reference into users' files: recording them, and noticing when a file is no longer the same."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Final

from ralnode.api import BlockKey, FileSlice, StorageError
from ralnode_storage_sqlite.changes import ROWS_PER_CHANGE, LinkFile
from ralnode_storage_sqlite.disk import Stamp
from ralnode_storage_sqlite.index import LinkedFile, pieces
from ralnode_storage_sqlite.losses import Losses
from ralnode_storage_sqlite.parts import Parts
from ralnode_storage_sqlite.writer import Writer

_FILES_PER_CHECK: Final = 256


class Linking:
    """Files are told apart by size, modification time and inode."""

    def __init__(self, parts: Parts, writer: Writer, losses: Losses) -> None:
        self._index = parts.index
        self._disk = parts.disk
        self._threads = parts.threads
        self._writer = writer
        self._losses = losses

    async def link(self, path: Path, slices: Sequence[FileSlice]) -> None:
        """See `Storage.link`. Other files that hold the same blocks are checked, so that none is skipped for the sake of
        a file that is gone."""
        name = _name(path)
        stamp = await self._stamp_to_link(name, slices)
        keys = {piece.key for piece in slices}
        stale = await self._stale_files(name, stamp, keys)
        lost: list[BlockKey] = []
        for file in stale:
            lost += await self._losses.forget_file(file)
        for piece in pieces(list({piece.key: piece for piece in slices}.values()), ROWS_PER_CHANGE):
            await self._writer.submit(LinkFile(name, stamp, piece))
        again = await self._index.places([key for key in lost if key in keys])
        self._losses.report([key for key in lost if key not in again])

    async def _stamp_to_link(self, name: bytes, slices: Sequence[FileSlice]) -> Stamp:
        stamp = await self._threads.read(self._disk.stamp_of_path, name)
        end = max((piece.offset + piece.length for piece in slices), default=0)
        if stamp is None or end > stamp.size_bytes:
            found = "it cannot be reached" if stamp is None else f"it has {stamp.size_bytes} B, the blocks end at {end}"
            raise StorageError(f"cannot link {os.fsdecode(name)}: {found}. Nothing was changed. Add it again.")
        return stamp

    async def _stale_files(self, name: bytes, stamp: Stamp, keys: Collection[BlockKey]) -> list[LinkedFile]:
        """Files known under this name or holding these blocks that are no longer what they were."""
        places = await self._index.places(list(keys))
        others = await self._index.linked_files({-place.file for place in places.values() if place.is_linked})
        here = await self._index.linked_file_at(name)
        stale = await self.changed(file for file in others.values() if file.path != name)
        return [*stale, here] if here is not None and here.stamp != stamp else stale

    async def changed(self, files: Iterable[LinkedFile]) -> list[LinkedFile]:
        """Those that are not what was linked any more."""
        asked = list(files)
        return await self._threads.read(
            lambda: [file for file in asked if self._disk.stamp_of_path(file.path) != file.stamp]
        )

    async def check_all(self) -> None:
        """Drops the blocks of all files that have changed, for instance while the node was down."""
        last_id = 0
        while files := await self._index.linked_files_after(last_id, _FILES_PER_CHECK):
            for file in await self.changed(files):
                await self._losses.drop_file(file)
            last_id = files[-1].id


def _name(path: Path) -> bytes:
    """As the index keeps it, whatever the working directory will be."""
    return os.fsencode(path.absolute())
