"""Figures of a whole cluster's plans: copies per block, how full machines are, what a change makes move. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ralnode.api import BlockSet, NodeId, Plan, Root, Source
from ralnode.api.planning import planned_bytes

Wants = Mapping[Root, BlockSet]
"""What one node wants, by source."""


def copies_per_block(source: Source, wants: Iterable[Wants]) -> npt.NDArray[np.int64]:
    """How many nodes want each block of the source."""
    counts = np.zeros(max(0, source.leaf_count), dtype=np.int64)
    for want in wants:
        if source.root in want:
            counts += want[source.root].mask(source.leaf_count)
    return counts


def histogram(sources: Sequence[Source], wants: Iterable[Wants]) -> list[int]:
    """Element c: how many blocks, over all sources, c nodes want. At least one element."""
    listed = list(wants)
    counts = [copies_per_block(source, listed) for source in sources]
    whole = np.concatenate([*counts, np.zeros(0, dtype=np.int64)])
    return [int(count) for count in np.bincount(whole, minlength=1)]


def left_without_copy(sources: Sequence[Source], before: Mapping[NodeId, Wants], survivors: Iterable[NodeId]) -> int:
    """Blocks of which there were copies, all of them on machines that are not among the survivors."""
    alive = set(survivors)
    lost = 0
    for source in sources:
        had = copies_per_block(source, before.values()) > 0
        has = copies_per_block(source, [want for node, want in before.items() if node in alive]) > 0
        lost += int(np.count_nonzero(had & ~has))
    return lost


def in_one_zone(sources: Sequence[Source], wants: Mapping[NodeId, Wants], zones: Mapping[NodeId, str]) -> int:
    """Blocks with two or more copies that all lie in one zone. A node without a zone counts as a zone of its own."""
    by_zone: dict[str, list[Wants]] = {}
    for node, want in wants.items():
        by_zone.setdefault(zones[node] or f"\0{node.hex()}", []).append(want)
    found = 0
    for source in sources:
        per_zone = [copies_per_block(source, listed) for listed in by_zone.values()]
        if per_zone:
            total = np.sum(per_zone, axis=0)
            found += int(np.count_nonzero((total >= 2) & (np.max(per_zone, axis=0) == total)))
    return found


def unavoidable(sources: Sequence[Source], rooms: Sequence[int]) -> int:
    """At least so many blocks must lack copies, whoever plans, when each copy of a block is on another machine: with x complete
    blocks no machine can hold more than x of the copies. Exact when all blocks are alike, else a bound from below (all are taken
    for the smallest, with the fewest copies)."""
    whole = sum(source.leaf_count for source in sources)
    counted = [source for source in sources if source.leaf_count]
    block_bytes = min((source.block_bytes for source in counted), default=1)
    copies = min((min(source.copies, len(rooms)) for source in counted), default=0)
    places = [room // block_bytes for room in rooms]
    low, high = 0, whole
    while low < high:
        complete = (low + high + 1) // 2
        if sum(min(place, complete) for place in places) >= copies * complete:
            low = complete
        else:
            high = complete - 1
    return whole - low


@dataclass(frozen=True, slots=True)
class Movement:
    """Bytes that nodes newly want after a change, and how many that must be at least: what loads have grown by."""

    moved_bytes: int
    bound_bytes: int

    @property
    def ratio(self) -> float:
        return self.moved_bytes / self.bound_bytes if self.bound_bytes else float(self.moved_bytes > 0) + 1.0

    @classmethod
    def of(cls, sources: Sequence[Source], before: Mapping[NodeId, Wants], after: Mapping[NodeId, Wants]) -> Movement:
        """Nodes may have come or gone."""
        moved = bound = 0
        for node, want in after.items():
            old = before.get(node, {})
            new = {root: blocks - old.get(root, BlockSet()) for root, blocks in want.items()}
            moved += planned_bytes(sources, new)
            bound += max(0, planned_bytes(sources, want) - planned_bytes(sources, old))
        return cls(moved, bound)


def wants_of(plans: Mapping[NodeId, Plan]) -> dict[NodeId, Wants]:
    return {node: plan.want for node, plan in plans.items()}
