"""In which order copies are placed. This order is what "what is kept when space is short" means.

First copies of everything, the higher priority first; then the further copies of the highest priority, of the next, and
so on. So nothing gets a second copy before everything has one, and extra copies go to what matters most.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from ralnode.api import Source

COPIES_MAX: Final = 16
"""Copies planned of one block. Each costs a pass over all nodes; more than 16 is a mirror, not redundancy."""

TIERS_MAX: Final = 16
"""Priorities told apart; all lower ones share the last tier."""


class Phase(NamedTuple):
    """One round of placing: the `copy`-th copies (from 0) of one tier. `spread`: only into zones that the block is not
    in yet; a phase without it follows and takes up the blocks for which there was no such zone."""

    tier: int
    copy: int
    spread: bool


@dataclass(frozen=True, slots=True)
class Group:
    """Sources that are planned alike: their tier (0 is the highest priority) and number of copies, and their positions
    in the list of sources."""

    tier: int
    copies: int
    positions: tuple[int, ...]

    def phases(self, phases: Sequence[Phase]) -> Iterator[tuple[int, Phase]]:
        """Those that concern this group, with their numbers."""
        for number, phase in enumerate(phases):
            if phase.tier == self.tier and phase.copy < self.copies:
                yield number, phase


def groups_of(sources: Sequence[Source], node_count: int) -> tuple[Group, ...]:
    """Sources without leaves, and those that want no copy, are in none."""
    planned = [at for at, source in enumerate(sources) if source.leaf_count > 0 and source.copies > 0]
    priorities = sorted({sources[at].priority for at in planned}, reverse=True)
    tiers = {priority: min(tier, TIERS_MAX - 1) for tier, priority in enumerate(priorities)}
    members: dict[tuple[int, int], list[int]] = {}
    for at in planned:
        copies = min(sources[at].copies, node_count, COPIES_MAX)
        members.setdefault((tiers[sources[at].priority], copies), []).append(at)
    return tuple(Group(tier, copies, tuple(at)) for (tier, copies), at in sorted(members.items()) if copies)


def phases_of(groups: Sequence[Group], zone_count: int, node_count: int) -> tuple[Phase, ...]:
    """All phases in order."""
    most: dict[int, int] = {}
    for group in groups:
        most[group.tier] = max(most.get(group.tier, 0), group.copies)
    phases = [Phase(tier, 0, spread=False) for tier in sorted(most)]
    for tier in sorted(most):
        for copy in range(1, most[tier]):
            if zone_count == node_count:
                phases.append(Phase(tier, copy, spread=False))
                continue
            if copy < zone_count:
                phases.append(Phase(tier, copy, spread=True))
            phases.append(Phase(tier, copy, spread=False))
    return tuple(phases)
