"""Who asks: from a request's cookie or token to a `Visitor` with rights. Pages get it as `who`."""

from __future__ import annotations

import ipaddress
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Final

from starlette.datastructures import Headers
from starlette.types import Scope

from ralnode_ui_web import hashing
from ralnode_ui_web.accounts import Accounts
from ralnode_ui_web.options import WebOptions
from ralnode_ui_web.sessions import Session, Sessions

CSRF_FIELD: Final = "csrf_token"
CSRF_HEADER: Final = "X-CSRF-Token"
_SCOPES: Final = {"admin": frozenset({"view", "add", "admin", "metrics"}), "viewer": frozenset({"view", "metrics"})}
_FORWARDED: Final = ("forwarded", "x-forwarded-for", "x-real-ip", "via")
"""A proxy on this machine speaks for somebody elsewhere."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """What one request may do. `name` is for the event log."""

    name: str
    address: str
    scopes: frozenset[str] = frozenset()
    role: str = ""
    csrf: str = ""
    needs_password: bool = False
    is_local: bool = False
    """Asks from this machine itself."""
    by_token: bool = False
    session: Session | None = None
    flashes: tuple[tuple[str, str], ...] = ()
    csrf_field: str = CSRF_FIELD
    csrf_header: str = CSRF_HEADER

    @property
    def is_signed_in(self) -> bool:
        return self.session is not None

    @property
    def may_view(self) -> bool:
        return "view" in self.scopes or self.may_change

    @property
    def may_change(self) -> bool:
        return "admin" in self.scopes

    def may(self, scope: str) -> bool:
        """Whether it has this right; admin has all, and metrics are no secret from whoever may look or sits here."""
        if scope == "metrics" and (self.may_view or self.is_local):
            return True
        return not scope or scope in self.scopes or self.may_change


class UnknownTokenError(Exception):
    """A token was sent that does not exist or has expired."""


class Door:
    """Recognises visitors. One per page; `port` makes the cookies of several pages on one machine differ."""

    def __init__(self, accounts: Accounts, options: WebOptions, port: Callable[[], int]) -> None:
        self.accounts = accounts
        self.sessions = Sessions(options.session_idle_seconds, options.session_seconds)
        self._options = options
        self._port = port
        self._key = secrets.token_bytes(32)

    def recognise(self, scope: Scope) -> Visitor:
        """Raises UnknownTokenError."""
        headers = Headers(scope=scope)
        address = (scope.get("client") or ("", 0))[0]
        is_local = _is_loopback(address) and not any(name in headers for name in _FORWARDED)
        needs_password = not self.accounts.roles
        scheme, _, secret = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            token = self.accounts.token(secret.strip())
            if token is None:
                raise UnknownTokenError
            role = "admin" if "admin" in token.scopes else "viewer" if "view" in token.scopes else ""
            name = f"the token {token.name} at {address}"
            return Visitor(name, address, frozenset(token.scopes), role, "", needs_password, is_local, by_token=True)
        cookies = cookies_of(headers)
        session_id = cookies.get(self.session_cookie(scope), "")
        session = self.sessions.find(session_id, time.monotonic()) if session_id else None
        if session is not None:
            csrf = hashing.keyed(self._key, f"session {session_id}")
            name, scopes = f"{session.role} at {address}", _SCOPES[session.role]
            return Visitor(name, address, scopes, session.role, csrf, needs_password, is_local, session=session)
        visit = cookies.get(self.visit_cookie(scope), "")
        csrf = hashing.keyed(self._key, f"visit {visit}") if visit else ""
        scopes = frozenset({"view"} if self._is_open(is_local, needs_password) else ())
        role = "viewer" if scopes else ""
        return Visitor(f"somebody at {address}", address, scopes, role, csrf, needs_password, is_local)

    def _is_open(self, is_local: bool, needs_password: bool) -> bool:
        mode = self._options.view_without_sign_in
        return mode == "always" or (mode == "until_password" and needs_password and is_local)

    def is_live(self, visitor: Visitor) -> bool:
        """Whether what goes on for this visitor may go on."""
        return visitor.session is None or self.sessions.is_live(visitor.session, time.monotonic())

    def greet(self, scope: Scope) -> tuple[str, str]:
        """(header, token) for a browser that has no cookie of ours: the cookie, and the CSRF token that belongs to it."""
        visit = hashing.new_secret()
        return self._cookie(scope, self.visit_cookie(scope), visit), hashing.keyed(self._key, f"visit {visit}")

    def sign_in(self, scope: Scope, role: str) -> str:
        """The Set-Cookie header of a new session. The one that this browser had ends."""
        self.sign_out(scope)
        return self._cookie(scope, self.session_cookie(scope), self.sessions.begin(role, time.monotonic()))

    def sign_out(self, scope: Scope) -> str:
        """The Set-Cookie header that takes the cookie away."""
        name = self.session_cookie(scope)
        old = cookies_of(Headers(scope=scope)).get(name, "")
        if old:
            self.sessions.end(old)
        return self._cookie(scope, name, "", "; Max-Age=0")

    def session_cookie(self, scope: Scope) -> str:
        return self._cookie_name(scope, "ralnode")

    def visit_cookie(self, scope: Scope) -> str:
        return self._cookie_name(scope, "ralnode-visit")

    def _cookie_name(self, scope: Scope, word: str) -> str:
        """Cookies know no ports: without it the pages of two nodes on one machine would sign each other out."""
        return f"{'__Host-' if scope['scheme'] == 'https' else ''}{word}-{self._port()}"

    def _cookie(self, scope: Scope, name: str, value: str, more: str = "") -> str:
        secure = "; Secure" if scope["scheme"] == "https" else ""
        return f"{name}={value}; Path=/; HttpOnly; SameSite=Strict{secure}{more}"


def cookies_of(headers: Headers) -> dict[str, str]:
    """Names and values; what cannot be read is left out."""
    found: dict[str, str] = {}
    for line in headers.getlist("cookie"):
        for part in line.split(";"):
            try:
                jar = SimpleCookie(part.strip())
            except CookieError:
                continue
            found.update({name: morsel.value for name, morsel in jar.items()})
    return found


def _is_loopback(address: str) -> bool:
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return (mapped or ip).is_loopback
