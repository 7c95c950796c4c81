"""The gateway's second listener: TLS with HTTP/2, and HTTP/1.1 for those who speak no better. Its certificate is looked
after while it runs: its own is renewed, the user's is read again when its files change."""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path
from typing import Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.server import ServerState

from ralnode.api import Context, LocalError, UnavailableError
from ralnode.api.httpserver import BoundedProtocol
from ralnode_gateway_ipfs.certificate import (
    Certificate,
    load_given,
    load_into,
    now_utc,
    self_signed,
    server_context,
)
from ralnode_gateway_ipfs.http2 import Http2Connection
from ralnode_gateway_ipfs.options import IpfsOptions

HANDSHAKE_SECONDS: Final = 10.0
CLOSE_SECONDS: Final = 1.0
LOOK_SECONDS: Final = 60.0
"""Between two looks at the certificate, or two tries to listen."""


class TlsListener:
    def __init__(self, context: Context, options: IpfsOptions, app: ASGIApp, config: uvicorn.Config) -> None:
        self._context = context
        self._options = options
        self._app = app
        self._http1 = config
        self._state = ServerState()
        self._connections: set[Http2Connection] = set()
        self._handshaken: set[Entrance] = set()
        self._server: asyncio.Server | None = None
        self._ssl: ssl.SSLContext | None = None
        self._certificate: Certificate | None = None
        self._stamps: tuple[int, ...] = ()

    @property
    def port(self) -> int:
        """0 while it does not listen."""
        sockets = self._server.sockets if self._server is not None else ()
        return int(sockets[0].getsockname()[1]) if sockets else 0

    @property
    def fingerprint(self) -> str:
        return self._certificate.fingerprint if self._certificate is not None else ""

    async def start(self, host: str) -> None:
        """Raises LocalError; nothing listens then."""
        self._certificate = await asyncio.to_thread(self._find)
        self._stamps = self._stamp()
        self._ssl = await asyncio.to_thread(server_context, self._certificate)
        listener = bind(host, self._options.tls_port)
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Entrance(self),
            sock=listener,
            ssl=self._ssl,
            ssl_handshake_timeout=HANDSHAKE_SECONDS,
            ssl_shutdown_timeout=CLOSE_SECONDS,
        )
        self._context.log.info(
            "the IPFS gateway serves TLS at port %d; SHA-256 of its certificate: %s", self.port, self.fingerprint
        )

    async def look_after(self) -> None:
        """Renews or reads again. Raises LocalError; the old certificate stays in use then."""
        if self._certificate is None or self._ssl is None:
            return
        if self._certificate.is_own and self._certificate.is_fresh(now_utc()):
            return
        if not self._certificate.is_own and self._stamp() == self._stamps:
            return
        found = await asyncio.to_thread(self._find)
        await asyncio.to_thread(load_into, self._ssl, found)
        self._certificate, self._stamps = found, self._stamp()
        self._context.log.info(
            "the IPFS gateway has a new certificate, until %s; SHA-256: %s", found.ends.date(), found.fingerprint
        )

    async def stop(self) -> None:
        if self._server is None:
            return
        self._server.close()
        self._server = None
        for connection in list(self._connections):
            connection.end()
        for plain in list(self._state.connections):
            plain.shutdown()
        tasks = list(self._state.tasks)
        if tasks:
            _done, late = await asyncio.wait(tasks, timeout=CLOSE_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)
        for entrance in list(self._handshaken):
            entrance.abort_if_open()

    def admit(self, entrance: Entrance) -> asyncio.Protocol | None:
        """What goes on with a connection whose handshake is done; None when there are too many."""
        self._handshaken.add(entrance)
        if len(self._connections) + len(self._state.connections) >= self._options.connections_max:
            return None
        if entrance.speaks_http2:
            return Http2Connection(self._app, self._connections, self._context.log)
        return BoundedProtocol(config=self._http1, server_state=self._state, app_state={})

    def forget(self, entrance: Entrance) -> None:
        self._handshaken.discard(entrance)

    def _find(self) -> Certificate:
        options, settings = self._options, self._context.settings
        if options.tls_certificate:
            return load_given(Path(options.tls_certificate), Path(options.tls_key) if options.tls_key else None)
        return self_signed(settings.data_dir, settings.name, self._hosts(), now_utc())

    def _hosts(self) -> list[str]:
        """Under which others may know this machine."""
        try:
            return [socket.gethostname(), *(address.host for address in self._context.node.nodes()[0].addresses)]
        except UnavailableError:
            return [socket.gethostname()]

    def _stamp(self) -> tuple[int, ...]:
        """Of the user's files: changes when they do."""
        paths = [path for path in (self._options.tls_certificate, self._options.tls_key) if path]
        try:
            return tuple(Path(path).stat().st_mtime_ns for path in paths)
        except OSError:
            return self._stamps


class Entrance(asyncio.Protocol):
    """Looks at what the handshake has agreed upon, and hands the connection on."""

    def __init__(self, listener: TlsListener) -> None:
        self._listener = listener
        self._transport: asyncio.Transport | None = None
        self._goes_on: asyncio.Protocol | None = None

    @property
    def speaks_http2(self) -> bool:
        assert self._transport is not None
        connection = self._transport.get_extra_info("ssl_object")
        return connection is not None and connection.selected_alpn_protocol() == "h2"

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        chosen = self._listener.admit(self)
        if chosen is None:
            transport.abort()
            return
        self._goes_on = chosen
        chosen.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        assert self._goes_on is not None
        self._goes_on.data_received(data)

    def eof_received(self) -> bool | None:
        return self._goes_on.eof_received() if self._goes_on is not None else None

    def pause_writing(self) -> None:
        if self._goes_on is not None:
            self._goes_on.pause_writing()

    def resume_writing(self) -> None:
        if self._goes_on is not None:
            self._goes_on.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._listener.forget(self)
        if self._goes_on is not None:
            self._goes_on.connection_lost(exc)

    def abort_if_open(self) -> None:
        if self._transport is not None:
            self._transport.abort()


def bind(host: str, port: int) -> socket.socket:
    """Raises LocalError."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise LocalError(f"cannot open the IPFS gateway at {host}:{port}: {error.strerror}") from error
    return listener
