"""Which addresses of this machine peers should dial. Looks at the interfaces, opens nothing."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from typing import Final

import ifaddr

from ralnode.api import Address
from ralnode.host.bounds import ADDRESSES_MAX

ANY: Final = ("0.0.0.0", "::", "")
_INNER: Final = ("docker", "br-", "veth", "virbr", "cni", "flannel", "podman", "lxc", "lxd")
"""Bridges to containers: every machine has the same addresses there, a peer that dials one meets itself."""


def addresses_of(listen_host: str, port: int, announced: Sequence[Address] = ()) -> tuple[Address, ...]:
    """The announced ones first (the owner knows better), then where we listen. Never empty: its port tells the
    transport's; on a machine without a network it is loopback."""
    if listen_host not in ANY:
        found = [listen_host]
    else:
        found = _interface_addresses(with_v6=listen_host == "::") or ["127.0.0.1"]
    listed = [*announced, *(Address(host, port) for host in found)]
    return tuple(dict.fromkeys(Address(*each) for each in listed))[:ADDRESSES_MAX]


def _interface_addresses(*, with_v6: bool) -> list[str]:
    found = [
        str(ip.ip if ip.is_IPv4 else ip.ip[0])
        for adapter in ifaddr.get_adapters()
        if not adapter.nice_name.startswith(_INNER)
        for ip in adapter.ips
        if ip.is_IPv4 or with_v6
    ]
    return _useful(found)


def _useful(found: Iterable[str]) -> list[str]:
    """IPv4 first, as homes have it; no loopback, and no link-local, which means nothing on another machine."""
    parsed = [ipaddress.ip_address(each) for each in found]
    useful = [ip for ip in parsed if not (ip.is_loopback or ip.is_link_local or ip.is_unspecified or ip.is_multicast)]
    return [str(ip) for ip in sorted(useful, key=lambda ip: (ip.version, int(ip)))]
