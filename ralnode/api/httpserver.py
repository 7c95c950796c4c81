"""For plugins that listen with uvicorn: a server without signal handlers, and a protocol that bounds the head of a request.

Not imported by `ralnode.api` itself: only who listens pays for uvicorn.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any, ClassVar, Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES_MAX: Final = 16 * 1024
HEAD_SECONDS_MAX: Final = 10.0
_TOO_LARGE: Final = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class QuietServer(uvicorn.Server):
    """`listening` is set once it accepts connections."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The node owns the signals; uvicorn would raise them again."""
        yield


class BoundedProtocol(HttpToolsProtocol):
    """A connection that sends nothing, or its head too slowly, is closed; one whose head is too large is told so first."""

    takes_bodies: ClassVar[bool] = False
    """A body may come in one piece with its head: then what stands behind the head does not count as head."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_bytes = 0
        self._is_in_body = False
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if not self._is_in_body:
            end = data.find(b"\r\n\r\n") if self.takes_bodies else -1
            self._head_bytes += len(data) if end < 0 else end
            if self._head_bytes > HEAD_BYTES_MAX:
                self._refuse_head()
                return
            if self._deadline is None:
                self._expect_head()
        super().data_received(data)

    def on_headers_complete(self) -> None:
        self._forget_deadline()
        self._is_in_body = True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._is_in_body = False
        self._head_bytes = 0
        super().on_message_complete()

    def _refuse_head(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(_TOO_LARGE)
            self.transport.close()

    def _expect_head(self) -> None:
        self._deadline = self.loop.call_later(HEAD_SECONDS_MAX, self.transport.close)

    def _forget_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class BoundedBodyProtocol(BoundedProtocol):
    """For listeners that take bodies."""

    takes_bodies = True
