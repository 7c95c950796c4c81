"""Uploads, streamed into the node with bounded memory: by a form of one file, or raw with a resumable offset."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from ralnode.api import Content, NodeControl, RalnodeError, UnavailableError, UsageError
from ralnode_ui_web.bounds import DRAIN_BYTES_MAX, DRAIN_SECONDS_MAX, UPLOAD_STALL_SECONDS, UPLOADS_MAX
from ralnode_ui_web.guard import CSRF_LACKS, is_csrf
from ralnode_ui_web.multipart import MultipartReader, boundary_of
from ralnode_ui_web.replies import Replies, Trouble, as_json, go_to, safe_path, trouble_of, wants_json
from ralnode_ui_web.sizes import size
from ralnode_ui_web.visitors import CSRF_FIELD, Visitor


class Uploading:
    """Routes of /actions/upload and /api/v1/upload."""

    def __init__(self, node: NodeControl, replies: Replies) -> None:
        self._node = node
        self._replies = replies
        self._running = 0

    def routes(self) -> list[Route]:
        return [
            *(Route(path, self.offset, methods=["GET"]) for path in ("/actions/upload", "/api/v1/upload")),
            *(Route(path, self.put, methods=["PUT"]) for path in ("/actions/upload", "/api/v1/upload")),
            Route("/actions/upload", self.form, methods=["POST"]),
        ]

    async def offset(self, request: Request) -> Response:
        """How much is here of an upload that was cut off, and why it would be refused: asked before the bytes are sent, since
        a browser that is cut off while it sends shows no reason."""
        content = _content(request.query_params)
        offset = await self._node.resume_offset(content)
        return as_json({"offset": offset, "refusal": await self._refusal(content, offset)})

    async def put(self, request: Request) -> Response:
        """The bytes from `offset` on."""
        if not request.state.is_csrf_checked:
            return self._replies.trouble(request, CSRF_LACKS)
        length = request.headers.get("content-length", "")
        if not length.isdigit():
            return self._replies.trouble(request, Trouble(411, "Say how long it is (Content-Length)."))
        query = {"size": str(int(request.query_params.get("offset") or 0) + int(length))} | dict(request.query_params)
        pieces = _pieces(request)
        try:
            answer = await self._add(request.state.who, _content(query), pieces)
        except RalnodeError as error:
            await _drain(pieces)
            return self._replies.trouble(request, trouble_of(error))
        return as_json(answer, 201)

    async def form(self, request: Request) -> Response:
        """One file; the token of the page comes before it."""
        pieces = _pieces(request)
        try:
            return await self._form(request, pieces)
        except RalnodeError as error:
            await _drain(pieces)
            return self._replies.trouble(request, trouble_of(error))

    async def _form(self, request: Request, pieces: AsyncIterator[bytes]) -> Response:
        length = request.headers.get("content-length", "")
        if not length.isdigit():
            return self._replies.trouble(request, Trouble(411, "Say how long it is (Content-Length)."))
        reader = MultipartReader(pieces, boundary_of(request.headers.get("content-type", "")))
        fields: dict[str, str] = {}
        while (part := await reader.next_part()) is not None:
            if part.filename is None:
                if len(fields) >= 16:
                    raise UsageError("malformed form: too many fields. Nothing was stored")
                fields[part.name] = await reader.text()
                continue
            if not (request.state.is_csrf_checked or is_csrf(request.state.who, fields.get(CSRF_FIELD, ""))):
                await _drain(pieces)
                return self._replies.trouble(request, CSRF_LACKS)
            if not part.filename:
                continue
            name = fields.get("name", "").strip() or _base_name(part.filename)
            query = {"name": name, "size": str(reader.rest_of(int(length))), "copies": fields.get("copies", "")}
            added = await self._add(request.state.who, _content(query), _only_file(reader))
            return self._added(request, added, safe_path(fields.get("back", "/dashboard")))
        raise UsageError("no file was chosen. Nothing was stored")

    def _added(self, request: Request, added: Mapping[str, Any], back: str) -> Response:
        if wants_json(request):
            return as_json({"added": [dict(added)]}, 201)
        who: Visitor = request.state.who
        if who.session is not None:
            who.session.tell("info", f"Added {added['name']} ({size(int(added['size_bytes']))}).")
        return go_to(back)

    async def _refusal(self, content: Content, offset: int) -> str:
        """Empty when there seems to be room; the store has the last word."""
        usage = await self._node.command("capacity", {})
        taken = int(usage["used_bytes"]) + int(usage["reserved_bytes"])
        free_bytes = max(0, int(usage["capacity_bytes"]) - taken)
        needed_bytes = content.size_bytes - offset
        if needed_bytes <= free_bytes:
            return ""
        return (
            f"{content.name} does not fit: it needs {size(needed_bytes)}, and {usage['node']} has {size(free_bytes)} free of "
            f"the {size(int(usage['capacity_bytes']))} that it gives. Nothing was stored. Add it at another node's page, or "
            "let this one give more."
        )

    async def _add(self, who: Visitor, content: Content, pieces: AsyncIterator[bytes]) -> Mapping[str, Any]:
        if self._running >= UPLOADS_MAX:
            raise UnavailableError(f"{UPLOADS_MAX} uploads are under way; try again when one has ended")
        self._running += 1
        try:
            added = await self._node.add(content, pieces)
        finally:
            self._running -= 1
        self._node.note("info", f"{who.name}: added {added['name']} ({size(int(added['size_bytes']))})")
        return added


async def _only_file(reader: MultipartReader) -> AsyncIterator[bytes]:
    """The content of the file, which must be the last part: the length of others cannot be known before they end."""
    async for piece in reader.read():
        yield piece
    if await reader.next_part() is not None:
        raise UsageError("a form without JavaScript takes one file at a time. Nothing was published")


async def _pieces(request: Request) -> AsyncIterator[bytes]:
    """The body as it comes. Raises UsageError when it is cut off or stalls."""
    stream = request.stream()
    while True:
        try:
            async with asyncio.timeout(UPLOAD_STALL_SECONDS):
                piece = await anext(stream, None)
        except ClientDisconnect:
            raise UsageError("the upload was cut off. Nothing was published; it can be continued") from None
        except TimeoutError:
            raise UsageError(f"nothing came for {UPLOAD_STALL_SECONDS:.0f} s. Nothing was published") from None
        if piece is None:
            return
        if piece:
            yield piece


async def _drain(pieces: AsyncIterator[bytes]) -> None:
    """Reads on for a while: a browser that is cut off while it sends shows no answer."""
    count = 0
    with suppress(RalnodeError, TimeoutError, RuntimeError):
        async with asyncio.timeout(DRAIN_SECONDS_MAX):
            async for piece in pieces:
                count += len(piece)
                if count > DRAIN_BYTES_MAX:
                    return


def _content(query: Mapping[str, str]) -> Content:
    """Raises UsageError."""
    name = _base_name(query.get("name", ""))
    mtime_ms = _number(query, "mtime_ms", 0)
    origin = f"upload of {name} to the page" if mtime_ms else ""
    copies = _number(query, "copies", 0)
    return Content(
        name, _number(query, "size", None), origin, mtime_ms * 1_000_000, _number(query, "offset", 0), copies or None
    )


def _number(query: Mapping[str, str], name: str, default: int | None) -> int:
    text = query.get(name, "")
    if not text and default is not None:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise UsageError(f"{name} = {text[:40]!r}: must be a whole number. Nothing was stored")
    return int(text)


def _base_name(name: str) -> str:
    """Browsers may send a path; what cannot be shown is replaced."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(char if char.isprintable() else "_" for char in last)[:255].strip() or "upload"
