"""A file over HTTP: whole or in ranges, streamed with bounded memory, with its type and name."""

from __future__ import annotations

import asyncio
import json
import mimetypes
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Final

from ralnode.api import UnavailableError
from ralnode.api.limits import BLOCK_BYTES_MAX, MIB
from ralnode.dag.errors import DagError
from ralnode.dag.filerange import Piece, Pieces, read_range
from ralnode.dag.node import leaf_content
from ralnode.dag.path import Resolved
from ralnode_gateway_ipfs.answer import Answer, Body, CutShortError, begin
from ralnode_gateway_ipfs.asked import Asked
from ralnode_gateway_ipfs.blocks import View
from ralnode_gateway_ipfs.ranges import Span, wanted_spans

_WINDOW_BYTES: Final = 4 * MIB
_WINDOW_PIECES: Final = 64
_SNIFF_BYTES: Final = 512
_TYPES: Final = mimetypes.MimeTypes()
"""The built-in table only: the same answer on every machine."""
_MAGIC: Final[Sequence[tuple[int, bytes, str]]] = (
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF8", "image/gif"),
    (8, b"WEBP", "image/webp"),
    (0, b"%PDF-", "application/pdf"),
    (0, b"PK\x03\x04", "application/zip"),
    (0, b"\x1f\x8b", "application/gzip"),
    (4, b"ftyp", "video/mp4"),
    (0, b"\x1a\x45\xdf\xa3", "video/webm"),
    (0, b"OggS", "application/ogg"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"fLaC", "audio/flac"),
    (0, b"\0asm", "application/wasm"),
)


async def answer_file(view: View, asked: Asked, found: Resolved, headers: Mapping[str, str], name: str) -> Answer:
    """`name` decides the type, else what the first bytes look like."""
    size = found.node.size_bytes
    headers = {**headers, "accept-ranges": "bytes", "content-type": await _type(view, found, name)}
    spans = wanted_spans(asked.headers, size, headers["etag"])
    if asked.is_head and not spans:
        return Answer(200, {**headers, "content-length": str(size)})
    if not spans:
        return await begin(headers, read_file(view, found, Span(0, size)), size)
    if len(spans) > 1:
        return await _multipart(view, found, headers, spans)
    span = spans[0]
    headers["content-range"] = span.text(size)
    return await begin(headers, read_file(view, found, span), span.stop - span.start, 206)


async def read_file(view: View, found: Resolved, span: Span) -> Body:
    """Verified bytes in order; one window is fetched while the one before it is sent. Raises CutShortError."""
    under_way: asyncio.Task[list[bytes]] | None = None
    try:
        async with aclosing(_windows(view, found, span)) as windows:
            async for window in windows:
                following = asyncio.create_task(_contents(view, window))
                before, under_way = under_way, following
                for content in await before if before is not None else ():
                    yield content
        for content in await under_way if under_way is not None else ():
            yield content
    except (DagError, UnavailableError) as error:
        raise CutShortError(str(error)) from error
    finally:
        if under_way is not None:
            under_way.cancel()


async def _windows(view: View, found: Resolved, span: Span) -> AsyncGenerator[list[Piece], None]:
    """Pieces of the file, gathered to what is fetched at one time."""
    window: list[Piece] = []
    size = 0
    async for batch in view.stream(read_range(found.cid, found.node, span.start, span.stop - span.start)):
        assert isinstance(batch, Pieces)
        for piece in batch.pieces:
            block_bytes = min(piece.block_bytes, BLOCK_BYTES_MAX)
            if window and (size + block_bytes > _WINDOW_BYTES or len(window) >= _WINDOW_PIECES):
                yield window
                window, size = [], 0
            window.append(piece)
            size += block_bytes
    if window:
        yield window


async def _contents(view: View, window: Sequence[Piece]) -> list[bytes]:
    blocks = iter(await view.get([piece.key for piece in window if piece.key is not None]))
    return [
        piece.data[piece.start : piece.stop] if piece.key is None else _cut(piece, next(blocks)) for piece in window
    ]


def _cut(piece: Piece, block: bytes) -> bytes:
    """Raises DagError when the parent has lied about the size."""
    assert piece.key is not None
    content = leaf_content(piece.key, block)
    if len(content) != piece.content_bytes:
        raise DagError(f"a leaf has {len(content)} bytes, its parent says {piece.content_bytes}")
    return content if piece.stop - piece.start == len(content) else content[piece.start : piece.stop]


async def _multipart(view: View, found: Resolved, headers: Mapping[str, str], spans: list[Span]) -> Answer:
    size, kind = found.node.size_bytes, headers["content-type"]
    boundary = found.cid.hex()[-40:]
    heads = [
        f"\r\n--{boundary}\r\nContent-Type: {kind}\r\nContent-Range: {span.text(size)}\r\n\r\n".encode("ascii")
        for span in spans
    ]
    end = f"\r\n--{boundary}--\r\n".encode("ascii")

    async def parts() -> Body:
        for head, span in zip(heads, spans, strict=True):
            yield head
            async for content in read_file(view, found, span):
                yield content
        yield end

    length = sum(map(len, heads)) + len(end) + sum(span.stop - span.start for span in spans)
    return await begin({**headers, "content-type": f"multipart/byteranges; boundary={boundary}"}, parts(), length, 206)


async def _type(view: View, found: Resolved, name: str) -> str:
    known, encoding = _TYPES.guess_type(f"x/{name}", strict=False)
    if known is not None and encoding is None:
        return f"{known}; charset=utf-8" if known.startswith("text/") else known
    start = b""
    async for content in read_file(view, found, Span(0, min(_SNIFF_BYTES, found.node.size_bytes))):
        start += content
    return sniff(start, is_whole=found.node.size_bytes <= _SNIFF_BYTES)


def sniff(start: bytes, *, is_whole: bool) -> str:
    """A media type by the first bytes; never one that a browser runs but HTML, which has its own origin here."""
    for offset, magic, kind in _MAGIC:
        if start.startswith(magic, offset):
            return kind
    if start.lstrip().lower().startswith((b"<!doctype html", b"<html")):
        return "text/html; charset=utf-8"
    text = start if is_whole else start[:-3]
    try:
        decoded = text.decode("utf-8")
    except UnicodeDecodeError:
        return "application/octet-stream"
    if is_whole and _is_json(decoded):
        return "application/json"
    printable = all(c.isprintable() or c in "\r\n\t\f" for c in decoded)
    return "text/plain; charset=utf-8" if printable else "application/octet-stream"


def _is_json(text: str) -> bool:
    """An object or a list, which no other text is by chance."""
    if text.lstrip()[:1] not in ("{", "["):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
