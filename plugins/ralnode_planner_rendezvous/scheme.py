"""`Scheme`: a view worked out for the whole cluster, before anybody asks for a node's part of it.

It is the same on every node, whoever "me" is; its digest is what nodes compare to find out that they disagree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ralnode.api import BlockSet, Root, Source, View
from ralnode.api.mixing import block_key
from ralnode.api.planning import Marks, batches, view_digest
from ralnode_planner_rendezvous.choosing import Step, owners_of
from ralnode_planner_rendezvous.lookup import mine_of
from ralnode_planner_rendezvous.nodes import Nodes
from ralnode_planner_rendezvous.phases import Group, Phase, groups_of, phases_of
from ralnode_planner_rendezvous.points import points_of
from ralnode_planner_rendezvous.solving import Solution, solve


class Portion(NamedTuple):
    """Blocks of one node that are planned with the same urgency: the `copy`-th copies (from 0) of one tier."""

    tier: int
    copy: int
    blocks: Mapping[Root, BlockSet]


@dataclass(frozen=True, slots=True)
class Scheme:
    nodes: Nodes
    sources: tuple[Source, ...]
    groups: tuple[Group, ...]
    phases: tuple[Phase, ...]
    solution: Solution
    is_exact: bool
    """Whether it was solved on the actual blocks, so that `solution.owners` is the answer."""

    @classmethod
    def of(cls, view: View) -> Scheme:
        nodes = Nodes.of(view)
        sources = tuple(sorted({source.root: source for source in view.sources}.values(), key=lambda s: s.root))
        groups = groups_of(sources, len(nodes))
        phases = phases_of(groups, nodes.zone_count, len(nodes))
        points = points_of(sources, groups, nodes)
        return cls(nodes, sources, groups, phases, solve(nodes, phases, points), points.is_exact)

    def digest(self, label: str, view: View) -> bytes:
        """Of the view's facts and what was worked out of them, in little-endian bytes."""
        result = [self.solution.owners.astype("<i2").tobytes()] if self.is_exact else []
        result += [part.astype("<f8").tobytes() for terms in self.solution.terms for part in terms]
        return view_digest(label, view, b"".join(result))

    def portions(self, node: int) -> list[Portion]:
        """That node's blocks, in the order in which they were placed: what to keep first comes first."""
        found: dict[tuple[int, int], dict[Root, BlockSet]] = {}
        for group in self.groups:
            per_copy = self._exact_blocks(group, node) if self.is_exact else self._looked_up(group, node)
            for copy, blocks in enumerate(per_copy):
                found.setdefault((group.tier, copy), {}).update(blocks)
        order = dict.fromkeys((phase.tier, phase.copy) for phase in self.phases)
        return [Portion(tier, copy, found[tier, copy]) for tier, copy in order]

    def owners(self, source: Source, index: int) -> list[int]:
        """Who gets each copy of one block (NOBODY: nobody). Empty when it is not planned at all."""
        at = self.sources.index(source)
        group = next((group for group in self.groups if at in group.positions), None)
        if group is None:
            return []
        if self.is_exact:
            before = group.positions[: group.positions.index(at)]
            first = self._first_point(group) + sum(self.sources[position].leaf_count for position in before)
            return [int(owner) for owner in self.solution.owners[: group.copies, first + index]]
        key = np.array([block_key(source.root, index)], dtype=np.uint64)
        return [int(owner) for owner in owners_of(self.nodes, key, group.copies, self.steps(group))[:, 0]]

    def steps(self, group: Group) -> tuple[Step, ...]:
        return tuple(Step(phase, self.solution.terms[number]) for number, phase in group.phases(self.phases))

    def members(self, group: Group) -> list[Source]:
        return [self.sources[at] for at in group.positions]

    def _looked_up(self, group: Group, node: int) -> list[dict[Root, BlockSet]]:
        return mine_of(self.nodes, node, self.members(group), group.copies, self.steps(group))

    def _exact_blocks(self, group: Group, node: int) -> list[dict[Root, BlockSet]]:
        planned, first = self.members(group), self._first_point(group)
        marks = [Marks(planned) for _ in range(group.copies)]
        for batch in batches(planned):
            for copy, mark in enumerate(marks):
                mark.add(batch.runs, self.solution.owners[copy, first : first + len(batch.keys)] == node)
            first += len(batch.keys)
        return [mark.sets() for mark in marks]

    def _first_point(self, group: Group) -> int:
        """Where the blocks of this group begin among the points of an exact solution."""
        before = self.groups[: self.groups.index(group)]
        return sum(source.leaf_count for earlier in before for source in self.members(earlier))
