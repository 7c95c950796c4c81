"""The pinning service as a listener: uvicorn without its signal handlers, the book and the worker beside it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path

import uvicorn

from ralnode.api import ConfigError, Context, LocalError
from ralnode.api.httpserver import BoundedBodyProtocol, QuietServer
from ralnode_gateway_pinning.app import PinningApp
from ralnode_gateway_pinning.book import Book
from ralnode_gateway_pinning.options import PinningOptions
from ralnode_gateway_pinning.tokens import Doorkeeper, load_token
from ralnode_gateway_pinning.worker import Worker

TOKEN_FILE = "pinning.token"  # noqa: S105 - the name of a file
BOOK_FILE = "pins.sqlite"


class PinningGateway:
    """`Gateway` of ralnode.api. A port that is taken is reported by `wait`: the node comes up without this service, and the
    supervision tries again."""

    def __init__(self, context: Context, options: PinningOptions) -> None:
        check_options(options)
        self._context = context
        self._options = options
        self._host = "0.0.0.0" if options.public else "127.0.0.1"
        self._port = options.port
        self._trouble: LocalError | None = None
        self._stack = contextlib.AsyncExitStack()
        self._task: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def token_path(self) -> Path:
        given = self._options.token_file
        return Path(given) if given else self._context.settings.data_dir / TOKEN_FILE

    async def start(self) -> None:
        token = load_token(self.token_path, may_make=not self._options.token_file)
        try:
            listener = self._bind()
        except LocalError as error:
            self._trouble = error
            return
        self._trouble = None
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(listener.close)
            book = Book(self._context.settings.data_dir / BOOK_FILE)
            await book.open()
            stack.push_async_callback(book.close)
            worker = Worker(self._context.node, book, self._options, self._context.log)
            stack.push_async_callback(worker.stop)
            await worker.start()
            app = PinningApp(self._context.node, book, worker, Doorkeeper(token), self._options)
            server = QuietServer(self._configured(app))
            self._task = asyncio.create_task(server.serve(sockets=[listener]), name="pinning service")
            stack.push_async_callback(self._end, server, self._task)
            await server.listening.wait()
            self._stack = stack.pop_all()
        self._context.log.info("pinning service at port %d; its token is in %s", self._port, self.token_path)

    async def wait(self) -> None:
        if self._trouble is not None:
            raise self._trouble
        assert self._task is not None
        await asyncio.shield(self._task)
        raise LocalError("the pinning service's server ended")

    async def stop(self) -> None:
        await self._stack.aclose()
        self._task = None

    @staticmethod
    async def _end(server: QuietServer, task: asyncio.Task[None]) -> None:
        server.should_exit = True
        await asyncio.gather(task, return_exceptions=True)

    def _configured(self, app: PinningApp) -> uvicorn.Config:
        return uvicorn.Config(
            app, http=BoundedBodyProtocol, log_config=None, log_level="critical",
            access_log=False, lifespan="off", server_header=False, proxy_headers=False, ws="none",
            limit_concurrency=self._options.connections_max, timeout_keep_alive=30, timeout_graceful_shutdown=1,
        )  # fmt: skip

    def _bind(self) -> socket.socket:
        listener = socket.socket()
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((self._host, self._options.port))
        except OSError as error:
            listener.close()
            raise LocalError(
                f"cannot open the pinning service at {self._host}:{self._options.port}: {error.strerror}. The node runs "
                "without it. Stop what uses that port, or set [gateway.pinning] port"
            ) from error
        self._port = listener.getsockname()[1]
        return listener


def check_options(options: PinningOptions) -> None:
    """Raises ConfigError."""
    for name in ("port", "client_port"):
        if not 0 <= getattr(options, name) <= 65_535:
            raise ConfigError(f"[gateway.pinning] {name} = {getattr(options, name)} is not a port")
    if options.origins not in ("lan", "any", "none"):
        raise ConfigError(f"[gateway.pinning] origins = {options.origins!r}: it may be lan, any or none")
    for name in ("pulls_max", "pins_max", "give_up_minutes", "connections_max"):
        if getattr(options, name) < 1:
            raise ConfigError(f"[gateway.pinning] {name} must be at least 1")
