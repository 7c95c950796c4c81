"""Where content of a pin may be pulled from: HTTP addresses in its origins, the machine that asked, configured gateways.

A request decides only which machine is asked for content that it names by hash; what may be asked is the owner's choice.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Final

from ralnode_gateway_pinning.options import PinningOptions

_NAMES: Final = frozenset({"dns", "dns4", "dns6"})


def places(origins: Sequence[str], client: str, options: PinningOptions) -> list[str]:
    """URLs of gateways, each once, in the order in which they are asked."""
    found = [url for origin in origins if options.origins != "none" and (url := _url(origin, options.origins == "any"))]
    if options.client_port and client:
        host = f"[{client}]" if ":" in client else client
        found.append(f"http://{host}:{options.client_port}")
    return list(dict.fromkeys([*found, *options.gateways]))


def _url(multiaddr: str, allows_any: bool) -> str | None:
    """Of a multiaddr that ends in http, https or tls/http, maybe with a peer id behind; None for all others."""
    parts = multiaddr.strip("/").split("/")
    if len(parts) > 2 and parts[-2] == "p2p":
        parts = parts[:-2]
    if len(parts) < 5 or parts[2] != "tcp" or not parts[3].isdigit():
        return None
    scheme = {("http",): "http", ("https",): "https", ("tls", "http"): "https"}.get(tuple(parts[4:]))
    if scheme is None or not _is_allowed(parts[0], parts[1], allows_any):
        return None
    host = f"[{parts[1]}]" if parts[0] == "ip6" else parts[1]
    return f"{scheme}://{host}:{parts[3]}"


def _is_allowed(kind: str, host: str, allows_any: bool) -> bool:
    if kind in _NAMES:
        return allows_any and host.isascii() and "/" not in host
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    is_lan = address.is_private and not address.is_loopback and not address.is_link_local
    return f"ip{address.version}" == kind and (allows_any or is_lan)
