"""Accepts connections: counted, rate limited and shaken hands with before anything of HTTP is looked at."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
from typing import Final

from ralnode.api import Address, LocalError
from ralnode_transport_http import bounds
from ralnode_transport_http.admission import Buckets, Gate
from ralnode_transport_http.connection import Connection, House
from ralnode_transport_http.options import HttpOptions

_OUT_OF_FILES: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_RETRY_SECONDS: Final = 0.5


class Listener:
    def __init__(self, house: House, tls: ssl.SSLContext, options: HttpOptions, log: logging.Logger) -> None:
        self._house = house
        self._tls = tls
        self._log = log
        self._connections_max = options.connections_max
        self._buckets = Buckets(options.accepts_per_second, 4 * options.accepts_per_second)
        self._handshakes = Gate(bounds.HANDSHAKES_MAX, bounds.HANDSHAKES_PER_ADDRESS_MAX)
        self._tasks: set[asyncio.Task[None]] = set()
        self._socket: socket.socket | None = None
        self.port = 0

    def bind(self, host: str, port: int) -> None:
        """Raises LocalError when the address is not ours or is taken."""
        try:
            self._socket = socket.create_server(
                (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=128
            )
        except OSError as error:
            raise LocalError(
                f"cannot listen for peers on {Address(host, port)}: {error.strerror}. Nothing was changed. Is another "
                "ralnode running here? Set [node] transport_port to a free port."
            ) from error
        self._socket.setblocking(False)
        self.port = self._socket.getsockname()[1]

    async def accept_all(self) -> None:
        """Returns never. Raises LocalError when the socket fails."""
        assert self._socket is not None
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, where = await loop.sock_accept(self._socket)
            except OSError as error:
                if error.errno not in _OUT_OF_FILES:
                    raise LocalError(f"cannot listen for peers any longer: {error.strerror}") from error
                self._log.warning("cannot accept connections for now: %s", error.strerror)
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            if self._let_in(where[0]):
                task = loop.create_task(self._shake_hands(accepted, where[0]))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            else:
                accepted.close()

    def _let_in(self, host: str) -> bool:
        """Before any cryptography."""
        return (
            len(self._house.connections) < self._connections_max
            and self._buckets.take(host, asyncio.get_running_loop().time())
            and self._handshakes.enter(host)
        )

    async def _shake_hands(self, accepted: socket.socket, host: str) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: Connection(self._house),
                accepted,
                ssl=self._tls,
                ssl_handshake_timeout=bounds.HANDSHAKE_SECONDS,
                ssl_shutdown_timeout=bounds.LINGER_SECONDS,
            )
        except OSError as error:  # ssl.SSLError and timeouts are OSErrors
            self._log.info("no handshake with %s: %s", host, error or type(error).__name__)
        finally:
            self._handshakes.leave(host)

    async def close(self) -> None:
        """Idle connections end now, busy ones after their answer or after bounds.STOP_SECONDS."""
        self._house.is_closing = True
        if self._socket is not None:
            self._socket.close()
        for task in self._tasks:
            task.cancel()
        connections = list(self._house.connections)
        for connection in connections:
            if connection.task is None:
                connection.close()
        busy = [connection.task for connection in connections if connection.task is not None]
        if busy:
            await asyncio.wait(busy, timeout=bounds.STOP_SECONDS)
        for connection in connections:
            connection.abort()
