"""One request over HTTP/2 as an ASGI call. What is sent, and when there is room for it, is the connection's business."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Protocol
from urllib.parse import unquote

from starlette.types import ASGIApp, Message, Scope


class GoneError(OSError):
    """The client has gone, or wants this answer no more. Servers of ASGI raise an OSError then."""


class Connection(Protocol):
    def send_head(self, stream_id: int, headers: list[tuple[bytes, bytes]], *, is_all: bool) -> None: ...

    async def send_body(self, stream: Stream, data: bytes, *, is_last: bool) -> None: ...

    def reset(self, stream_id: int) -> None: ...


class Stream:
    def __init__(self, stream_id: int, connection: Connection) -> None:
        self.id = stream_id
        self.window_opened = asyncio.Event()
        self.is_answered = False
        """Whole: its end was sent."""
        self._connection = connection
        self._is_gone = asyncio.Event()
        self._is_read = False
        self._head: list[tuple[bytes, bytes]] | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self, app: ASGIApp, scope: Scope, ended: Callable[[Stream], None]) -> None:
        self._task = asyncio.create_task(self._run(app, scope), name="HTTP/2 request")
        self._task.add_done_callback(lambda _task: ended(self))

    def gone(self) -> None:
        """The client does not want it any more: the work for it is cut."""
        self._is_gone.set()
        self.window_opened.set()
        if self._task is not None:
            self._task.cancel()

    def check(self) -> None:
        if self._is_gone.is_set():
            raise GoneError("the client has gone")

    async def _run(self, app: ASGIApp, scope: Scope) -> None:
        try:
            await app(scope, self._receive, self._send)
        except GoneError:
            return
        finally:
            if not self.is_answered and not self._is_gone.is_set():
                self._connection.reset(self.id)

    async def _receive(self) -> Message:
        """Nobody has sent a body that matters; then it waits for the end."""
        if not self._is_read:
            self._is_read = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._is_gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        self.check()
        if message["type"] == "http.response.start":
            status = str(message["status"]).encode("ascii")
            self._head = [(b":status", status), *((n.lower(), v) for n, v in message["headers"])]
            return
        body, more = message.get("body", b""), message.get("more_body", False)
        if self._head is not None:
            head, self._head = self._head, None
            self._connection.send_head(self.id, head, is_all=not body and not more)
            self.is_answered = not body and not more
        if not self.is_answered and (body or not more):
            await self._connection.send_body(self, body, is_last=not more)
            self.is_answered = not more


def scope_of(headers: Iterable[tuple[Any, Any]], transport: asyncio.Transport) -> Scope:
    """Of a request whose pseudo headers h2 has checked."""
    pseudo = {bytes(n): bytes(v) for n, v in headers if n.startswith(b":")}
    plain = [(bytes(n), bytes(v)) for n, v in headers if not n.startswith(b":")]
    raw_path, _, query = pseudo[b":path"].partition(b"?")
    server, client = transport.get_extra_info("sockname"), transport.get_extra_info("peername")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "2",
        "scheme": "https",
        "method": pseudo[b":method"].decode("latin-1"),
        "path": unquote(raw_path.decode("latin-1")),
        "raw_path": raw_path,
        "root_path": "",
        "query_string": query,
        "headers": [(b"host", pseudo.get(b":authority", b"")), *plain],
        "server": (server[0], server[1]) if server else None,
        "client": (client[0], client[1]) if client else None,
    }
