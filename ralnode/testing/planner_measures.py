"""What a planner does to a whole cluster: its plans for every node, copies per block, and what a change makes move."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from ralnode.api import NodeId, Plan, Planner, Source, View
from ralnode.core.whatif import measures
from ralnode.testing.planner_views import seen_by


def plans_everywhere(planner: Planner, view: View) -> dict[NodeId, Plan]:
    """What every node of the view would plan."""
    return {node.id: planner.plan(seen_by(view, node.id)) for node in view.nodes}


def copies_per_block(source: Source, plans: Iterable[Plan]) -> npt.NDArray[np.int64]:
    """How many nodes want each block of the source."""
    return measures.copies_per_block(source, [plan.want for plan in plans])


def copies_histogram(view: View, plans: Mapping[NodeId, Plan]) -> list[int]:
    """Element c: how many blocks, over all sources, c nodes want."""
    return measures.histogram(view.sources, [plan.want for plan in plans.values()])


class Movement(measures.Movement):
    """Bytes that nodes newly want after a change, and how many that must be at least: what loads have grown by."""

    __slots__ = ()

    @classmethod
    def between(cls, view: View, before: Mapping[NodeId, Plan], after: Mapping[NodeId, Plan]) -> Movement:
        """`view` names the sources; nodes may have come or gone."""
        found = cls.of(view.sources, measures.wants_of(before), measures.wants_of(after))
        return cls(found.moved_bytes, found.bound_bytes)
