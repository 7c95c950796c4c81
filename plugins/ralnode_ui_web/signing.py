"""Signing in and out, and the page about passwords and tokens."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ralnode.api import NodeControl, RalnodeError
from ralnode_ui_web.accounts import ROLES, wall_ms
from ralnode_ui_web.bounds import (
    LINKS_TRIED_PER_MINUTE,
    LINKS_TRIED_PER_MINUTE_ALL,
    PASSWORD_CHARS_MIN,
    SESSIONS_MAX,
    SIGN_INS_PER_MINUTE,
    SIGN_INS_PER_MINUTE_ALL,
    TOKEN_DAYS,
    WARN_SECONDS,
)
from ralnode_ui_web.forms import Form
from ralnode_ui_web.limiter import Limiter
from ralnode_ui_web.replies import Replies, go_to, safe_path, status_of
from ralnode_ui_web.visitors import Door, Visitor


class Signing:
    """`password_changed` is called when the page may have to move (see server.py)."""

    def __init__(self, node: NodeControl, door: Door, replies: Replies, password_changed: Callable[[], None]) -> None:
        self._node = node
        self._door = door
        self._replies = replies
        self._password_changed = password_changed
        self._limiter = Limiter(SIGN_INS_PER_MINUTE, SIGN_INS_PER_MINUTE_ALL)
        self._link_limiter = Limiter(LINKS_TRIED_PER_MINUTE, LINKS_TRIED_PER_MINUTE_ALL)
        self._warned_at = float("-inf")

    def routes(self) -> list[Route]:
        return [
            Route("/sign-in", self.form, methods=["GET"]),
            Route("/sign-in", self.sign_in, methods=["POST"]),
            Route("/sign-in/link", self.link_form, methods=["GET"]),
            Route("/sign-in/link", self.use_link, methods=["POST"]),
            Route("/sign-out", self.sign_out, methods=["POST"]),
            Route("/account", self.account, methods=["GET"]),
            Route("/account/password", self.set_password, methods=["POST"]),
            Route("/account/tokens", self.add_token, methods=["POST"]),
            Route("/account/tokens/remove", self.remove_token, methods=["POST"]),
        ]

    async def form(self, request: Request) -> Response:
        return self._form(request, safe_path(request.query_params.get("next", "")))

    async def sign_in(self, request: Request) -> Response:
        form, who = _asked(request)
        role, where = form.text("role", "admin"), safe_path(form.text("next"))
        wait = self._limiter.wait_seconds(who.address, time.monotonic())
        if wait:
            self._warn_once(f"too many sign-ins from {who.address}")
            problem = f"Too many sign-ins. Try again in {wait:.0f} s."
            return self._form(request, where, problem, 429, {"Retry-After": str(int(wait) + 1)})
        if not await self._door.accounts.is_password(role, form.text("password")):
            self._warn_once(f"a sign-in as {role if role in ROLES else 'nobody'} from {who.address} failed")
            return self._form(request, where, "That is not the password.", 401)
        return self._signed_in(request, role, where)

    async def link_form(self, request: Request) -> Response:
        """Only shows a button: a mail program or a browser that looks ahead must not use the link up."""
        return self._replies.page(request, "link.html", code=request.query_params.get("code", "")[:200], problem="")

    async def use_link(self, request: Request) -> Response:
        form, who = _asked(request)
        wait = self._link_limiter.wait_seconds(who.address, time.monotonic())
        if wait:
            problem = f"Too many links were tried. Try again in {wait:.0f} s."
            return self._replies.page(request, "link.html", 429, code=form.text("code")[:200], problem=problem)
        if not await self._door.accounts.use_link(form.text("code")):
            self._warn_once(f"a one-time link that is used up or too old was tried from {who.address}")
            problem = "This link was used already, or is older than 15 minutes. Make another: ralnode login-link"
            return self._replies.page(request, "link.html", 401, code="", problem=problem)
        return self._signed_in(request, "admin", "/account" if who.needs_password else "/dashboard")

    async def sign_out(self, request: Request) -> Response:
        answer = go_to("/sign-in")
        answer.headers.append("Set-Cookie", self._door.sign_out(request.scope))
        return answer

    async def account(self, request: Request) -> Response:
        return self._account(request)

    async def set_password(self, request: Request) -> Response:
        form, who = _asked(request)
        role, password = form.text("role", "admin"), form.text("password")
        if password != form.text("again"):
            return self._account(request, 400, problem="The two passwords differ. Nothing was changed.")
        try:
            await self._door.accounts.set_password(role, password)
        except RalnodeError as error:
            return self._account(request, status_of(error), problem=str(error))
        self._door.sessions.end_role(role, but=who.session)
        self._node.note("info", f"{who.name} has set the password of the role {role}")
        _tell(who, "info", f"The password of the role {role} is set.")
        self._password_changed()
        return go_to("/account")

    async def add_token(self, request: Request) -> Response:
        form, who = _asked(request)
        days = form.text("days", str(TOKEN_DAYS))
        try:
            secret = await self._door.accounts.add_token(
                form.text("name").strip(), form.texts("scope"), int(days) if days.isascii() and days.isdigit() else 0
            )
        except RalnodeError as error:
            return self._account(request, status_of(error), problem=str(error))
        self._node.note("info", f"{who.name} has made the token {form.text('name').strip()}")
        return self._account(request, new_token=secret)

    async def remove_token(self, request: Request) -> Response:
        form, who = _asked(request)
        removed = await self._door.accounts.remove_token(form.text("id"))
        self._node.note("info", f"{who.name} has removed the token {removed.name}")
        _tell(who, "info", f"The token {removed.name} is removed.")
        return go_to("/account")

    def _warn_once(self, text: str) -> None:
        """At most every few seconds: whoever knocks must not fill the event log."""
        now = time.monotonic()
        if now - self._warned_at >= WARN_SECONDS:
            self._warned_at = now
            self._node.note("warning", text)

    def _signed_in(self, request: Request, role: str, where: str) -> Response:
        self._node.note("info", f"{role} has signed in from {request.state.who.address}")
        answer = go_to(where)
        answer.headers.append("Set-Cookie", self._door.sign_in(request.scope, role))
        return answer

    def _form(
        self, request: Request, where: str, problem: str = "", status: int = 200, headers: dict[str, str] | None = None
    ) -> Response:
        has_password = bool(self._door.accounts.roles)
        answer = self._replies.page(
            request, "signin.html", status, problem=problem, has_password=has_password, next=where,
            roles=self._door.accounts.roles,
        )  # fmt: skip
        answer.headers.update(headers or {})
        return answer

    def _account(self, request: Request, status: int = 200, problem: str = "", new_token: str = "") -> Response:
        accounts, now = self._door.accounts, wall_ms()
        tokens: tuple[dict[str, Any], ...] = tuple(
            {
                "id": token.id,
                "name": token.name,
                "scopes": token.scopes,
                "expires_unix_ms": token.expires_unix_ms,
                "is_expired": token.expires_unix_ms <= now,
            }
            for token in accounts.tokens
        )
        return self._replies.page(
            request, "account.html", status, accounts=accounts.roles, roles=ROLES, tokens=tokens, new_token=new_token,
            problem=problem, session_count=len(self._door.sessions), sessions_max=SESSIONS_MAX,
            password_chars_min=PASSWORD_CHARS_MIN, token_days=TOKEN_DAYS,
        )  # fmt: skip


def _asked(request: Request) -> tuple[Form, Visitor]:
    return request.state.form, request.state.who


def _tell(who: Visitor, level: str, text: str) -> None:
    if who.session is not None:
        who.session.tell(level, text)
