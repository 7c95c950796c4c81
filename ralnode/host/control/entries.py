"""The frames of an upload as the entries that the ingest takes: pulled piece by piece, so that a slow disk slows the client.
Files that the client has lent are read by the ingest itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import TypeAlias

from ralnode.api import UsageError
from ralnode.host.frames import Entry, Frame, FrameReader, Tag
from ralnode.host.ingest.model import LentFile, UploadEntry

Take: TypeAlias = Callable[[bytes], LentFile | None]
"""The file that was lent with a ticket."""


class UploadStream:
    """One upload. Whoever takes an entry takes its chunks before the next entry, or leaves them out altogether."""

    def __init__(self, body: AsyncIterator[bytes], take: Take) -> None:
        self._frames = _frames(body)
        self._take = take
        self._waiting: Frame | None = None
        self._in_file = False

    async def entries(self) -> AsyncIterator[UploadEntry]:
        """Raises UsageError for a malformed stream, or one that ends without its END."""
        while True:
            frame = await self._next()
            if self._in_file:
                self._in_file = frame.tag != Tag.FILE_END
                continue
            if frame.tag == Tag.END:
                await anext(self._frames, None)  # at the end of the body it is noticed when the client hangs up
                return
            if frame.tag != Tag.ENTRY:
                raise UsageError(f"malformed upload: {frame.tag.name} at the wrong place")
            entry = Entry.decode(frame.payload)
            self._in_file = entry.kind == "file"
            yield UploadEntry(
                path=entry.path,
                kind=entry.kind,
                size_bytes=entry.size_bytes,
                target=entry.target,
                origin=entry.origin,
                mtime_ns=entry.mtime_ns,
                offset=entry.offset,
                chunks=self._chunks() if entry.kind == "file" else None,
                lent=self._lent(entry.ticket) if entry.ticket else None,
            )

    def _lent(self, ticket: str) -> LentFile:
        try:
            lent = self._take(bytes.fromhex(ticket))
        except ValueError:
            lent = None
        if lent is None:
            raise UsageError("the upload names a file that was not lent. Nothing was published; try again")
        return lent

    async def _chunks(self) -> AsyncIterator[bytes]:
        while self._in_file:
            frame = await self._next()
            if frame.tag == Tag.FILE_END:
                self._in_file = False
            elif frame.tag == Tag.DATA:
                yield frame.payload
            else:
                raise UsageError(f"malformed upload: {frame.tag.name} in the middle of a file")

    async def _next(self) -> Frame:
        frame = await anext(self._frames, None)
        if frame is None:
            raise UsageError("the upload was cut off. Nothing was published; the same command goes on from there")
        return frame


async def _frames(body: AsyncIterator[bytes]) -> AsyncIterator[Frame]:
    reader = FrameReader()
    async for piece in body:
        for frame in reader.feed(piece):
            yield frame
