"""Answers in the form that whoever asks can read: a page for people, JSON for programs; and what an error of ours is in HTTP."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlsplit

from jinja2 import Environment
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from ralnode.api import (
    NotFoundError,
    RalnodeError,
    RefusedError,
    StorageFullError,
    UnavailableError,
    UsageError,
)

NO_STORE: Final = {"Cache-Control": "no-store"}
_STATUS: Final[tuple[tuple[type[RalnodeError], int], ...]] = (
    (UsageError, 400),
    (NotFoundError, 404),
    (UnavailableError, 503),
    (StorageFullError, 507),
    (RefusedError, 409),
)
_TITLES: Final = {
    400: "That cannot be done so",
    401: "Please sign in",
    403: "Not allowed",
    404: "Not found",
    405: "Not here",
    408: "Too slow",
    409: "Refused",
    411: "The length is missing",
    413: "Too large",
    415: "Not in that form",
    421: "Not under that name",
    429: "Too often",
    503: "Not now",
    507: "It does not fit",
}


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a request is not answered as asked. `links` are (address here, text)."""

    status: int
    text: str
    headers: Mapping[str, str] | None = None
    kind: str = "RefusedError"
    exit_code: int = 77
    links: tuple[tuple[str, str], ...] = (("/dashboard", "Back to the status page"),)

    @property
    def title(self) -> str:
        return _TITLES.get(self.status, "Something went wrong")


def status_of(error: RalnodeError) -> int:
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def trouble_of(error: RalnodeError) -> Trouble:
    headers = {"Retry-After": "5"} if isinstance(error, UnavailableError) else None
    return Trouble(status_of(error), f"{error}", headers, type(error).__name__, error.exit_code)


def wants_json(request: Request) -> bool:
    """A program, or a script of our page."""
    return request.url.path.startswith("/api/") or "application/json" in request.headers.get("accept", "")


def as_json(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    text = json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace")
    return Response(text, status, {**NO_STORE, **(headers or {})}, "application/json")


def safe_path(path: str) -> str:
    """A place of this page, or the status page: nobody is sent elsewhere."""
    parts = urlsplit(path)
    is_here = path.startswith("/") and not path.startswith(("//", "/\\")) and not parts.netloc and path.isprintable()
    return path if is_here and len(path) <= 2048 else "/dashboard"


def go_to(path: str) -> Response:
    """After a change: the browser asks anew, and a reload changes nothing again."""
    return RedirectResponse(safe_path(path), 303, NO_STORE)


class Replies:
    """Renders; every template gets `who`."""

    def __init__(self, templates: Environment) -> None:
        self._templates = templates

    def page(self, request: Request, template: str, http_status: int = 200, /, **values: Any) -> Response:
        html = self._templates.get_template(template).render(who=request.state.who, **values)
        return HTMLResponse(html.encode("utf-8", "backslashreplace"), http_status, NO_STORE)

    def trouble(self, request: Request, trouble: Trouble) -> Response:
        headers = {**NO_STORE, **(trouble.headers or {})}
        if wants_json(request):
            table = {"error": trouble.text, "class": trouble.kind, "exit_code": trouble.exit_code}
            return as_json(table, trouble.status, headers)
        answer = self.page(
            request, "message.html", trouble.status, status=trouble.status, title=trouble.title, text=trouble.text,
            level="error", links=trouble.links,
        )  # fmt: skip
        answer.headers.update(headers)
        return answer

    def sign_in_first(self, request: Request) -> Response:
        """For a page: the way to sign in. For a program: 401."""
        if wants_json(request) or request.method not in ("GET", "HEAD") or request.url.path == "/metrics":
            text = "Sign in, or send a token (ralnode token add): Authorization: Bearer ral_…"
            return self.trouble(
                request,
                Trouble(401, text, {"WWW-Authenticate": 'Bearer realm="ralnode"'}, links=(("/sign-in", "Sign in"),)),
            )
        asked = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return go_to(f"/sign-in?next={quote(asked, safe='')}")
