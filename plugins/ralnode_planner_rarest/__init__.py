"""Planner `rarest`, BitTorrent's: each node takes on the blocks of which the fewest live copies exist, a little at a time.

It goes by who holds what, not by who is in the cluster, which suits swarms that come and go. It moves more than
`rendezvous`: nodes act on views of different age, so several may make the same missing copy.
"""

from ralnode.api import Context, Planner, Provider, hookimpl
from ralnode_planner_rarest.planner import NAME, RarestOptions, RarestPlanner


def _build(context: Context, options: RarestOptions) -> RarestPlanner:
    return RarestPlanner(options)


@hookimpl
def provide_planner() -> Provider[Planner]:
    return Provider(
        NAME, _build, RarestOptions, "each node takes on what has the fewest copies; for swarms that come and go"
    )
