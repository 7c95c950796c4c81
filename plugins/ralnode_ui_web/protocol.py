"""uvicorn's httptools protocol with bounds: on the head of a request, its size and the time it takes, and on the connections
that one address may hold.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ralnode_ui_web.bounds import CONNECTIONS_PER_ADDRESS_MAX, HEAD_BYTES_MAX, HEAD_SECONDS_MAX
from ralnode_ui_web.limiter import group_of

_TOO_LARGE: Final = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_LOCAL: Final = ("127.0.0.1", "::1")


class BoundedProtocol(HttpToolsProtocol):
    """`addresses` counts the connections of one listener."""

    def __init__(self, *, addresses: Counter[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._addresses = addresses
        self._group = ""
        self._head_bytes = 0
        self._is_in_body = False
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        address = str((transport.get_extra_info("peername") or ("",))[0])
        self._group = group_of(address)
        self._addresses[self._group] += 1
        if address not in _LOCAL and self._addresses[self._group] > CONNECTIONS_PER_ADDRESS_MAX:
            transport.abort()
            return
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_deadline()
        self._addresses[self._group] -= 1
        if self._addresses[self._group] <= 0:
            del self._addresses[self._group]
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if not self._is_in_body:
            end = data.find(b"\r\n\r\n")
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
