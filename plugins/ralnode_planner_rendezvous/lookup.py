"""From the solved terms to the blocks of one node: a walk over every block of a group, in batches.

Memory is one bit per block and copy, whatever the number of nodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from ralnode.api import BlockSet, Root, Source
from ralnode.api.planning import Marks, batches
from ralnode_planner_rendezvous.choosing import Step, owners_of, rows_at_once
from ralnode_planner_rendezvous.nodes import Nodes
from ralnode_planner_rendezvous.sieve import Sieve

SIEVE_FROM_NODES: Final = 24
"""With fewer nodes sieving costs more than it saves."""


def mine_of(
    nodes: Nodes, me: int, sources: Sequence[Source], copies: int, steps: Sequence[Step]
) -> list[dict[Root, BlockSet]]:
    """Element c: the blocks of these sources whose copy c falls to node `me`."""
    marks = [Marks(sources) for _ in range(copies)]
    sieve = Sieve.of(nodes, me, steps) if len(nodes) >= SIEVE_FROM_NODES else None
    size = rows_at_once(nodes)
    for batch in batches(sources):
        rows = np.arange(len(batch.keys)) if sieve is None else sieve.within_reach(batch.keys)
        chosen = np.zeros((copies, len(batch.keys)), dtype=bool)
        for start in range(0, len(rows), size):
            part = rows[start : start + size]
            chosen[:, part] = owners_of(nodes, batch.keys[part], copies, steps) == me
        for copy, mark in enumerate(marks):
            mark.add(batch.runs, chosen[copy])
    return [mark.sets() for mark in marks]
