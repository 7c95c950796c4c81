"""Planner `random`, the proof of concept's made honest, and the plugin to start from when you write your own.

Every node takes blocks in an order of its own until it is full, and keeps what it has. Nodes do not coordinate, so of a
cluster with room for two copies about one block in seven gets none: use it to compare with, not for data you love.
"""

from ralnode.api import Context, NoOptions, Planner, Provider, hookimpl
from ralnode_planner_random.planner import NAME, RandomPlanner


def _build(context: Context, options: NoOptions) -> RandomPlanner:
    return RandomPlanner()


@hookimpl
def provide_planner() -> Provider[Planner]:
    return Provider(NAME, _build, NoOptions, "each node fills itself in an order of its own; to compare with")
