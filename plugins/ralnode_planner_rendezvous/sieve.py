"""Finds out cheaply which blocks a node has no chance of: with a thousand nodes that is nearly all of them.

A block is out of reach for its copy c (from 0) when c + 1 nodes are nearer to it than this one and would take it: the c
earlier copies occupy at most c of them. In a phase that spreads, the c + 1 nodes must be in as many zones. The heaviest
nodes are looked at first, since they are the likeliest to be nearer; each stage looks only at what is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from ralnode.api.mixing import Distances, Keys
from ralnode_planner_rendezvous.choosing import PAIRS_AT_ONCE, Step, Terms
from ralnode_planner_rendezvous.nodes import Nodes

_FIRST_STAGE_NODES: Final = 8
_ZONE_BITS: Final = 16
"""Zones share 16 bits. Two zones on one bit count as one, which errs on the safe side; no block has more copies."""

_BIT_COUNTS: Final = np.array([value.bit_count() for value in range(1 << _ZONE_BITS)], dtype=np.uint8)
_BIT_COUNTS.flags.writeable = False


class Hurdle(NamedTuple):
    """A phase as the sieve sees it; of phases on equal terms only the last copy matters."""

    terms: Terms
    spread: bool
    copy: int


@dataclass(frozen=True, slots=True)
class Sieve:
    nodes: Nodes
    me: int
    hurdles: tuple[Hurdle, ...]
    stages: tuple[npt.NDArray[np.int64], ...]

    @classmethod
    def of(cls, nodes: Nodes, me: int, steps: Sequence[Step]) -> Sieve:
        last: dict[tuple[bytes, bytes, bool], Hurdle] = {}
        for phase, terms in steps:
            alike = terms.limits.tobytes(), terms.pulls.tobytes(), phase.spread
            last[alike] = Hurdle(terms, phase.spread, phase.copy)
        return cls(nodes, me, tuple(last.values()), _stages(nodes, me))

    def within_reach(self, keys: Keys) -> npt.NDArray[np.int64]:
        """Positions of the blocks that may fall to me; of the others it is certain that none does."""
        rows = np.arange(len(keys))
        mine = self.nodes.distances(keys, np.array([self.me]))[0]
        nearer = np.zeros((len(self.hurdles), len(keys)), dtype=np.int32)
        for stage in self.stages:
            size = max(64, PAIRS_AT_ONCE // len(stage))
            for start in range(0, len(rows), size):
                part = slice(start, start + size)
                found = self.nodes.distances(keys[rows[part]], stage)
                for number, hurdle in enumerate(self.hurdles):
                    self._look(stage, hurdle, found, mine[part], nearer[number, part])
            kept = self._kept(mine, nearer)
            rows, mine, nearer = rows[kept], mine[kept], nearer[:, kept]
        return rows

    def _look(
        self,
        stage: npt.NDArray[np.int64],
        hurdle: Hurdle,
        found: Distances,
        mine: Distances,
        nearer: npt.NDArray[np.int32],
    ) -> None:
        """Notes in `nearer` which nodes of the stage would take each block before me: their number, or, where the phase
        spreads, the bits of their zones."""
        limits, pulls = hurdle.terms
        ours = (mine * pulls[self.me])[np.newaxis, :]
        before = found * pulls[stage, np.newaxis] < np.minimum(ours, limits[stage, np.newaxis])
        if hurdle.spread:
            bits = np.left_shift(1, self.nodes.zones[stage] % _ZONE_BITS).astype(np.int32)
            nearer |= np.bitwise_or.reduce(before * bits[:, np.newaxis], axis=0)
        else:
            nearer += before.sum(axis=0, dtype=np.int32)

    def _kept(self, mine: Distances, nearer: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
        kept = np.zeros(len(mine), dtype=bool)
        for hurdle, seen in zip(self.hurdles, nearer, strict=True):
            i_take = mine * hurdle.terms.pulls[self.me] < hurdle.terms.limits[self.me]
            kept |= i_take & ((_BIT_COUNTS[seen] if hurdle.spread else seen) <= hurdle.copy)
        return kept


def _stages(nodes: Nodes, me: int) -> tuple[npt.NDArray[np.int64], ...]:
    """All nodes but me: first the heaviest of every zone, then their second heaviest, …; each stage twice the last."""
    heaviest_first = sorted((at for at in range(len(nodes)) if at != me), key=lambda at: nodes.scales[at])
    seen: dict[int, int] = {}
    ranks = {}
    for at in heaviest_first:
        zone = int(nodes.zones[at])
        ranks[at] = seen[zone] = seen.get(zone, 0) + 1
    order = sorted(heaviest_first, key=lambda at: ranks[at])
    stages, start, size = [], 0, _FIRST_STAGE_NODES
    while start < len(order):
        stages.append(np.array(order[start : start + size], dtype=np.int64))
        start, size = start + size, size * 2
    return tuple(stages)
