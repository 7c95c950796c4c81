"""Peers that the owner has named: `[node] known_peers` and `[discovery.static] peers`. Works where multicast does not."""

from ralnode.api import Discovery, Provider, hookimpl
from ralnode_discovery_static.discovery import StaticDiscovery
from ralnode_discovery_static.options import StaticOptions

__all__ = ["StaticDiscovery", "StaticOptions", "provide_discovery"]


@hookimpl
def provide_discovery() -> Provider[Discovery]:
    return Provider("static", StaticDiscovery, StaticOptions, "addresses from the configuration")
