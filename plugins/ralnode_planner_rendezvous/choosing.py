"""The one rule by which a block finds its nodes: copy after copy it goes to the nearest node that has none of its earlier
copies, is in none of their zones (when the phase spreads), and takes blocks from that distance.

Used by the solver, which works out up to which distance each node takes blocks, and by the lookup.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from ralnode.api.mixing import Distances, Keys
from ralnode_planner_rendezvous.nodes import Nodes
from ralnode_planner_rendezvous.phases import Phase

Owners: TypeAlias = npt.NDArray[np.int16]
"""Per block the position of a node, or NOBODY."""

NOBODY: Final = -1

PAIRS_AT_ONCE: Final = 1 << 16
"""Distances (node, block) worked on at once: three arrays of 0.5 MiB stay in the cache."""


class Terms(NamedTuple):
    """On which terms the nodes take blocks in one phase, an element per node: distances are multiplied by `pulls` (1:
    as they are) and must then be below `limits` (inf: takes all, 0: none)."""

    limits: Distances
    pulls: Distances

    @classmethod
    def open(cls, nodes: Nodes) -> Terms:
        return cls(np.full(len(nodes), np.inf), np.ones(len(nodes)))


class Step(NamedTuple):
    """A phase and its terms."""

    phase: Phase
    terms: Terms


_FEW_NODES: Final = 16
"""Up to here comparing row by row is faster than argmin."""


def rows_at_once(nodes: Nodes) -> int:
    """How many blocks to handle at once with all nodes."""
    return max(64, PAIRS_AT_ONCE // len(nodes) & ~7)


def exclude(found: Distances, owners: Owners) -> None:
    """Puts the node that each block already is on out of its reach."""
    blocks = np.flatnonzero(owners != NOBODY)
    found[owners[blocks], blocks] = np.inf


def owners_of(nodes: Nodes, keys: Keys, copies: int, steps: Sequence[Step]) -> npt.NDArray[np.int16]:
    """Row c: who gets copy c of each block, by the steps of its group in order."""
    found = nodes.distances(keys)
    owners = np.full((copies, len(keys)), NOBODY, dtype=np.int16)
    for phase, terms in steps:
        if NOBODY not in owners[phase.copy]:
            continue
        earlier = owners[: phase.copy]
        chosen, _ = choose(nodes, found, terms, earlier if phase.spread else ())
        newly: Owners = np.where(owners[phase.copy] == NOBODY, chosen, np.int16(NOBODY))
        owners[phase.copy] = np.maximum(owners[phase.copy], newly)
        exclude(found, newly)
    return owners


def choose(nodes: Nodes, found: Distances, terms: Terms, avoided: Iterable[Owners]) -> tuple[Owners, Distances]:
    """For each block (column of `found`) the nearest node within its limit, and its distance (inf: nobody).

    Nodes in the zones of the `avoided` owners are passed over. `found` is left as it is.
    """
    if (terms.pulls != 1.0).any():
        found = found * terms.pulls[:, np.newaxis]
    if not np.isinf(terms.limits).all():
        found = np.where(found < terms.limits[:, np.newaxis], found, np.inf)
    zones = np.append(nodes.zones, NOBODY)
    for owners in avoided:
        found = np.where(nodes.zones[:, np.newaxis] == zones[owners], np.inf, found)
    distance = found.min(axis=0)
    owners = _first_equal(found, distance)
    owners[np.isinf(distance)] = NOBODY
    return owners, distance


def _first_equal(found: Distances, distance: Distances) -> Owners:
    """Per column the first row that equals its minimum: argmin, which NumPy does at half the speed for a few rows."""
    if len(found) > _FEW_NODES:
        return np.asarray(found.argmin(axis=0), dtype=np.int16)
    first = np.zeros(len(distance), dtype=np.int16)
    for node in range(len(found) - 1, -1, -1):
        np.putmask(first, found[node] == distance, node)
    return first
