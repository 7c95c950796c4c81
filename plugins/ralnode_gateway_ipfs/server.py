"""The gateway as a service: uvicorn with httptools for plain HTTP, without its signal handlers, and beside it TLS (tls.py)."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import uvicorn

from ralnode.api import ConfigError, Context, GatewayStatus, LocalError
from ralnode.api.httpserver import BoundedProtocol, QuietServer
from ralnode_gateway_ipfs.app import App
from ralnode_gateway_ipfs.options import IpfsOptions
from ralnode_gateway_ipfs.tls import LOOK_SECONDS, TlsListener, bind

_PORT_MAX = 65_535


class IpfsGateway:
    """`Gateway` of ralnode.api. A port that is taken is reported by `wait`, not by `start`: the node comes up without
    its gateway, and the supervision tries again until the port is free. Without its second port, for TLS, the gateway goes
    on with the first, and tries again by itself."""

    def __init__(self, context: Context, options: IpfsOptions) -> None:
        check_options(options)
        self._context = context
        self._options = options
        self._host = "0.0.0.0" if options.public else "127.0.0.1"
        self._port = options.port
        self._trouble: LocalError | None = None
        self._server: QuietServer | None = None
        self._task: asyncio.Task[None] | None = None
        self._tls: TlsListener | None = None
        self._tls_trouble = ""

    @property
    def url(self) -> str:
        return f"http://{'127.0.0.1' if self._options.public else self._host}:{self._port}"

    def listening(self) -> GatewayStatus:
        """Now; no ports while it cannot listen."""
        if self._server is None:
            return GatewayStatus(self._host)
        tls = self._tls
        return GatewayStatus(self._host, self._port, tls.port, tls.fingerprint) if tls else self._plain()

    def _plain(self) -> GatewayStatus:
        return GatewayStatus(self._host, self._port)

    async def start(self) -> None:
        try:
            listener = self._bind()
        except LocalError as error:
            self._trouble = error
            return
        self._trouble = None
        app = App(self._context, self._options, self.listening)
        config = self._configured(app)
        self._server = QuietServer(config)
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]), name="IPFS gateway")
        await self._server.listening.wait()
        if self._options.tls:
            self._tls = TlsListener(self._context, self._options, app, config)
            await self._tend_tls(self._tls)

    async def wait(self) -> None:
        if self._trouble is not None:
            raise self._trouble
        assert self._task is not None
        while not self._task.done():
            await asyncio.wait([self._task], timeout=LOOK_SECONDS)
            if self._tls is not None:
                await self._tend_tls(self._tls)
        self._task.result()
        raise LocalError("the IPFS gateway's server ended")

    async def stop(self) -> None:
        tls, self._tls = self._tls, None
        if tls is not None:
            await tls.stop()
        if self._server is None or self._task is None:
            return
        self._server.should_exit = True
        with contextlib.suppress(Exception):
            await self._task
        self._server = self._task = None

    async def _tend_tls(self, tls: TlsListener) -> None:
        """Its trouble is told once."""
        try:
            await (tls.look_after() if tls.port else tls.start(self._host))
            self._tls_trouble = ""
        except (LocalError, OSError) as error:
            if str(error) != self._tls_trouble:
                self._tls_trouble = str(error)
                self._context.log.warning("the IPFS gateway does without TLS, and tries again: %s", error)

    def _configured(self, app: App) -> uvicorn.Config:
        config = uvicorn.Config(
            app,
            http=BoundedProtocol,
            log_config=None,
            log_level="critical",  # an answer cut short on purpose is not an error to shout about; ours log themselves
            access_log=False,
            lifespan="off",
            server_header=False,
            proxy_headers=False,
            limit_concurrency=self._options.connections_max,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=1,
            ws="none",
        )
        config.load()
        return config

    def _bind(self) -> socket.socket:
        try:
            listener = bind(self._host, self._options.port)
        except LocalError as error:
            raise LocalError(
                f"{error}. The node runs without it. Stop what uses that port, set [gateway.ipfs] port, or [use] gateway = [] "
                "to do without."
            ) from error
        self._port = listener.getsockname()[1]
        return listener


def check_options(options: IpfsOptions) -> None:
    """Raises ConfigError."""
    for name in ("port", "tls_port"):
        value = getattr(options, name)
        if not 0 <= value <= _PORT_MAX:
            raise ConfigError(
                f"[gateway.ipfs] {name} = {value} is not a port; 8080 and 8443 are usual, 0 picks a free one"
            )
    if options.tls and options.port == options.tls_port != 0:
        raise ConfigError(f"[gateway.ipfs] port and tls_port are both {options.port}: they must differ")
    if options.tls_key and not options.tls_certificate:
        raise ConfigError("[gateway.ipfs] tls_key is set and tls_certificate is not: set both, or neither")
    if options.connections_max < 1 or options.requests_max < 1 or options.requests_waiting_max < 0:
        raise ConfigError(
            "[gateway.ipfs] connections_max and requests_max must be at least 1, requests_waiting_max at least 0"
        )
