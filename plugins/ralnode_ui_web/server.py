"""The page as the node knows it: where it listens and when that changes, and what its owner may say of who signs in."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Mapping
from typing import Any

from ralnode.api import ConfigError, Context, RalnodeError, UsageError
from ralnode_ui_web.accounts import Accounts
from ralnode_ui_web.app import Site
from ralnode_ui_web.bounds import LINK_SECONDS, TOKEN_DAYS
from ralnode_ui_web.hosts import Hosts
from ralnode_ui_web.listener import Listener
from ralnode_ui_web.options import WebOptions
from ralnode_ui_web.visitors import Door

_LOOPBACK = "127.0.0.1"


class WebUi:
    """`Ui` and `ManagedUi` of ralnode.api."""

    def __init__(self, context: Context, options: WebOptions) -> None:
        self._context = context
        self._options = options
        self._accounts = Accounts(context.settings.data_dir)
        self._door = Door(self._accounts, options, lambda: self._listener.port)
        hosts = Hosts(options.hosts, socket.gethostname())
        self._site = Site(context.node, options, self._door, hosts, self._password_changed)
        self._listener = Listener(self._site.app)
        self._ended = asyncio.Event()
        self._moving: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        scheme = "https" if self._options.tls_certificate else "http"
        host = self._shown_host()
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{self._port}/dashboard"

    async def start(self) -> None:
        """Raises LocalError when the port is taken, ConfigError when the accounts cannot be read."""
        self._accounts.load()
        self._ended.clear()
        tls = await asyncio.to_thread(_tls, self._options)
        await self._listener.open(self._wanted_host(), self._context.settings.page_port, tls)
        await self._site.start()

    async def wait(self) -> None:
        await self._ended.wait()

    async def stop(self) -> None:
        self._ended.set()
        if self._moving is not None:
            self._moving.cancel()
            await asyncio.gather(self._moving, return_exceptions=True)
        await self._site.stop()
        await self._listener.close()

    async def administer(self, action: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """See `ManagedUi`."""
        found: dict[str, Any] = {}
        if action == "link":
            base = self.url.removesuffix("/dashboard")
            found |= {
                "link": f"{base}/sign-in/link?code={await self._accounts.new_link()}",
                "link_seconds": LINK_SECONDS,
            }
        elif action == "password":
            await self._accounts.set_password(str(params["role"]), str(params["password"]))
            self._door.sessions.end_role(str(params["role"]))
            await self._move()
        elif action == "remove_password":
            await self._accounts.remove_password(str(params["role"]))
            self._door.sessions.end_role(str(params["role"]))
            await self._move()
        elif action == "add_token":
            scopes, days = tuple(params["scopes"]), int(params.get("days", TOKEN_DAYS))
            found["token"] = await self._accounts.add_token(str(params["name"]), scopes, days)
        elif action == "remove_token":
            await self._accounts.remove_token(str(params["name"]))
        elif action != "show":
            raise UsageError(f"the status page knows no {action[:80]!r}")
        tokens = [
            {"id": t.id, "name": t.name, "scopes": t.scopes, "expires_unix_ms": t.expires_unix_ms}
            for t in self._accounts.tokens
        ]
        return {**found, "accounts": self._accounts.roles, "tokens": tokens}

    @property
    def _port(self) -> int:
        return self._listener.port or self._context.settings.page_port

    def _wanted_host(self) -> str:
        """This machine alone until there is a password, unless the configuration says where."""
        if self._options.listen_host:
            return self._options.listen_host
        return self._context.settings.listen_host if self._accounts.roles else _LOOPBACK

    def _shown_host(self) -> str:
        """An address that others can use, when it listens on all of them."""
        host = self._listener.host or self._wanted_host()
        if not _is_any(host):
            return host
        try:
            status = self._context.node.status()
        except RalnodeError:
            return socket.gethostname()
        address = next((node.address for node in status.nodes if node.is_me), "")
        return address.rpartition(":")[0].strip("[]") or socket.gethostname()

    def _password_changed(self) -> None:
        """Called from a page that is being answered: the page moves after that."""
        self._moving = asyncio.get_running_loop().create_task(self._move(), name="the page moves")

    async def _move(self) -> None:
        try:
            await self._listener.move(self._wanted_host())
        except RalnodeError as error:
            self._context.node.note("error", f"the status page stays where it is: {error}")


def _is_any(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def _tls(options: WebOptions) -> ssl.SSLContext | None:
    if options.tls_certificate is None:
        return None
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        made.load_cert_chain(options.tls_certificate, options.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"[ui.web] cannot use tls_certificate = {str(options.tls_certificate)!r}: {error}. Nothing was started"
        ) from error
    return made
