"""What programs may read under /api/v1: the status in pages, one source, why a block is where it is, the plan, the events."""

from __future__ import annotations

import dataclasses
import time
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from ralnode.api import ClusterStatus, EventLine, NodeControl, SourceStatus, UsageError
from ralnode.api.limits import EVENT_LOG_MAX
from ralnode_ui_web.actions import Actions
from ralnode_ui_web.bounds import QUERY_CHARS_MAX, STATUS_SOURCES, STATUS_SOURCES_MAX
from ralnode_ui_web.replies import NO_STORE, Replies, as_json

_CACHE_FACTOR = 10
_CACHE_SECONDS_MAX = 1.0


class Facts:
    """Holds the last status for ten times as long as it took to make: asking often costs little, a small cluster is exact."""

    def __init__(self, node: NodeControl, actions: Actions, replies: Replies) -> None:
        self._node = node
        self._actions = actions
        self._replies = replies
        self._status: ClusterStatus | None = None
        self._good_until = 0.0

    def routes(self) -> list[Route]:
        return [
            Route("/api/v1/status", self.status),
            Route("/api/v1/me", self.me),
            Route("/api/v1/plan", self.plan),
            Route("/api/v1/events", self.events),
            Route("/api/v1/sources/{root:str}", self.source),
            Route("/api/v1/sources/{root:str}/why", self.why),
        ]

    async def status(self, request: Request) -> Response:
        query, status = request.query_params, self._fresh()
        offset = _number(query.get("sources_offset", "0"), "sources_offset", 0, 10**9)
        limit = _number(query.get("sources_limit", str(STATUS_SOURCES)), "sources_limit", 0, STATUS_SOURCES_MAX)
        found = [s for s in status.sources if _fits(s, query.get("q", ""), query.get("health", ""))]
        table = dataclasses.asdict(dataclasses.replace(status, sources=tuple(found[offset : offset + limit])))
        table |= {
            "sources_total": len(status.sources),
            "sources_matching": len(found),
            "sources_offset": offset,
        }
        return as_json(table)

    async def me(self, request: Request) -> Response:
        who = request.state.who
        return as_json({"role": who.role, "scopes": sorted(who.scopes), "is_signed_in": who.is_signed_in})

    async def plan(self, _request: Request) -> Response:
        return as_json(dict(await self._node.command("plan", {})))

    async def source(self, request: Request) -> Response:
        return as_json(dict(await self._node.command("source", {"source": request.path_params["root"]})))

    async def why(self, request: Request) -> Response:
        """Why one block is where it is, in the planner's own words."""
        index = _number(request.query_params.get("index", ""), "index", 0, 10**9)
        params = {"source": request.path_params["root"], "index": index}
        return as_json(dict(await self._node.command("plan_why", params)))

    async def events(self, request: Request) -> Response:
        """The newest, oldest of them first; as a file to keep."""
        query = request.query_params
        limit = _number(query.get("limit", str(EVENT_LOG_MAX)), "limit", 1, EVENT_LOG_MAX)
        lines = self._fresh().events[-limit:]
        form = query.get("format", "json")
        if form == "text":
            headers = NO_STORE | {"Content-Disposition": 'attachment; filename="ralnode-events.txt"'}
            return PlainTextResponse("".join(map(_line, lines)), headers=headers)
        if form != "json":
            raise UsageError(f"format = {form[:40]!r}: must be json or text")
        return as_json({"events": [dataclasses.asdict(line) for line in lines]})

    def _fresh(self) -> ClusterStatus:
        began = time.monotonic()
        if self._status is None or began >= self._good_until:
            self._status = self._node.status()
            cost = time.monotonic() - began
            self._good_until = began + cost + min(_CACHE_SECONDS_MAX, cost * _CACHE_FACTOR)
        return self._status


def _fits(source: SourceStatus, words: str, health: str) -> bool:
    """By its name or the beginning of its CID; both may be left out."""
    if len(words) > QUERY_CHARS_MAX:
        raise UsageError(f"q has more than {QUERY_CHARS_MAX} characters")
    if health and source.health.value != health:
        return False
    return not words or words.casefold() in source.name.casefold() or source.root.startswith(words)


def _number(text: str, name: str, least: int, most: int) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 12 or not least <= int(text) <= most:
        raise UsageError(f"{name} = {text[:40]!r}: must be a number from {least:,} to {most:,}")
    return int(text)


def _line(event: EventLine) -> str:
    when = datetime.fromtimestamp(event.unix_ms / 1000, UTC)
    text = "".join(char if char.isprintable() else " " for char in event.text)
    return f"{when:%Y-%m-%dT%H:%M:%S}Z {event.level}: {text}\n"
