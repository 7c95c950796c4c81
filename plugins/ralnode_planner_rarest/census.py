"""How many live copies there are of each block, counted with whole sets at a time, whatever the number of blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from ralnode.api import BlockSet, Root, Source, View

COPIES_MAX: Final = 16
"""Copies told apart; more are as good as these."""


class Census:
    """Counts what the nodes that are planned for own. A node that drains is not among them: its copies go away."""

    def __init__(self, view: View) -> None:
        """Element k of a source's levels: the blocks of which at least k copies exist."""
        self._levels = {source.root: _levels(view, source) for source in view.sources}

    def exactly(self, sources: Sequence[Source], count: int) -> dict[Root, BlockSet]:
        """The blocks with that many copies; the highest count stands for all above it."""
        found = {}
        for source in sources:
            levels = self._levels[source.root]
            if count < len(levels):
                above = levels[count + 1] if count + 1 < len(levels) else BlockSet()
                found[source.root] = levels[count] - above
        return found

    def count(self, root: Root, index: int) -> int:
        return sum(index in level for level in self._levels[root]) - 1


def _levels(view: View, source: Source) -> Sequence[BlockSet]:
    levels = [BlockSet.full(max(0, source.leaf_count))]
    for node in view.nodes:
        held: Mapping[Root, BlockSet] = view.holdings.get(node.id, {})
        blocks = held.get(source.root, BlockSet()) & levels[0]
        if not blocks:
            continue
        if len(levels) <= min(source.copies, COPIES_MAX):
            levels.append(BlockSet())
        for level in range(len(levels) - 1, 0, -1):
            levels[level] |= levels[level - 1] & blocks
    return levels
