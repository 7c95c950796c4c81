"""The planner role: a pure function of the view. No IO, no clock, no dice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from ralnode.api.model import Plan, Root, View


class Planner(Protocol):
    """`plan` is a pure function of the view: no IO, no clock, no dice, bounded time (5 s). Called in a thread.

    Contract suite: `ralnode.testing.planner_contract`.
    """

    name: str
    version: int
    needs_holdings: bool

    def plan(self, view: View) -> Plan: ...


@runtime_checkable
class ExplainingPlanner(Protocol):
    """A planner that can also say why; optional."""

    def explain(self, view: View, root: Root, index: int) -> Sequence[str]:
        """Lines for `ralnode plan --why SOURCE INDEX`: which nodes this block goes to, and why."""
        ...
