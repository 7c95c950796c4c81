"""The page's listener: uvicorn on a socket of ours, without its signal handlers."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Iterator

import uvicorn

from ralnode.api import ConfigError, Context, LocalError
from ralnode_ui_web.app import Pages
from ralnode_ui_web.options import WebOptions


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


class WebUi:
    """`Ui` of ralnode.api."""

    def __init__(self, context: Context, options: WebOptions) -> None:
        if not _is_loopback(options.listen_host):
            raise ConfigError(
                f"[ui.web] listen_host = {options.listen_host!r} is not a loopback address. The page has no password yet, "
                "so it answers only this machine: use 127.0.0.1, and ssh -L to look from elsewhere."
            )
        self._context = context
        self._options = options
        self._port = context.settings.page_port
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        host = f"[{self._options.listen_host}]" if ":" in self._options.listen_host else self._options.listen_host
        return f"http://{host}:{self._port}/dashboard"

    async def start(self) -> None:
        listener = self._bind()
        config = uvicorn.Config(
            Pages(self._context.node, self._options).app(),
            log_config=None,
            log_level="warning",
            access_log=False,
            lifespan="off",
            server_header=False,
            proxy_headers=False,
            limit_concurrency=self._options.viewers_max * 4,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=1,
            h11_max_incomplete_event_size=16 * 1024,
            ws="none",
        )
        self._server = _Server(config)
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]), name="status page")
        await self._server.listening.wait()

    async def wait(self) -> None:
        assert self._task is not None
        await asyncio.shield(self._task)
        raise LocalError("the status page's server ended")

    async def stop(self) -> None:
        if self._server is None or self._task is None:
            return
        self._server.should_exit = True
        with contextlib.suppress(Exception):
            await self._task
        self._server = self._task = None

    def _bind(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._options.listen_host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((self._options.listen_host, self._context.settings.page_port))
        except OSError as error:
            listener.close()
            raise LocalError(
                f"cannot open the status page at {self.url}: {error.strerror}. Nothing was changed. Stop what uses "
                "that port, or set [node] page_port (0 picks a free one)."
            ) from error
        self._port = listener.getsockname()[1]
        return listener


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
