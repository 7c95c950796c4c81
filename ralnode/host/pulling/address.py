"""Where a trustless gateway is: a URL, taken apart and checked once. Opens nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import urljoin, urlsplit

from ralnode.api import PeerError, UsageError

URL_CHARS_MAX: Final = 2048
_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class GatewayAddress:
    """`path` is what stands before `/ipfs/`; of an address that was redirected to, all of it with the query."""

    scheme: str
    host: str
    port: int
    path: str = ""

    @classmethod
    def parse(cls, url: str) -> GatewayAddress:
        """Of the gateway as such. Raises UsageError."""
        found = cls._read(url)
        if found is None or "?" in url or "#" in url or "@" in url:
            raise UsageError(f"{url[:200]!r} is not the address of a gateway; it looks like http://192.168.1.10:8080")
        path = found.path.rstrip("/").removesuffix("/ipfs")
        return cls(found.scheme, found.host, found.port, path)

    def redirected(self, asked: str, location: str) -> GatewayAddress:
        """Where `location` leads from the path `asked`. Raises PeerError: nowhere, or away from TLS."""
        url = urljoin(f"{self.origin}{asked}", location)
        found = self._read(url)
        if found is None:
            raise PeerError(f"{self} redirects to {location[:200]!r}, which is no address")
        if self.scheme == "https" and found.scheme != "https":
            raise PeerError(f"{self} redirects away from TLS to {found}; refused")
        return found

    @classmethod
    def _read(cls, url: str) -> GatewayAddress | None:
        is_plain = url.isascii() and url.isprintable() and " " not in url and len(url) <= URL_CHARS_MAX
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            return None
        if not is_plain or parts.scheme not in _PORTS or not parts.hostname or port == 0 or parts.username is not None:
            return None
        query = f"?{parts.query}" if parts.query else ""
        return cls(parts.scheme, parts.hostname, port or _PORTS[parts.scheme], parts.path + query)

    @property
    def origin(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}"

    def __str__(self) -> str:
        return self.origin + self.path
