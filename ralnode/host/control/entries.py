"""The frames of an upload as the entries that the ingest takes: pulled piece by piece, so that a slow disk slows the client."""

from __future__ import annotations

from collections.abc import AsyncIterator

from ralnode.api import UsageError
from ralnode.host.frames import Entry, Frame, FrameReader, Tag
from ralnode.host.ingest.model import UploadEntry


class UploadStream:
    """One upload. Whoever takes an entry takes its chunks before the next entry, or leaves them out altogether."""

    def __init__(self, body: AsyncIterator[bytes]) -> None:
        self._frames = _frames(body)
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
            )

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
