"""An answer, and how it is sent: with the headers that every answer has, cut short when its body fails, bounded in time.

Knows nothing of what is in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

from starlette.types import Receive, Send

SEND_SECONDS_MAX: Final = 60.0
"""A reader that takes nothing for so long has gone."""
PIECES_IN_A_ROW: Final = 16
"""Then others get their turn, and it shows whether the client has gone: small pieces at hand make nobody wait."""
HEADER_CHARS_MAX: Final = 400
"""Of one header that repeats what was asked: Kubo reads 2 KiB of headers in all."""
_ALWAYS: Final[Mapping[str, str]] = {
    "access-control-allow-origin": "*",
    "access-control-allow-methods": "GET, HEAD, OPTIONS",
    "access-control-allow-headers": "Content-Type, Range, User-Agent, X-Requested-With",
    "access-control-expose-headers": "Content-Length, Content-Range, X-Chunked-Output, X-Ipfs-Path, X-Ipfs-Roots, "
    "X-Stream-Output",
    "x-content-type-options": "nosniff",
}

Body = AsyncGenerator[bytes, None]


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Body = b""
    length: int | None = None
    """Of a body that is generated, if known."""


class CutShortError(Exception):
    """The body could not be completed. The connection ends without its end, so that the reader notices."""


def refusal(status: int, reason: str, headers: Mapping[str, str] | None = None) -> Answer:
    """One line of text. Nothing of what was asked may stand in it unescaped but as text/plain."""
    found = {"content-type": "text/plain; charset=utf-8", "cache-control": "no-store", **(headers or {})}
    if status in (429, 503):
        found.setdefault("retry-after", "2")
    return Answer(status, found, (reason + "\n").encode("utf-8", "replace"))


async def not_modified(answer: Answer) -> Answer:
    """Instead of one that the client has."""
    if not isinstance(answer.body, bytes):
        await answer.body.aclose()
    return Answer(304, {name: value for name, value in answer.headers.items() if name != "content-length"})


async def begin(headers: Mapping[str, str], body: Body, length: int | None = None, status: int = 200) -> Answer:
    """Raises what the first step of the body raises, while it can still be answered with a status."""
    first = await anext(body, b"")

    async def all_of_it() -> Body:
        try:
            yield first
            async for piece in body:
                yield piece
        finally:
            await body.aclose()

    return Answer(status, headers, all_of_it(), length)


async def send_answer(answer: Answer, receive: Receive, send: Send, *, is_head: bool) -> None:
    """Raises CutShortError when the body fails midway; returns early when the client has gone."""
    gone = asyncio.ensure_future(_disconnected(receive))
    try:
        await send({"type": "http.response.start", "status": answer.status, "headers": _encode(answer)})
        if isinstance(answer.body, bytes):
            await _send_piece(send, b"" if is_head else answer.body, more=False)
            return
        if not is_head:
            count = 0
            async for piece in answer.body:
                if count % PIECES_IN_A_ROW == 0:
                    await asyncio.sleep(0)
                if gone.done():
                    return
                await _send_piece(send, piece, more=True)
                count += 1
        await _send_piece(send, b"", more=False)
    finally:
        gone.cancel()
        if not isinstance(answer.body, bytes):
            await answer.body.aclose()


async def _send_piece(send: Send, piece: bytes, *, more: bool) -> None:
    try:
        async with asyncio.timeout(SEND_SECONDS_MAX):
            await send({"type": "http.response.body", "body": piece, "more_body": more})
    except TimeoutError:
        raise CutShortError(f"the client took nothing for {SEND_SECONDS_MAX:.0f} s") from None


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _encode(answer: Answer) -> list[tuple[bytes, bytes]]:
    headers = {**_ALWAYS, **answer.headers}
    length = len(answer.body) if isinstance(answer.body, bytes) else answer.length
    if length is not None and answer.status != 304:
        headers.setdefault("content-length", str(length))
    return [(name.encode("ascii"), value.encode("ascii", "replace")) for name, value in headers.items()]


def disposition(kind: str, name: str) -> str:
    """`attachment` or `inline` with the name in both forms, RFC 6266: nothing in it can end the header or the quotes."""
    safe = "".join(c for c in name if c.isprintable())[:120]
    plain = "".join(c if c.isascii() and c not in '"\\%' else "_" for c in safe)
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(safe.encode('utf-8', 'replace'), safe='')[:360]}"
