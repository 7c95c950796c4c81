"""Deferred acceptance (Gale and Shapley 1962) with byte quotas, phase by phase.

In a phase every block asks its nearest node; a node that is asked for more than it has room for keeps the nearest blocks
and refuses the rest, which ask their next nearest. What a node keeps in the end does not depend on the order of asking,
so every machine that solves the same view gets the same result, and a node that never ran full refuses nobody: with room
to spare this *is* weighted rendezvous hashing, which moves the least when a node comes or goes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from ralnode_planner_rendezvous.choosing import NOBODY, Owners, Terms, choose, exclude, rows_at_once
from ralnode_planner_rendezvous.exchanging import WORK_MAX, Exchange
from ralnode_planner_rendezvous.nodes import Nodes
from ralnode_planner_rendezvous.phases import Phase
from ralnode_planner_rendezvous.points import Points

ROUNDS_MAX: Final = 1000
"""Rounds of asking in one phase. About 40 are usual; blocks still refused after that many stay without this copy."""

_PULLS: Final = 64
"""Steps of pulling; the last makes a node count as 5,000 times nearer."""

_PROBE_POINTS: Final = 1 << 16
"""On how many blocks a pull is tried out."""

Positions: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Solution:
    """`terms[p]`: on which terms each node takes blocks in phase p. `owners[c]`: who got copy c of each point; this is
    the answer itself when the points are the actual blocks."""

    terms: tuple[Terms, ...]
    owners: npt.NDArray[np.int16]


def solve(nodes: Nodes, phases: Sequence[Phase], points: Points) -> Solution:
    copies = max((phase.copy for phase in phases), default=-1) + 1
    owners = np.full((copies, len(points.keys)), NOBODY, dtype=np.int16)
    rooms, terms, work = points.rooms, [], WORK_MAX
    for phase in phases:
        asking = (points.tiers == phase.tier) & (points.copies > phase.copy) & (owners[phase.copy] == NOBODY)
        table = _settled(Party(nodes, points, phase, owners[: phase.copy], rooms), np.flatnonzero(asking))
        owners[phase.copy] = np.where(asking, table.seated, owners[phase.copy])
        terms.append(table.terms)
        rooms = rooms - table.loads
        if points.is_exact and not phase.spread:
            left_over = np.flatnonzero(asking & (table.seated == NOBODY))
            if left_over.size and work > 0 and rooms.max() >= points.weights[left_over].max():
                work = Exchange(nodes, points.weights, owners, rooms).place(left_over, phase.copy, work)
    return Solution(tuple(terms), owners)


class Party(NamedTuple):
    """What one phase starts from: `earlier` are the owners of the lower copies, `rooms` what is left on each node."""

    nodes: Nodes
    points: Points
    phase: Phase
    earlier: npt.NDArray[np.int16]
    rooms: npt.NDArray[np.int64]


def _settled(party: Party, asking: Positions) -> Table:
    """Asks on open terms. Where that ends with blocks that found no node although some node has room (the large one,
    which has their first copy), the nodes with room pull harder, so that others leave the full ones."""
    table = Table(party, Terms.open(party.nodes))
    table.seat(asking)
    roomy = table.has_room(asking)
    if not party.phase.copy or not table.short(asking) or not roomy.any():
        return table
    pulled = Table(party, pulling(party, roomy, asking))
    pulled.seat(asking)
    return pulled if pulled.short(asking) < table.short(asking) else table


def pulling(party: Party, roomy: npt.NDArray[np.bool_], asking: Positions) -> Terms:
    """The weakest of _PULLS steps that leaves as few blocks without a node as the strongest; tried out on every n-th."""
    stride = 1 + len(asking) // _PROBE_POINTS
    thinned = replace(party.points, weights=party.points.weights * stride)
    party, asking = party._replace(points=thinned), asking[::stride]

    def shortage(step: int) -> int:
        table = Table(party, _pulled(party.nodes, roomy, step))
        table.seat(asking)
        return table.short(asking)

    weakest, strongest = 1, _PULLS
    bound = shortage(strongest)
    while weakest < strongest:
        middle = (weakest + strongest) // 2
        weakest, strongest = (weakest, middle) if shortage(middle) <= bound else (middle + 1, strongest)
    return _pulled(party.nodes, roomy, weakest)


def _pulled(nodes: Nodes, roomy: npt.NDArray[np.bool_], step: int) -> Terms:
    """Each step brings them nearer by an eighth."""
    terms = Terms.open(nodes)
    factor = 1.0
    for _ in range(step):
        factor *= 0.875
    terms.pulls[roomy] = factor
    return terms


class Table:
    """One phase: who sits where, how full each node is, and up to which distance it still takes somebody."""

    def __init__(self, party: Party, terms: Terms) -> None:
        self._party = party
        self._points = party.points
        self._guests = [np.empty(0, dtype=np.int64) for _ in range(len(party.nodes))]
        self._distances = np.full(len(party.points.keys), np.inf)
        self.seated: Owners = np.full(len(party.points.keys), NOBODY, dtype=np.int16)
        self.loads = np.zeros(len(party.nodes), dtype=np.int64)
        self.terms = terms

    def short(self, asking: Positions) -> int:
        """How many of them have no seat."""
        return int((self.seated[asking] == NOBODY).sum())

    def has_room(self, asking: Positions) -> npt.NDArray[np.bool_]:
        """Which nodes could take one more of the lightest. With nobody asking, those with any room: on a sample a phase
        that no point needs may still be needed by a few of the actual blocks."""
        lightest = self._points.weights[asking].min() if asking.size else 1
        has_room: npt.NDArray[np.bool_] = self._party.rooms - self.loads >= lightest
        return has_room

    def seat(self, asking: Positions) -> None:
        """`asking` find their nodes, or none."""
        self.terms.limits[~self.has_room(asking)] = 0.0
        for _ in range(ROUNDS_MAX):
            if not asking.size:
                return
            self._ask(asking)
            asking = self._refuse(asking)

    def _ask(self, asking: Positions) -> None:
        """Each goes to the nearest node that has not refused somebody as near."""
        nodes, _, phase, earlier, _ = self._party
        step = rows_at_once(nodes)
        for start in range(0, len(asking), step):
            rows = asking[start : start + step]
            found = nodes.distances(self._points.keys[rows])
            for owners in earlier[:, rows]:
                exclude(found, owners)
            avoided = earlier[:, rows] if phase.spread else ()
            self.seated[rows], self._distances[rows] = choose(nodes, found, self.terms, avoided)

    def _refuse(self, asking: Positions) -> Positions:
        """Adds the newcomers to their nodes; returns, in no matter which order, whom the overfull ones send away."""
        placed = asking[self.seated[asking] != NOBODY]
        order = placed[np.argsort(self.seated[placed], kind="stable")]
        ends = np.cumsum(np.bincount(self.seated[placed], minlength=len(self.loads)))
        refused = [np.empty(0, dtype=np.int64)]
        for node in np.flatnonzero(np.diff(ends, prepend=0)).tolist():
            newcomers = order[(ends[node - 1] if node else 0) : ends[node]]
            self.loads[node] += self._points.weights[newcomers].sum()
            self._guests[node] = np.concatenate((self._guests[node], newcomers))
            if self.loads[node] > self._party.rooms[node]:
                refused.append(self._cut(node))
        return np.concatenate(refused)

    def _cut(self, node: int) -> Positions:
        """Keeps the nearest guests up to the first that does not fit; from there on the node takes nobody."""
        guests = self._guests[node]
        guests = guests[np.argsort(self._distances[guests], kind="stable")]
        filled = np.cumsum(self._points.weights[guests])
        kept = int(np.searchsorted(filled, self._party.rooms[node], side="right"))
        self._guests[node], refused = guests[:kept], guests[kept:]
        self.loads[node] = filled[kept - 1] if kept else 0
        self.terms.limits[node] = min(self.terms.limits[node], self._distances[refused[0]])
        self.seated[refused] = NOBODY
        return refused
