"""ASGI by hand for the streaming routes: answers that begin while the request still comes, and work that ends when the
client has gone. (Starlette's streaming response swallows the request's body while it waits for the client to leave.)
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, MutableMapping
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qsl

from ralnode.api import RalnodeError, UsageError
from ralnode.host.errortable import error_table

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]

JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"
_STATUS: Final = {64: 400, 66: 404, 69: 503, 74: 507, 77: 403, 78: 500}
"""HTTP status for an exit code; anything else is 500. Clients of ours look at the body."""


def status_of(error: Exception) -> int:
    """The HTTP status for an error of ours."""
    return _STATUS.get(getattr(error, "exit_code", 1), 500)


class ClientGoneError(Exception):
    """Whoever asked has hung up."""


class Answer:
    """A response that is sent piece by piece; `send` waits while the client reads slowly."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.has_begun = False

    async def begin(self, media_type: str, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        self.has_begun = True
        lines = [("content-type", media_type), *(headers or {}).items()]
        encoded = [(name.encode(), value.encode("latin-1")) for name, value in lines]
        await self._send({"type": "http.response.start", "status": status, "headers": encoded})

    async def send(self, data: bytes) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def line(self, value: Mapping[str, Any]) -> None:
        """One line of NDJSON."""
        await self.send(json.dumps(value, ensure_ascii=False).encode() + b"\n")

    async def end(self, data: bytes = b"") -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": False})

    async def refuse(self, error: Exception) -> None:
        """The whole answer is this error; only before `begin`."""
        await self.begin(JSON, status_of(error))
        await self.end(json.dumps(error_table(error)).encode())


Work: TypeAlias = Callable[[Mapping[str, str], AsyncIterator[bytes], Answer], Coroutine[Any, Any, None]]
"""(query, body of the request, answer). Raises RalnodeError before `answer.begin`, or `Broken` afterwards."""


class Route:
    """An ASGI app for one route. Hanging up cancels the work at once: if it `reads_body`, as soon as that has been read (in
    the middle of it the work is told)."""

    def __init__(self, work: Work, *, reads_body: bool) -> None:
        self._work = work
        self._reads_body = reads_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer, has_come = Answer(send), asyncio.Event()
        if not self._reads_body:
            has_come.set()
        try:
            work = self._work(parse_query(scope["query_string"]), _noted(body_of(receive), has_come), answer)
            await _while_connected(work, receive, has_come)
        except ClientGoneError:
            return
        except RalnodeError as error:
            if answer.has_begun:
                raise
            await answer.refuse(error)


async def body_of(receive: Receive) -> AsyncIterator[bytes]:
    """The body as it comes. Raises ClientGoneError when it is cut off."""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        yield message.get("body", b"")
        if not message.get("more_body", False):
            return


async def _noted(body: AsyncIterator[bytes], has_come: asyncio.Event) -> AsyncIterator[bytes]:
    """The body; `has_come` is set at its end."""
    async for piece in body:
        yield piece
    has_come.set()


async def _while_connected(work: Coroutine[Any, Any, None], receive: Receive, has_come: asyncio.Event) -> None:
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(_disconnected(receive, has_come))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
    finally:
        gone.cancel()
        if not task.done():
            task.cancel()
        await asyncio.gather(gone, task, return_exceptions=True)
    if not task.cancelled():
        task.result()


async def _disconnected(receive: Receive, has_come: asyncio.Event) -> None:
    await has_come.wait()
    while (await receive())["type"] != "http.disconnect":
        pass


def parse_query(raw: bytes) -> dict[str, str]:
    """Names and values, each name at most once. Raises UsageError."""
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, strict_parsing=bool(raw), max_num_fields=32)
    except ValueError as error:
        raise UsageError(f"malformed query: {error}") from error
    table = dict(pairs)
    if len(table) != len(pairs):
        raise UsageError("malformed query: a name is given twice")
    return table
