"""Where this node's gateways listen, and what of that other machines can reach. Opens nothing."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from ralnode.api import Address, GatewayStatus, Listening
from ralnode.host.addresses import ANY
from ralnode.host.building import Roles


def gateways_of(roles: Roles) -> tuple[GatewayStatus, ...]:
    """Of those that say so."""
    return tuple(each.service.listening() for each in roles.gateway if isinstance(each.service, Listening))


def reachable_ports(found: Sequence[GatewayStatus], addresses: Sequence[Address]) -> tuple[int, int]:
    """(port, port for TLS) of the first gateway that listens where peers reach this node; zeros without one."""
    for gateway in found:
        if gateway.port and is_reachable(gateway.host, addresses):
            return gateway.port, gateway.tls_port
    return 0, 0


def is_reachable(host: str, addresses: Sequence[Address]) -> bool:
    """A gateway for this machine alone is told only to a cluster that lives on this machine alone."""
    if host in ANY:
        return True
    hosts = {address.host for address in addresses}
    return host in hosts or (_is_loopback(host) and all(map(_is_loopback, hosts)))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
