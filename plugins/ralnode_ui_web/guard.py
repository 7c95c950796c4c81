"""What every request passes first: a host name of ours, a role that may, a page of ours as its origin, a bounded body; and
headers that keep the page shut. Everything that is not named here as public asks for the right to look, every change for admin.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from typing import Any, Final

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ralnode.api import RalnodeError
from ralnode_ui_web import hashing
from ralnode_ui_web.bounds import SEND_SECONDS_MAX
from ralnode_ui_web.forms import FORM, JSON, BodyError, Form, form_of_json, parse_form, parse_json, read_body
from ralnode_ui_web.hosts import Hosts
from ralnode_ui_web.replies import Replies, Trouble, trouble_of
from ralnode_ui_web.visitors import CSRF_FIELD, CSRF_HEADER, Door, UnknownTokenError, Visitor

HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not no-referrer: browsers would then send `Origin: null` with our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_PUBLIC: Final = frozenset({"/healthz", "/readyz", "/sign-in", "/sign-in/link", "/sign-out", "/favicon.ico"})
_UPLOADS: Final = frozenset({"/actions/upload", "/api/v1/upload"})
_STREAMS: Final = frozenset({"/dashboard/live"})
"""What must end when its session does."""

_SAFE: Final = ("GET", "HEAD")
_LOG: Final = logging.getLogger("ralnode.ui web")


def needed_scope(method: str, path: str) -> str:
    """The right that a request needs; "" for none."""
    if path in _PUBLIC or path.startswith("/static/"):
        return ""
    if path == "/metrics":
        return "metrics"
    if path in _UPLOADS:
        return "add"
    if method not in _SAFE or path == "/account" or path.startswith(("/account/", "/actions/")):
        return "admin"
    return "view"


class Guard:
    """ASGI middleware. Behind it `request.state.who` is the visitor, and `request.state.form` the fields of a change."""

    def __init__(self, app: ASGIApp, door: Door, hosts: Hosts, replies: Replies) -> None:
        self._app = app
        self._door = door
        self._hosts = hosts
        self._replies = replies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        passage = _Passage(self._door, scope, receive, send)
        request = Request(scope)
        request.state.who = Visitor("somebody", "")
        try:
            trouble = await self._check(request, passage)
        except BodyError as error:
            trouble = Trouble(error.status, str(error), {"Connection": "close"})
        except RalnodeError as error:
            trouble = trouble_of(error)
        if trouble is None:
            await self._pass_on(request, passage)
        else:
            answer = self._replies.trouble(request, trouble) if isinstance(trouble, Trouble) else trouble
            await answer(scope, receive, passage.send)

    async def _pass_on(self, request: Request, passage: _Passage) -> None:
        """An answer that fails in the middle is cut off, so that nobody takes it for the whole; the log says why."""
        try:
            await self._app(request.scope, passage.receive, passage.send)
        except (RalnodeError, OSError) as error:
            _LOG.warning("the answer to %s was cut off: %s", request.url.path[:200], error)
            raise

    async def _check(self, request: Request, passage: _Passage) -> Any:
        """None, or the answer to give instead."""
        scope, method, path = request.scope, request.method, request.url.path
        if not self._hosts.is_ours(request.headers.get("host", "")):
            text = "This page does not answer under that name. Use its IP address, or add the name to [ui.web] hosts."
            return Trouble(421, text, links=())
        if method not in (*_SAFE, "POST", "PUT"):
            return Trouble(405, "Only GET, HEAD, POST and PUT.", {"Allow": "GET, HEAD, POST, PUT"})
        try:
            who = self._door.recognise(scope)
        except UnknownTokenError:
            return Trouble(401, "This token does not exist or has expired.", {"WWW-Authenticate": "Bearer"})
        request.state.who = passage.who = self._with_flashes(request, who, passage)
        request.state.is_csrf_checked = who.by_token
        if method not in _SAFE and not who.by_token:
            refusal = self._origin_trouble(request)
            if refusal is not None:
                return refusal
        needed = needed_scope(method, path)
        if not who.may(needed):
            if needed == "admin" and who.is_signed_in:
                return Trouble(403, "Only an admin may do that, and you are signed in to look.")
            return self._replies.sign_in_first(request) if not who.by_token else _SCOPE_LACKS
        return await self._take_body(request, passage.receive) if method not in _SAFE else None

    def _with_flashes(self, request: Request, who: Visitor, passage: _Passage) -> Visitor:
        """What is to be said once is taken by a whole page; a browser that is new gets its cookie there."""
        is_page = request.method == "GET" and "text/html" in request.headers.get("accept", "")
        is_whole = is_page and "hx-request" not in request.headers and not request.url.path.startswith("/static/")
        if is_whole and who.session is not None and who.session.flashes:
            flashes, who.session.flashes = tuple(who.session.flashes), []
            return dataclasses.replace(who, flashes=flashes)
        if (
            request.method == "GET"
            and not who.csrf
            and not who.by_token
            and not request.url.path.startswith("/static/")
        ):
            passage.cookie, csrf = self._door.greet(request.scope)
            return dataclasses.replace(who, csrf=csrf)
        return who

    def _origin_trouble(self, request: Request) -> Trouble | None:
        headers = request.headers
        origin = headers.get("origin") or headers.get("referer", "")
        if not origin or not self._hosts.is_from_us(origin, headers.get("host", ""), request.url.scheme):
            return Trouble(403, "This came from another page (its Origin is not this one). Nothing was changed.")
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return Trouble(403, "This came from another site. Nothing was changed.")
        return None

    async def _take_body(self, request: Request, receive: Receive) -> Trouble | None:
        """Forms and JSON; an upload is only looked at. Raises BodyError."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if self._is_csrf(request, request.headers.get(CSRF_HEADER, "")):
            request.state.is_csrf_checked = True
        if request.url.path in _UPLOADS:
            return None  # uploading.py looks for the token in the form, before the first byte of a file
        body = await read_body(receive, request.headers.get("content-length"))
        request.state.form = Form()
        if kind == FORM:
            request.state.form = parse_form(body)
        elif kind == JSON:
            request.state.form = form_of_json(parse_json(body))
        elif body:
            return Trouble(415, f"Send a form ({FORM}) or JSON ({JSON}).")
        if kind == FORM and self._is_csrf(request, request.state.form.text(CSRF_FIELD)):
            request.state.is_csrf_checked = True
        return None if request.state.is_csrf_checked else CSRF_LACKS

    @staticmethod
    def _is_csrf(request: Request, given: str) -> bool:
        return is_csrf(request.state.who, given)


