"""The gateway's listener: uvicorn with httptools on a socket of ours, without its signal handlers."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn

from ralnode.api import ConfigError, Context, LocalError
from ralnode_gateway_ipfs.app import App
from ralnode_gateway_ipfs.options import IpfsOptions
from ralnode_gateway_ipfs.protocol import BoundedProtocol

_PORT_MAX = 65_535


class _Server(uvicorn.Server):
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


class IpfsGateway:
    """`Gateway` of ralnode.api. A port that is taken is reported by `wait`, not by `start`: the node comes up without
    its gateway, and the supervision tries again until the port is free."""

    def __init__(self, context: Context, options: IpfsOptions) -> None:
        if not 0 <= options.port <= _PORT_MAX:
            raise ConfigError(f"[gateway.ipfs] port = {options.port} is not a port; 8080 is usual, 0 picks a free one")
        if not (0 <= options.peers_port <= _PORT_MAX and 0 <= options.tls_port <= _PORT_MAX):
            raise ConfigError("[gateway.ipfs] peers_port and tls_port are ports, or 0 for none")
        if options.connections_max < 1 or options.requests_max < 1:
            raise ConfigError("[gateway.ipfs] connections_max and requests_max must be at least 1")
        self._context = context
        self._options = options
        self._host = "0.0.0.0" if options.public else "127.0.0.1"
        self._port = options.port
        self._trouble: LocalError | None = None
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        return f"http://{'127.0.0.1' if self._options.public else self._host}:{self._port}"

    async def start(self) -> None:
        try:
            listener = self._bind()
        except LocalError as error:
            self._trouble = error
            return
        self._trouble = None
        config = uvicorn.Config(
            App(self._context, self._options),
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
        self._server = _Server(config)
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]), name="IPFS gateway")
        await self._server.listening.wait()

    async def wait(self) -> None:
        if self._trouble is not None:
            raise self._trouble
        assert self._task is not None
        await asyncio.shield(self._task)
        raise LocalError("the IPFS gateway's server ended")

    async def stop(self) -> None:
        if self._server is None or self._task is None:
            return
        self._server.should_exit = True
        with contextlib.suppress(Exception):
            await self._task
        self._server = self._task = None

    def _bind(self) -> socket.socket:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((self._host, self._options.port))
        except OSError as error:
            listener.close()
            raise LocalError(
                f"cannot open the IPFS gateway at {self._host}:{self._options.port}: {error.strerror}. The node runs "
                "without it. Stop what uses that port, set [gateway.ipfs] port, or [use] gateway = [] to do without."
            ) from error
        self._port = listener.getsockname()[1]
        return listener
