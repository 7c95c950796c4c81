"""The routes that only read: the status page, its live stream, one source, why a block is here, the event log.

Everything shown comes from `NodeControl.status()`, the model that `ralnode status` and /api/v1/status show too.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final
from urllib.parse import urlencode

from jinja2 import Environment
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from ralnode.api import Liveness, NodeControl, NotFoundError, RalnodeError, UsageError
from ralnode_ui_web import blockmap, eventlog
from ralnode_ui_web.fragments import Fragments, Seen, fragments_of
from ralnode_ui_web.live import Live
from ralnode_ui_web.options import WebOptions
from ralnode_ui_web.pages import make_page
from ralnode_ui_web.replies import NO_STORE, Replies, trouble_of
from ralnode_ui_web.sourcelist import ORDER_NAMES, Query, labels, source_row
from ralnode_ui_web.words import clock, day, size

_LOG: Final = logging.getLogger("ralnode.ui web")
_REMEMBERED_PAGES_MAX: Final = 128
_ASKED_NODES_MAX: Final = 64
_ASK_SECONDS: Final = 3.0
_QUIET_SECONDS: Final = 20.0
"""A line into a silent stream, so that proxies and browsers keep it."""
_INDEX_DIGITS_MAX: Final = 12


class Looking:
    def __init__(self, node: NodeControl, options: WebOptions, templates: Environment) -> None:
        self.live = Live(node, _LOG)
        self._node = node
        self._options = options
        self._templates = templates
        templates.filters.update(size=size, day=day)
        self._replies = Replies(templates)
        self._shown: OrderedDict[str, Seen] = OrderedDict()
        self._rendered: tuple[int, dict[tuple[Query, bool], Fragments]] = (0, {})
        self._task: asyncio.Task[None] | None = None

    def routes(self) -> list[Route]:
        return [
            Route("/dashboard", self.dashboard),
            Route("/dashboard/live", self.stream),
            Route("/dashboard/source/{root}", self.source),
            Route("/dashboard/why", self.why),
            Route("/dashboard/events.{form}", self.events),
        ]

    async def start(self) -> None:
        self._task = asyncio.create_task(self.live.run(), name="status page: live")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def dashboard(self, request: Request) -> Response:
        who, query = request.state.who, Query.of(request.query_params)
        try:
            status = self._node.status()
        except RalnodeError as error:
            return self._replies.trouble(request, trouble_of(error))
        page = make_page(status, query, self._options.sources_shown, self.live.history)
        fragments = fragments_of(self._templates, page, may_change=who.may_change)
        values = {
            "page": page,
            "part": fragments.by_name(),
            "orders": tuple(ORDER_NAMES.items()),
            "live_url": self._live_url(query, fragments),
        }
        return self._page(request, "dashboard.html", values)

    def _live_url(self, query: Query, fragments: Fragments) -> str:
        """The stream begins where this page ends: it is told what the page shows."""
        seen, ticket = Seen(), secrets.token_urlsafe(9)
        seen.take(fragments)
        self._shown[ticket] = seen
        while len(self._shown) > _REMEMBERED_PAGES_MAX:
            self._shown.popitem(last=False)
        given = {"since": ticket, "q": query.text, "health": query.health, "order": query.order, "page": query.page}
        return f"/dashboard/live?{urlencode(given, errors='backslashreplace')}"

    async def stream(self, request: Request) -> Response:
        """Server-sent events: each a fragment that has changed. Bounded in viewers; at most two looks a second."""
        if self.live.viewer_count >= self._options.viewers_max:
            return PlainTextResponse("Too many browsers follow this page.\n", 503, {"Retry-After": "30"})
        # A ticket counts once: who comes again with it has missed something and is sent everything.
        seen = self._shown.pop(request.query_params.get("since", ""), None) or Seen()
        query = Query.of(request.query_params)
        headers = {**NO_STORE, "X-Accel-Buffering": "no"}
        return StreamingResponse(self._follow(request, query, seen), media_type="text/event-stream", headers=headers)

    async def _follow(self, request: Request, query: Query, seen: Seen) -> AsyncIterator[str]:
        may_change = request.state.who.may_change
        with self.live.viewer():
            version = self.live.version
            yield "retry: 2000\n\n"
            while True:
                try:
                    version = await asyncio.wait_for(self.live.after(version), _QUIET_SECONDS)
                except TimeoutError:
                    yield ": still here\n\n"
                    continue
                for name, html in seen.news(self._fragments(query, may_change=may_change)):
                    yield _event(name, html)

    def _fragments(self, query: Query, *, may_change: bool) -> Fragments:
        """Of the last look; rendered once for all who look for the same."""
        if self._rendered[0] != self.live.version:
            self._rendered = (self.live.version, {})
        cache, wanted = self._rendered[1], (query, may_change)
        if wanted not in cache:
            assert self.live.status is not None, "there was a look"
            page = make_page(self.live.status, query, self._options.sources_shown, self.live.history)
            cache[wanted] = fragments_of(self._templates, page, may_change=may_change)
        return cache[wanted]

    async def source(self, request: Request) -> Response:
        """One source with everybody's plan for it: each node that is here is asked what it wants."""
        root = request.path_params["root"]
        try:
            status = self._node.status()
            found = next((source for source in status.sources if source.root == root), None)
            if found is None:
                raise NotFoundError("There is no such file in the catalogue; it may have been removed.")
            answer = await self._node.command("source", {"source": root})
        except RalnodeError as error:
            return self._replies.trouble(request, trouble_of(error))
        wanted = await self._everybodys_wants(root)
        values = {
            "source": source_row(found, blockmap.rows(found, labels(status), wanted)),
            "status": found,
            "added": clock(found.added_unix_ms) if found.added_unix_ms else "",
            "holders": answer["holders"],
            "asked": len(wanted),
        }
        return self._page(request, "source.html", values)

    async def _everybodys_wants(self, root: str) -> Mapping[str, str]:
        """Node id → its cells. A node that does not answer in time is left out."""
        status = self._node.status()
        others = [n.id for n in status.nodes if not n.is_me and n.liveness is Liveness.ALIVE][:_ASKED_NODES_MAX]
        found = await asyncio.gather(*(self._wants_of(node, root) for node in others))
        return {node: cells for node, cells in zip(others, found, strict=True) if cells is not None}

    async def _wants_of(self, node: str, root: str) -> str | None:
        with contextlib.suppress(RalnodeError, TimeoutError, KeyError, TypeError, AttributeError):
            async with asyncio.timeout(_ASK_SECONDS):
                answer = await self._node.command("source", {"source": root}, node)
            cells = answer["status"]["wanted"].get(node, "")
            return cells if isinstance(cells, str) else None
        return None

    async def why(self, request: Request) -> Response:
        source, index = request.query_params.get("source", ""), request.query_params.get("index", "0").strip()
        answer: Mapping[str, Any] | None = None
        problem, code = "", 200
        try:
            if not (index.isascii() and index.isdecimal() and len(index) <= _INDEX_DIGITS_MAX):
                raise UsageError("The block is a number from 0 on.")
            answer = await self._node.command("plan_why", {"source": source, "index": int(index)})
        except RalnodeError as error:
            problem, code = str(error), trouble_of(error).status
        # htmx shows no answer that is an error; it is told in words.
        code = 200 if "hx-request" in request.headers else code
        values = {"answer": answer, "problem": problem, "source": source, "index": index}
        return self._page(request, "why.html", values, code)

    async def events(self, request: Request) -> Response:
        form = request.path_params["form"]
        if form not in eventlog.MEDIA_TYPES:
            return PlainTextResponse("There is events.txt, events.csv and events.json.\n", 404, NO_STORE)
        try:
            text = eventlog.export(self._node.status().events, form)
        except RalnodeError as error:
            return self._replies.trouble(request, trouble_of(error))
        headers = {**NO_STORE, "Content-Disposition": f'attachment; filename="ralnode-events.{form}"'}
        data = text.encode("utf-8", "backslashreplace")
        return Response(data, headers=headers, media_type=eventlog.MEDIA_TYPES[form])

    def _page(self, request: Request, template: str, values: Mapping[str, Any], code: int = 200) -> Response:
        html = self._templates.get_template(template).render(who=request.state.who, **values)
        return HTMLResponse(html.encode("utf-8", "backslashreplace"), code, NO_STORE)


def _event(name: str, html: str) -> str:
    """One event; a line break in the data begins another line of it."""
    lines = html.encode("utf-8", "backslashreplace").decode().splitlines()
    return f"event: {name}\n" + "".join(f"data: {line}\n" for line in lines or [""]) + "\n"
