"""Why a block is where it is, in lines for people (`ralnode plan --why`). Nodes appear as their peer ids."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import numpy as np

from ralnode.api import NodeId, Plan, Root, Source, View
from ralnode.api.mixing import Distances, block_key
from ralnode.dag import cid
from ralnode_planner_rendezvous.choosing import NOBODY, Step
from ralnode_planner_rendezvous.scheme import Scheme

_LISTED_MAX: Final = 12
"""Nodes listed in one line; of a large cluster the nearest ones suffice."""


def explanation(scheme: Scheme, view: View, root: Root, index: int, plan: Callable[[View], Plan]) -> list[str]:
    """Ranking, who takes which copy, who was passed over and why, and last what follows for `view.me`."""
    source = next((source for source in scheme.sources if source.root == root), None)
    if source is None:
        return ["The plan knows no such source."]
    if not 0 <= index < source.leaf_count:
        return [f"{source.name} has no block {index}: it has {source.leaf_count}."]
    return _Why(scheme, view, source, index).lines(plan)


class _Why:
    """One block under the lens."""

    def __init__(self, scheme: Scheme, view: View, source: Source, index: int) -> None:
        self._scheme, self._view, self._source, self._index = scheme, view, source, index
        self._zones = {node.id: node.zone for node in view.nodes}
        self._ids = scheme.nodes.ids
        key = np.array([block_key(source.root, index)], dtype=np.uint64)
        self._owners = scheme.owners(source, index)
        self._found: Distances = scheme.nodes.distances(key)[:, 0]

    def lines(self, plan: Callable[[View], Plan]) -> list[str]:
        return [self._headline(), *self._ranking(), *self._without_room(), *self._copies(), self._for_me(plan)]

    def _headline(self) -> str:
        source, exact = self._source, self._scheme.is_exact
        how = "on every block, exact to the byte" if exact else "on a sample of the catalogue"
        return (
            f"Block {self._index} of {source.name}: {source.copies} copies wanted, about {source.block_bytes:,} bytes, "
            f"priority {source.priority}. Planned {how}."
        )

    def _ranking(self) -> Iterator[str]:
        order = self._nearest_first(np.ones(len(self._ids)))
        if order:
            nearest = self._found[order[0]] or 1.0
            listed = [f"{self._name(at)} ({self._found[at] / nearest:.2f})" for at in order[:_LISTED_MAX]]
            rest = len(order) - len(listed)
            yield f"Nearest first (distance by weighted hash, the nearest = 1): {', '.join(listed)}{_more(rest)}."

    def _without_room(self) -> Iterator[str]:
        shut = [node.id for node in self._view.nodes if node.id not in self._ids]
        if shut:
            listed = ", ".join(self._text(node_id) for node_id in shut[:_LISTED_MAX])
            yield f"No room for blocks beside the metadata: {listed}{_more(len(shut) - _LISTED_MAX)}."

    def _copies(self) -> Iterator[str]:
        for copy, owner in enumerate(self._owners):
            passed = self._passed_over(copy)
            reasons = [f"{self._name(at)} {why}" for at, why in passed.items()][:_LISTED_MAX]
            rest = _more(len(passed) - len(reasons))
            because = f" Passed over: {'; '.join(reasons)}{rest}." if reasons else ""
            taker = "nobody" if owner == NOBODY else self._name(owner)
            yield f"Copy {copy + 1} goes to {taker}{self._pull(copy, owner)}.{because}"
        if not self._owners:
            yield "No copy is planned: no node has room for blocks, or none is wanted."

    def _for_me(self, plan: Callable[[View], Plan]) -> str:
        me = self._scheme.nodes.position(self._view.me)
        if me is None:
            known = self._view.me in self._zones
            why = "has no room for blocks" if known else "is not among the nodes planned for (drained, left or new)"
            return f"This node {why}, so it keeps none."
        if me in self._owners:
            copy = self._owners.index(me) + 1
            if self._index in plan(self._view).want.get(self._source.root, ()):
                return f"This node keeps it, as copy {copy}."
            return f"Copy {copy} falls to this node, but nearer blocks fill its room, so it leaves this one out."
        reason = self._passed_over(len(self._owners) - 1).get(me) if self._owners else None
        place = self._nearest_first(np.ones(len(self._ids))).index(me) + 1
        why = f"it {reason}" if reason else f"it is number {place} by distance and nearer nodes take the copies"
        return f"This node does not keep it: {why}."

    def _passed_over(self, copy: int) -> dict[int, str]:
        """Nodes that come before the owner of that copy, nearest first, each with the reason why it did not get it."""
        owner, step = self._owners[copy], self._step(copy)
        earlier = self._owners[:copy]
        avoided = {self._scheme.nodes.zones[at]: at for at in earlier if at != NOBODY} if step.phase.spread else {}
        passed: dict[int, str] = {}
        for at in self._nearest_first(step.terms.pulls):
            if at == owner:
                break
            zone = self._scheme.nodes.zones[at]
            if at in earlier:
                passed[at] = f"has copy {earlier.index(at) + 1}"
            elif zone in avoided:
                passed[at] = f"is in zone {self._zones[self._ids[at]]} like copy {earlier.index(avoided[zone]) + 1}"
            else:
                passed[at] = "is full (it takes nearer blocks)"
        return passed

    def _step(self, copy: int) -> Step:
        """The phase in which that copy was placed; the last one for it when it was not."""
        group = next(group for group in self._scheme.groups if self._source in self._scheme.members(group))
        steps = [step for step in self._scheme.steps(group) if step.phase.copy == copy]
        zones = self._scheme.nodes.zones
        owner = self._owners[copy]
        used = {zones[at] for at in self._owners[:copy] if at != NOBODY}
        return steps[0] if owner != NOBODY and zones[owner] not in used else steps[-1]

    def _pull(self, copy: int, owner: int) -> str:
        pull = 1.0 if owner == NOBODY else self._step(copy).terms.pulls[owner]
        return f" (which counts as {1 / pull:.1f} times nearer, since it has room that others lack)" if pull < 1 else ""

    def _nearest_first(self, pulls: Distances) -> list[int]:
        return [int(at) for at in np.argsort(self._found * pulls, kind="stable")]

    def _name(self, at: int) -> str:
        return self._text(self._ids[at])

    def _text(self, node_id: NodeId) -> str:
        return cid.peer_id(node_id) if len(node_id) == 32 else node_id.hex()


def _more(count: int) -> str:
    return f" and {count} more" if count > 0 else ""
