"""The page put together: routes, templates, the guard in front of all of it, and what becomes of errors."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from ralnode.api import NodeControl, RalnodeError
from ralnode_ui_web import metrics
from ralnode_ui_web.actions import Actions
from ralnode_ui_web.changing import Changing
from ralnode_ui_web.content import Contents
from ralnode_ui_web.facts import Facts
from ralnode_ui_web.guard import Guard
from ralnode_ui_web.hosts import Hosts
from ralnode_ui_web.looking import Looking
from ralnode_ui_web.options import WebOptions
from ralnode_ui_web.replies import NO_STORE, Replies, Trouble, trouble_of
from ralnode_ui_web.signing import Signing
from ralnode_ui_web.uploading import Uploading
from ralnode_ui_web.visitors import Door

_HERE: Final = Path(__file__).parent
_LOG: Final = logging.getLogger("ralnode.ui web")


class Site:
    """`app` is the whole ASGI application."""

    def __init__(
        self, node: NodeControl, options: WebOptions, door: Door, hosts: Hosts, password_changed: Callable[[], None]
    ) -> None:
        self._node = node
        templates = Environment(
            loader=FileSystemLoader(_HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )
        self._replies = Replies(templates)
        self._looking = Looking(node, options, templates)
        actions = Actions(node)
        parts = (
            self._looking,
            Signing(node, door, self._replies, password_changed),
            Uploading(node, self._replies),  # before the pattern /actions/{action}
            Changing(node, actions, self._replies),
            Contents(node, self._replies),
            Facts(node, actions, self._replies),
        )
        routes = [
            Route("/", self.root),
            Route("/healthz", self.healthz),
            Route("/readyz", self.readyz),
            Route("/metrics", self.metrics),
            *(route for part in parts for route in part.routes()),
            Mount("/static", StaticFiles(directory=_HERE / "static")),
        ]
        handlers: Mapping[Any, Any] = {
            RalnodeError: self._refused,
            HTTPException: self._not_there,
            Exception: self._broken,
        }
        inner = Starlette(routes=routes, exception_handlers=handlers)
        inner.router.redirect_slashes = False
        self.app: ASGIApp = Guard(inner, door, hosts, self._replies)

    async def start(self) -> None:
        await self._looking.start()

    async def stop(self) -> None:
        await self._looking.stop()

    async def root(self, _request: Request) -> Response:
        return RedirectResponse("/dashboard", 302)

    async def healthz(self, _request: Request) -> Response:
        """The process answers. No detail."""
        return PlainTextResponse("ok\n", headers=NO_STORE)

    async def readyz(self, _request: Request) -> Response:
        """The node has started and can say how it is."""
        try:
            self._node.status()
        except RalnodeError:
            return PlainTextResponse("not ready\n", 503, NO_STORE)
        return PlainTextResponse("ready\n", headers=NO_STORE)

    async def metrics(self, _request: Request) -> Response:
        try:
            text = metrics.exposition(self._node.metrics())
        except RalnodeError:
            return PlainTextResponse("not ready\n", 503, NO_STORE)
        return Response(text, headers=NO_STORE | {"Content-Type": metrics.CONTENT_TYPE})

    def _refused(self, request: Request, error: RalnodeError) -> Response:
        return self._replies.trouble(request, trouble_of(error))

    def _not_there(self, request: Request, error: HTTPException) -> Response:
        text = "There is nothing under this address." if error.status_code == 404 else error.detail
        headers = dict(error.headers) if error.headers else None
        return self._replies.trouble(request, Trouble(error.status_code, text, headers, "NotFoundError", 66))

    def _broken(self, request: Request, error: Exception) -> Response:
        _LOG.error("the status page met a fault of ours", exc_info=error)
        text = f"This is a fault of ralnode ({type(error).__name__}); see the node's log."
        return self._replies.trouble(request, Trouble(500, text, None, type(error).__name__, 70))
