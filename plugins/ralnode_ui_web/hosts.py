"""Under which names the page answers, and whether a request comes from a page of its own. Pure.

The list of names is the defence against DNS rebinding: a hostile site whose name is made to point here is not in it. An
address written as numbers needs no list, since rebinding needs a name; but as an *origin* it must be the very one asked.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

_PORTS: Final = {"http": 80, "https": 443}


class Hosts:
    def __init__(self, configured: Iterable[str], machine: str) -> None:
        """`machine` is this machine's name, with or without its domain."""
        self._configured = {host.lower().rstrip(".") for host in configured if host}
        short = machine.lower().partition(".")[0]
        own = {machine.lower(), short, f"{short}.local"} if short else set()
        self._names = {"localhost", *own, *self._configured}

    def is_ours(self, host_header: str) -> bool:
        name, _port = split_host(host_header)
        return name in self._names or _is_ip(name)

    def is_from_us(self, origin: str, host_header: str, scheme: str) -> bool:
        """`origin` is an Origin header, or a whole Referer."""
        try:
            parts = urlsplit(origin)
            port = parts.port or _PORTS.get(parts.scheme, 0)
        except ValueError:
            return False
        name = (parts.hostname or "").lower().rstrip(".")
        if parts.scheme not in _PORTS or not name:
            return False
        asked, asked_port = split_host(host_header)
        if name == asked and self.is_ours(host_header):
            # A proxy that ends TLS leaves the port of a Host header out as the browser did, whatever its own scheme.
            return port == (asked_port or _PORTS.get(scheme, 0)) or (asked_port == 0 and port == _PORTS[parts.scheme])
        return name in self._configured


def split_host(header: str) -> tuple[str, int]:
    """(name without brackets and final dot, port or 0). Nonsense has an empty name."""
    if any(char in header for char in "@/\\?# \t"):
        return "", 0
    try:
        parts = urlsplit(f"//{header}")
        return (parts.hostname or "").lower().rstrip("."), parts.port or 0
    except ValueError:
        return "", 0


def _is_ip(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
