"""What a planner does to a whole cluster: its plans for every node, copies per block, and what a change makes move."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ralnode.api import BlockSet, NodeId, Plan, Planner, Source, View
from ralnode.api.planning import planned_bytes
from ralnode.testing.planner_views import seen_by


def plans_everywhere(planner: Planner, view: View) -> dict[NodeId, Plan]:
    """What every node of the view would plan."""
    return {node.id: planner.plan(seen_by(view, node.id)) for node in view.nodes}


def copies_per_block(source: Source, plans: Iterable[Plan]) -> npt.NDArray[np.int64]:
    """How many nodes want each block of the source."""
    counts = np.zeros(max(0, source.leaf_count), dtype=np.int64)
    for plan in plans:
        if source.root in plan.want:
            counts += plan.want[source.root].mask(source.leaf_count)
    return counts


def copies_histogram(view: View, plans: Mapping[NodeId, Plan]) -> list[int]:
    """Element c: how many blocks, over all sources, c nodes want."""
    counts = [copies_per_block(source, plans.values()) for source in view.sources]
    return [int(count) for count in np.bincount(np.concatenate(counts))]


@dataclass(frozen=True, slots=True)
class Movement:
    """Bytes that nodes newly want after a change, and how many that must be at least: what loads have grown by."""

    moved_bytes: int
    bound_bytes: int

    @property
    def ratio(self) -> float:
        return self.moved_bytes / self.bound_bytes if self.bound_bytes else float(self.moved_bytes > 0) + 1.0

    @classmethod
    def between(cls, view: View, before: Mapping[NodeId, Plan], after: Mapping[NodeId, Plan]) -> Movement:
        """`view` names the sources; nodes may have come or gone."""
        moved = bound = 0
        for node_id, plan in after.items():
            old = before[node_id].want if node_id in before else {}
            new = {root: blocks - old.get(root, BlockSet()) for root, blocks in plan.want.items()}
            moved += planned_bytes(view.sources, new)
            bound += max(0, planned_bytes(view.sources, plan.want) - planned_bytes(view.sources, old))
        return cls(moved, bound)
