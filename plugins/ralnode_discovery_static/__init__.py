"""Discovery by addresses that the owner wrote down: `[node] known_peers` and `[discovery.static] peers`.

Reported at the start and again and again, since a peer may come up later than this node.
"""

from __future__ import annotations

from ralnode.api import Context, Discovery, Provider, hookimpl
from ralnode_discovery_static.static import StaticDiscovery, StaticOptions


@hookimpl
def provide_discovery() -> Provider[Discovery]:
    return Provider("static", _build, StaticOptions, "peers whose addresses are written down")


def _build(context: Context, options: StaticOptions) -> Discovery:
    return StaticDiscovery(context, options)
