"""Routes of the status page. Everything shown comes from `NodeControl.status()`, the same model as `ralnode status`."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from ralnode.api import ClusterStatus, NodeControl, RalnodeError
from ralnode_ui_web import metrics
from ralnode_ui_web.guard import Guard
from ralnode_ui_web.options import WebOptions
from ralnode_ui_web.pages import make_page

_HERE: Final = Path(__file__).parent
_NO_STORE: Final = {"Cache-Control": "no-store"}


class Pages:
    """Handlers; holds the number of live viewers."""

    def __init__(self, node: NodeControl, options: WebOptions) -> None:
        self._node = node
        self._options = options
        self._viewers = 0
        self._templates = Environment(
            loader=FileSystemLoader(_HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )

    def app(self) -> ASGIApp:
        routes = [
            Route("/", self.root),
            Route("/dashboard", self.dashboard),
            Route("/dashboard/live", self.live),
            Route("/api/v1/status", self.status),
            Route("/healthz", self.healthz),
            Route("/readyz", self.readyz),
            Route("/metrics", self.metrics),
            Mount("/static", StaticFiles(directory=_HERE / "static")),
        ]
        return Starlette(routes=routes, middleware=[Middleware(Guard, hosts=self._options.hosts)])

    async def root(self, _request: Request) -> Response:
        return RedirectResponse("/dashboard", 302)

    async def dashboard(self, _request: Request) -> Response:
        try:
            page = make_page(self._node.status(), self._options.sources_shown)
        except RalnodeError as error:
            return PlainTextResponse(f"The node is not ready: {error}\n", 503, _NO_STORE)
        return HTMLResponse(self._templates.get_template("dashboard.html").render(page=page), headers=_NO_STORE)

    async def live(self, _request: Request) -> Response:
        """Server-sent events, each with the whole fragment; bounded in viewers, at most two a second."""
        if self._viewers >= self._options.viewers_max:
            return PlainTextResponse("Too many browsers follow this page.\n", 503, {"Retry-After": "30"})
        return StreamingResponse(self._events(), media_type="text/event-stream", headers=_NO_STORE)

    async def _events(self) -> AsyncIterator[str]:
        self._viewers += 1
        template = self._templates.get_template("live.html")
        try:
            async with aclosing(self._node.changes()) as changes:  # type: ignore[type-var]
                async for _ in changes:
                    yield _event(template.render(page=make_page(self._node.status(), self._options.sources_shown)))
        finally:
            self._viewers -= 1

    async def status(self, _request: Request) -> Response:
        try:
            return Response(_json(self._node.status()), media_type="application/json", headers=_NO_STORE)
        except RalnodeError as error:
            return Response(json.dumps({"error": str(error)}), 503, _NO_STORE, "application/json")

    async def healthz(self, _request: Request) -> Response:
        """The process answers. No detail."""
        return PlainTextResponse("ok\n", headers=_NO_STORE)

    async def readyz(self, _request: Request) -> Response:
        """The node has started and can say how it is."""
        try:
            self._node.status()
        except RalnodeError:
            return PlainTextResponse("not ready\n", 503, _NO_STORE)
        return PlainTextResponse("ready\n", headers=_NO_STORE)

    async def metrics(self, _request: Request) -> Response:
        try:
            text = metrics.exposition(self._node.metrics())
        except RalnodeError:
            return PlainTextResponse("not ready\n", 503, _NO_STORE)
        return Response(text, headers=_NO_STORE | {"Content-Type": metrics.CONTENT_TYPE})


def _json(status: ClusterStatus) -> str:
    return json.dumps(dataclasses.asdict(status))


def _event(html: str) -> str:
    data = "\n".join(f"data: {line}" for line in html.splitlines())
    return f"event: status\n{data}\n\n"
