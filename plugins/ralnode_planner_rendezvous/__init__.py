"""Planner `rendezvous`, the default: weighted rendezvous hashing made exact by deferred acceptance.

Every node computes the same plan from the same view without asking anybody. With room to spare a change of the cluster
moves no more than it must; when space is short, nothing gets a second copy before everything has one.

    planner.py    view in, plan out             solving.py   deferred acceptance with byte quotas
    scheme.py     a view, worked out            choosing.py  the rule by which a block finds its nodes
    phases.py     the order of copies           points.py    actual blocks, or a sample of them
    nodes.py      nodes as arrays               lookup.py, sieve.py  from the terms to one node's blocks
    explaining.py why a block is where it is
"""

from ralnode.api import Context, NoOptions, Planner, Provider, hookimpl
from ralnode_planner_rendezvous.planner import NAME, RendezvousPlanner


def _build(context: Context, options: NoOptions) -> RendezvousPlanner:
    return RendezvousPlanner()


@hookimpl
def provide_planner() -> Provider[Planner]:
    return Provider(
        NAME, _build, NoOptions, "each block to its nearest nodes by weighted hash; moves the least (default)"
    )
