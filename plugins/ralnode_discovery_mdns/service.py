"""What is announced and what is read from others' announcements. Pure.

Announced: a group tag (an HMAC, so only members recognise it), the transport's port, and an instance name that tells outsiders
nothing. No node name, no node id, no cluster name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from zeroconf import ServiceInfo
from zeroconf.asyncio import AsyncServiceInfo

from ralnode.api import Address, Hint, Identity
from ralnode_discovery_mdns.options import ADDRESSES_MAX

SERVICE_TYPE: Final = "_ralnode._tcp.local."
ORIGIN: Final = "mdns"
_TAG_KEY: Final = b"g"
_TAG_BYTES: Final = 8


def group_tag(identity: Identity) -> bytes:
    """Equal for all nodes of a cluster; others cannot tell which cluster it is."""
    return identity.derive("mdns-v1", length=_TAG_BYTES).hex().encode()


def describe(identity: Identity, port: int, addresses: Sequence[str]) -> AsyncServiceInfo:
    """This node's announcement. The instance name is the same after a restart, so that no stale twin stays in caches."""
    instance = identity.derive("mdns-v1", identity.id, _TAG_BYTES).hex()
    return AsyncServiceInfo(
        SERVICE_TYPE,
        f"{instance}.{SERVICE_TYPE}",
        port=port,
        properties={_TAG_KEY: group_tag(identity)},
        server=f"{instance}.local.",
        parsed_addresses=list(addresses),
    )


def hints_of(info: ServiceInfo, tag: bytes) -> list[Hint]:
    """Where the announcer may listen; none for another group or an announcement that makes no sense."""
    if info.properties.get(_TAG_KEY) != tag or not info.port:
        return []
    hosts = info.parsed_scoped_addresses()[:ADDRESSES_MAX]
    return [Hint(Address(host, info.port), ORIGIN) for host in hosts]
