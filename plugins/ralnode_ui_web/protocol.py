"""The protocol of the page's listener: heads bounded as for every listener, and the connections that one address may hold."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, Final

from ralnode.api.httpserver import BoundedBodyProtocol
from ralnode_ui_web.bounds import CONNECTIONS_PER_ADDRESS_MAX
from ralnode_ui_web.limiter import group_of

_LOCAL: Final = ("127.0.0.1", "::1")


class BoundedProtocol(BoundedBodyProtocol):
    """`addresses` counts the connections of one listener."""

    def __init__(self, *, addresses: Counter[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._addresses = addresses
        self._group = ""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        address = str((transport.get_extra_info("peername") or ("",))[0])
        self._group = group_of(address)
        self._addresses[self._group] += 1
        if address not in _LOCAL and self._addresses[self._group] > CONNECTIONS_PER_ADDRESS_MAX:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._addresses[self._group] -= 1
        if self._addresses[self._group] <= 0:
            del self._addresses[self._group]
        super().connection_lost(exc)
