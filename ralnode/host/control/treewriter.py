"""A file or a whole folder of the cluster as frames, gathered so that 10,000 small files are not 30,000 small writes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from ralnode.api import RalnodeError, Reading, RefusedError, UsageError
from ralnode.api.limits import DAG_DEPTH_MAX
from ralnode.dag import cid
from ralnode.host.control.ports import OpenFolder
from ralnode.host.control.streams import Answer
from ralnode.host.frames import FRAME_BYTES_MAX, Entry, Frame, Tag, check_path, encode, failure, head

GATHER_BYTES: Final = 64 * 1024
"""Sent at once when this much has come together."""

OPENED_AHEAD: Final = 8
"""Files of one block opened at once; each holds that block, 2 MiB at most."""


class TreeWriter:
    """Use as `async with`: leaving it sends END, or FAILURE when a RalnodeError leaves it (which ends there)."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._gathered = bytearray()

    async def __aenter__(self) -> TreeWriter:
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if error is not None and not isinstance(error, RalnodeError):
            return False
        last = Frame(Tag.END) if error is None else failure(error)
        self._gathered += encode(last)
        await self._answer.end(bytes(self._gathered))
        return True

    async def frame(self, frame: Frame) -> None:
        self._gathered += encode(frame)
        if len(self._gathered) >= GATHER_BYTES:
            await self._flush()

    async def data(self, piece: bytes) -> None:
        """Content, in as many frames as it takes."""
        for start in range(0, len(piece), FRAME_BYTES_MAX):
            part = piece[start : start + FRAME_BYTES_MAX] if len(piece) > FRAME_BYTES_MAX else piece
            if len(part) >= GATHER_BYTES:  # gathering would copy it once more
                await self._flush()
                await self._answer.send(head(Tag.DATA, len(part)) + part)
            else:
                await self.frame(Frame(Tag.DATA, part))

    async def entry(self, found: Reading, path: str, offset: int = 0, length: int | None = None) -> None:
        """One entry with its content."""
        await self.frame(entry_of(found, path).encode())
        if found.kind == "file":
            async for piece in found.read(offset, length):
                await self.data(piece)
            await self.frame(Frame(Tag.FILE_END))

    async def below(self, top: Reading) -> None:
        """All entries of a folder, depth first without recursion. Raises RefusedError for what no disk can hold."""
        waiting = [("", _children(top))]
        while waiting:
            path, children = waiting[-1]
            found = await anext(children, None)
            if found is None:
                waiting.pop()
                continue
            name, child = found
            inner = f"{path}/{name}".lstrip("/")
            _check_name(name, inner)
            await self.entry(child, inner)
            if child.kind == "directory":
                if len(waiting) >= DAG_DEPTH_MAX:
                    raise RefusedError(f"the folder is more than {DAG_DEPTH_MAX} levels deep at {inner[:80]!r}")
                waiting.append((inner, _children(child)))

    async def _flush(self) -> None:
        if self._gathered:
            data = bytes(self._gathered)
            self._gathered.clear()
            await self._answer.send(data)


def entry_of(found: Reading, path: str) -> Entry:
    size = found.size_bytes if found.kind == "file" else 0
    return Entry(path, found.kind, size, found.target if found.kind == "symlink" else "", cid=cid.to_text(found.cid))


async def _children(folder: Reading) -> AsyncIterator[tuple[str, Reading]]:
    """All entries, opened; those of one block several at a time. None is held open while a folder is gone into."""
    assert isinstance(folder, OpenFolder), "the node's own reader opens children without walking the path again"
    batch: list[tuple[str, bytes]] = []
    async for name, key, _size in folder.entries():
        is_single = cid.codec_of(key) == cid.RAW
        if batch and (not is_single or len(batch) == OPENED_AHEAD):
            async for found in _opened(folder, batch):
                yield found
            batch = []
        if is_single:
            batch.append((name, key))
        else:
            yield name, await folder.child(name, key)
    async for found in _opened(folder, batch):
        yield found


async def _opened(folder: OpenFolder, batch: list[tuple[str, bytes]]) -> AsyncIterator[tuple[str, Reading]]:
    for (name, _key), child in zip(batch, await asyncio.gather(*(folder.child(*each) for each in batch)), strict=True):
        yield name, child


def _check_name(name: str, path: str) -> None:
    """A folder made by somebody else may hold names that no file system takes, or that lead out of it."""
    try:
        if not name or "/" in name:
            raise UsageError(f"{name!r} is no name")
        check_path(path)
    except UsageError as error:
        raise RefusedError(f"the folder holds an entry that cannot be written to a disk: {error}") from error
