"""`RendezvousPlanner`: view in, this node's plan out. The work is done in scheme.py and the files below it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from ralnode.api import Plan, Root, View
from ralnode.api.mixing import node_salt
from ralnode.api.planning import my_budget_bytes, planned_bytes, take, united
from ralnode_planner_rendezvous.explaining import explanation
from ralnode_planner_rendezvous.scheme import Portion, Scheme

NAME: Final = "rendezvous"
VERSION: Final = 1
"""Raise it with every change that gives another plan for some view: nodes of different versions then say so."""


class RendezvousPlanner:
    """Every block to its nearest nodes by weighted hash, within every node's capacity, in distinct zones where possible.

    Up to about a million blocks (fewer with more than eight nodes) the plan is exact to the byte. Beyond that it is
    solved on a sample, and what a node would get too much is cut off here, further copies before first ones.
    """

    name = NAME
    version = VERSION
    needs_holdings = False

    def plan(self, view: View) -> Plan:
        return plan_of(Scheme.of(view), view)

    def explain(self, view: View, root: Root, index: int) -> Sequence[str]:
        return explanation(Scheme.of(view), view, root, index, self.plan)


def plan_of(scheme: Scheme, view: View) -> Plan:
    """The part of `view.me` in the scheme of that view."""
    me = scheme.nodes.position(view.me)
    portions = [] if me is None else _fitting(scheme, scheme.portions(me), view)
    return Plan(
        want=united(portion.blocks for portion in portions),
        urgent=united(portion.blocks for portion in portions if portion.copy == 0),
        digest=scheme.digest(f"{NAME}/{VERSION}", view),
    )


def _fitting(scheme: Scheme, portions: Iterable[Portion], view: View) -> list[Portion]:
    """The portions in order as far as my room goes; of the one that crosses it the nearest blocks."""
    left_bytes, kept = my_budget_bytes(view), []
    for portion in portions:
        blocks = take(scheme.sources, portion.blocks, node_salt(view.me), left_bytes)
        left_bytes -= planned_bytes(scheme.sources, blocks)
        kept.append(portion._replace(blocks=blocks))
    return kept