def is_csrf(who: Visitor, given: str) -> bool:
    return bool(who.csrf) and hashing.same(who.csrf, given)


CSRF_LACKS: Final = Trouble(
    403,
    "The token of this page is missing or old (a restart, or another sign-in). Nothing was changed. Load the page anew.",
)
_SCOPE_LACKS: Final = Trouble(403, "This token lacks the scope for that.")


class _Passage:
    """One request's way in and out: headers added, a client that takes nothing cut off, streams ended with their session."""

    def __init__(self, door: Door, scope: Scope, receive: Receive, send: Send) -> None:
        self.who: Visitor | None = None
        self.cookie = ""
        self._door = door
        self._receive = receive
        self._send = send
        self._is_stream = scope["path"] in _STREAMS
        self._ended = asyncio.Event()

    async def receive(self) -> Message:
        if not self._is_stream:
            return await self._receive()
        real, ended = asyncio.ensure_future(self._receive()), asyncio.ensure_future(self._ended.wait())
        try:
            await asyncio.wait((real, ended), return_when=asyncio.FIRST_COMPLETED)
            return real.result() if real.done() else {"type": "http.disconnect"}
        finally:
            for task in (real, ended):
                task.cancel()
            await asyncio.gather(real, ended, return_exceptions=True)

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            if self.cookie:
                headers.append("Set-Cookie", self.cookie)
        if self._ended.is_set():
            return
        if self._is_stream and self.who is not None and not self._door.is_live(self.who):
            self._ended.set()
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        try:
            async with asyncio.timeout(SEND_SECONDS_MAX):
                await self._send(message)
        except TimeoutError:
            raise OSError(f"the client took nothing for {SEND_SECONDS_MAX:.0f} s") from None


__all__ = ["CSRF_LACKS", "HEADERS", "Guard", "is_csrf", "needed_scope"]
