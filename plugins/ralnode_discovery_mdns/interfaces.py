"""Where to speak and which addresses to announce, from the address that the node listens on."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from typing import Final, NamedTuple

import ifaddr
from zeroconf import InterfaceChoice, IPVersion

_ANY: Final = ("", "0.0.0.0", "::")
_INNER: Final = ("docker", "br-", "veth", "virbr", "cni", "flannel", "podman", "lxc", "lxd")
"""Bridges to containers have the same address on every machine: whoever dials it meets itself."""
_MDNS_GROUP: Final = "224.0.0.251"


class Interfaces(NamedTuple):
    """What python-zeroconf wants to know, and what to announce."""

    spoken_on: list[str] | InterfaceChoice
    ip_version: IPVersion
    announced: list[str]
    """At least one. Loopback only when there is nothing else: then all peers are on this machine."""


def usable(listen_host: str) -> Interfaces:
    """Every interface, or the one of the address that the node is bound to. Raises OSError when none carries multicast.

    Not InterfaceChoice.Default, which fails without a default route; and zeroconf itself leaves a socket open when it fails.
    """
    if listen_host == "::1":
        raise OSError("multicast does not work on ::1; bind 127.0.0.1 for nodes on one machine")
    if ":" in listen_host and listen_host not in _ANY:
        return Interfaces([listen_host], IPVersion.V6Only, [listen_host.partition("%")[0]])
    if listen_host not in _ANY:
        return Interfaces(_joinable([listen_host]), IPVersion.V4Only, [listen_host])
    announced = _useful(_hosts(with_v6=listen_host == "::", with_inner=False)) or ["127.0.0.1"]
    if listen_host == "::":
        return Interfaces(InterfaceChoice.All, IPVersion.All, announced)
    return Interfaces(_joinable(_hosts(with_v6=False, with_inner=True)), IPVersion.V4Only, announced)


def _hosts(*, with_v6: bool, with_inner: bool) -> list[str]:
    """Addresses of this machine, sorted."""
    return sorted(
        str(ip.ip if ip.is_IPv4 else ip.ip[0])
        for adapter in ifaddr.get_adapters()
        if with_inner or not adapter.nice_name.startswith(_INNER)
        for ip in adapter.ips
        if ip.is_IPv4 or with_v6
    )


def _useful(hosts: Iterable[str]) -> list[str]:
    parsed = [(host, ip_address(host.partition("%")[0])) for host in hosts]
    return [host for host, ip in parsed if not (ip.is_loopback or ip.is_unspecified or ip.is_multicast)]


def _joinable(hosts: Sequence[str]) -> list[str]:
    """The IPv4 addresses whose interface can join the mDNS group. Raises OSError when there is none."""
    joined, reasons = [], []
    for host in hosts:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as trial:
            try:
                membership = socket.inet_aton(_MDNS_GROUP) + socket.inet_aton(host)
                trial.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
                joined.append(host)
            except OSError as error:
                reasons.append(f"{host} refuses to join {_MDNS_GROUP} ({error.strerror or error})")
    if not joined:
        raise OSError("; ".join(reasons) or "no interface has an IPv4 address")
    return joined
