"""Who may sign in: passwords of the two roles, tokens of programs, one-time links. Keeps only hashes.

Sessions, which come of it, are sessions.py's; what a role may do is visitors.py's.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from ralnode.api import ConfigError, NotFoundError, RefusedError, UsageError
from ralnode_ui_web import accountfile, hashing
from ralnode_ui_web.bounds import (
    LINK_SECONDS,
    LINKS_MAX,
    PASSWORD_BYTES_MAX,
    PASSWORD_CHARS_MIN,
    TOKEN_DAYS_MAX,
    TOKENS_MAX,
)

ROLES: Final = ("admin", "viewer")
SCOPES: Final = ("view", "add", "admin", "metrics")
TOKEN_PREFIX: Final = "ral_"  # noqa: S105  not a secret: it tells scanners of leaked secrets what they found
_DAY_MS: Final = 86_400_000


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Token:
    """`digest` is of the secret, which nobody has but its owner."""

    id: str
    name: str
    scopes: tuple[str, ...]
    created_unix_ms: int
    expires_unix_ms: int
    digest: str


@dataclass(frozen=True, slots=True)
class Link:
    digest: str
    expires_unix_ms: int


class Accounts:
    """Changes are durable on return. One per page."""

    def __init__(self, folder: Path, now_ms: Callable[[], int] = wall_ms) -> None:
        self._path = folder / accountfile.NAME
        self._now_ms = now_ms
        self._passwords: dict[str, dict[str, Any]] = {}
        self._tokens: list[Token] = []
        self._links: list[Link] = []
        self._changing = asyncio.Lock()
        self._hashing = asyncio.Lock()

    def load(self) -> None:
        """Raises ConfigError, LocalError."""
        table = accountfile.read(self._path)
        try:
            self._passwords = {role: dict(table["passwords"][role]) for role in table.get("passwords", {})}
            self._tokens = [Token(**{**each, "scopes": tuple(each["scopes"])}) for each in table.get("tokens", [])]
            self._links = [Link(**each) for each in table.get("links", [])]
        except (TypeError, ValueError, KeyError) as error:
            raise ConfigError(f"cannot use {self._path}: {error}. Move it away, and set the password again") from error

    @property
    def roles(self) -> tuple[str, ...]:
        """Those that have a password."""
        return tuple(role for role in ROLES if role in self._passwords)

    async def set_password(self, role: str, password: str) -> None:
        """Raises UsageError for a password or role that cannot be."""
        _check_role(role)
        if len(password) < PASSWORD_CHARS_MIN or len(password.encode("utf-8", "replace")) > PASSWORD_BYTES_MAX:
            raise UsageError(
                f"a password has at least {PASSWORD_CHARS_MIN} characters (and at most {PASSWORD_BYTES_MAX} bytes). "
                "Nothing was changed"
            )
        made = await self._in_turn(hashing.password_hash, password)
        async with self._changing:
            await self._save(passwords=self._passwords | {role: made})

    async def remove_password(self, role: str) -> None:
        """The last admin can go too: then one-time links are the only way in."""
        _check_role(role)
        async with self._changing:
            await self._save(passwords={key: value for key, value in self._passwords.items() if key != role})

    async def is_password(self, role: str, password: str) -> bool:
        """As slow when there is no such role."""
        known = self._passwords.get(role, hashing.NOBODY)
        right = await self._in_turn(hashing.is_password, password[:PASSWORD_BYTES_MAX], known)
        return bool(right) and role in self._passwords

    @property
    def tokens(self) -> tuple[Token, ...]:
        return tuple(self._tokens)

    async def add_token(self, name: str, scopes: Sequence[str], days: int) -> str:
        """The secret, which is shown once. Raises UsageError, RefusedError."""
        unknown = [scope for scope in scopes if scope not in SCOPES]
        if unknown or not scopes:
            raise UsageError(f"a token needs one or more of the scopes {', '.join(SCOPES)}. Nothing was changed")
        if not name or len(name) > 64 or not name.isprintable() or any(token.name == name for token in self._tokens):
            raise UsageError("a token needs a name of its own, of at most 64 printable characters. Nothing was changed")
        if not 0 < days <= TOKEN_DAYS_MAX:
            raise UsageError(f"a token lasts from 1 to {TOKEN_DAYS_MAX} days. Nothing was changed")
        if len(self._tokens) >= TOKENS_MAX:
            raise RefusedError(f"there are {TOKENS_MAX} tokens already; remove one first. Nothing was changed")
        secret, now = hashing.new_secret(TOKEN_PREFIX), self._now_ms()
        scopes = tuple(scope for scope in SCOPES if scope in scopes)
        made = Token(secrets.token_hex(4), name, scopes, now, now + days * _DAY_MS, hashing.digest(secret))
        async with self._changing:
            await self._save(tokens=[*self._tokens, made])
        return secret

    async def remove_token(self, word: str) -> Token:
        """By its id or name. Raises NotFoundError."""
        found = next((token for token in self._tokens if word in (token.id, token.name)), None)
        if found is None:
            raise NotFoundError(f"there is no token {word[:80]!r}; see: ralnode token list")
        async with self._changing:
            await self._save(tokens=[token for token in self._tokens if token != found])
        return found

    def token(self, secret: str) -> Token | None:
        """The one that this is the secret of, if it has not expired."""
        wanted = hashing.digest(secret)
        for token in self._tokens:
            if hashing.same(token.digest, wanted):
                return token if token.expires_unix_ms > self._now_ms() else None
        return None

    async def new_link(self) -> str:
        """The code of a one-time link."""
        code = hashing.new_secret()
        made = Link(hashing.digest(code), self._now_ms() + LINK_SECONDS * 1000)
        async with self._changing:
            await self._save(links=[*self._fresh_links(), made][-LINKS_MAX:])
        return code

    async def use_link(self, code: str) -> bool:
        """Whether it was fresh; it is used up afterwards."""
        wanted = hashing.digest(code)
        async with self._changing:
            fresh = self._fresh_links()
            rest = [link for link in fresh if not hashing.same(link.digest, wanted)]
            if len(rest) == len(fresh):
                return False
            await self._save(links=rest)
        return True

    def _fresh_links(self) -> list[Link]:
        return [link for link in self._links if link.expires_unix_ms > self._now_ms()]

    async def _in_turn(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """One at a time, or many sign-ins at once would take a gigabyte."""
        async with self._hashing:
            return await asyncio.to_thread(work, *arguments)

    async def _save(
        self,
        passwords: dict[str, dict[str, Any]] | None = None,
        tokens: list[Token] | None = None,
        links: list[Link] | None = None,
    ) -> None:
        """First the file, then what is in force."""
        passwords = self._passwords if passwords is None else passwords
        tokens = self._tokens if tokens is None else tokens
        links = self._links if links is None else links
        table = {
            "passwords": passwords,
            "tokens": [asdict(token) for token in tokens],
            "links": [asdict(link) for link in links],
        }
        await asyncio.to_thread(accountfile.write, self._path, table)
        self._passwords, self._tokens, self._links = passwords, tokens, links


def _check_role(role: str) -> None:
    if role not in ROLES:
        raise UsageError(f"{role[:80]!r} is no role; there are: {', '.join(ROLES)}. Nothing was changed")
