"""The page's listening socket: uvicorn's protocol on a socket of ours, which can move to another address while it runs.

uvicorn's own `Server` is not used: it installs signal handlers, wakes ten times a second, and cannot move.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections import Counter
from typing import Any, Final

import uvicorn
from uvicorn.server import ServerState

from ralnode.api import LocalError
from ralnode_ui_web.bounds import CLOSE_SECONDS, CONNECTIONS_MAX
from ralnode_ui_web.protocol import BoundedProtocol

_BACKLOG: Final = 128


class Listener:
    """`open`, `move` any number of times, `close`."""

    def __init__(self, app: Any) -> None:
        self.host = ""
        self.port = 0
        self._tls: ssl.SSLContext | None = None
        self._config = uvicorn.Config(
            app, http=BoundedProtocol, ws="none", lifespan="off", log_config=None, log_level="critical", access_log=False,
            server_header=False, proxy_headers=False, limit_concurrency=CONNECTIONS_MAX, timeout_keep_alive=30,
        )  # fmt: skip
        self._state = ServerState()
        self._addresses: Counter[str] = Counter()
        self._server: asyncio.AbstractServer | None = None
        self._loaded = False

    async def open(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        """Raises LocalError when it cannot be had."""
        self._tls = tls
        if not self._loaded:
            self._config.load()
            self._loaded = True
        listening = _bind(host, port)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._protocol, sock=listening, backlog=_BACKLOG, ssl=self._tls)
        self.host, self.port = host, listening.getsockname()[1]

    async def move(self, host: str) -> None:
        """Listens there instead, on the same port; connections that are open stay. Raises LocalError: then it listens where
        it did before."""
        if host == self.host or self._server is None:
            return
        before, server = self.host, self._server
        server.close()  # one port cannot be had for one address and for all at a time
        try:
            await self.open(host, self.port, self._tls)
        except LocalError:
            await self.open(before, self.port, self._tls)
            raise

    async def close(self) -> None:
        """Answers under way may end within CLOSE_SECONDS. May be called twice."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        for connection in list(self._state.connections):
            connection.shutdown()
        tasks = list(self._state.tasks)
        if tasks:
            _done, late = await asyncio.wait(tasks, timeout=CLOSE_SECONDS)
            for task in late:
                task.cancel()
            with contextlib.suppress(Exception):
                await asyncio.gather(*tasks, return_exceptions=True)
        for connection in list(self._state.connections):
            transport = getattr(connection, "transport", None)
            if transport is not None:
                transport.abort()

    def _protocol(self) -> asyncio.Protocol:
        return BoundedProtocol(addresses=self._addresses, config=self._config, server_state=self._state, app_state={})


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise LocalError(
            f"cannot open the status page at {host}, port {port}: {error.strerror}. Nothing was changed. Stop what uses "
            "that port, or set [node] page_port (0 picks a free one) or [ui.web] listen_host."
        ) from error
    listening.setblocking(False)
    return listening
