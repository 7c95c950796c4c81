"""Finds peers on the same LAN by multicast DNS, with nothing to configure. A finding is only a hint: the transport dials and checks."""

from ralnode.api import Discovery, Provider, hookimpl
from ralnode_discovery_mdns.discovery import MdnsDiscovery
from ralnode_discovery_mdns.options import MdnsOptions

__all__ = ["MdnsDiscovery", "MdnsOptions", "provide_discovery"]


@hookimpl
def provide_discovery() -> Provider[Discovery]:
    return Provider("mdns", MdnsDiscovery, MdnsOptions, "peers on the same LAN, by multicast DNS")
