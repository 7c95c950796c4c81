"""What a plan is solved on: every actual block of a catalogue that is small enough (then the result is exact to the
byte), else a virtual sample that stands for it, so that solving costs the same for any number of blocks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from ralnode.api import Source
from ralnode.api.mixing import Keys, block_keys, hash64
from ralnode.api.planning import batches
from ralnode_planner_rendezvous.nodes import Nodes
from ralnode_planner_rendezvous.phases import Group

_POINTS_MAX: Final = 1 << 20
_POINTS_MIN: Final = 1 << 16
_PAIRS: Final = 1 << 23
"""Points times nodes: what a core works through in about 0.1 s per copy."""

_GROUP_POINTS_MIN: Final = 256
"""So that a small source with a priority of its own is represented at all."""

_TOTAL_BITS: Final = 60
"""Weights are scaled so that four times all copies stay below 2^60 and sums fit 64 bits."""

_RESERVE_PARTS: Final = 32
"""At most one part in 32 of a node's room is held back because a sample errs."""


@dataclass(frozen=True, slots=True)
class Points:
    """The blocks, or their stand-ins, one element each; `rooms` is per node, in the unit of `weights`."""

    keys: Keys
    weights: npt.NDArray[np.int64]
    tiers: npt.NDArray[np.int16]
    copies: npt.NDArray[np.int16]
    rooms: npt.NDArray[np.int64]
    is_exact: bool


def points_max(node_count: int) -> int:
    """2^20 up to 8 nodes, halved with each doubling of their number, 2^16 from 65 nodes on."""
    return max(_POINTS_MIN, min(_POINTS_MAX, _PAIRS >> max(0, node_count - 1).bit_length()))


def points_of(sources: Sequence[Source], groups: Sequence[Group], nodes: Nodes) -> Points:
    block_count = sum(sources[at].leaf_count for group in groups for at in group.positions)
    limit = points_max(len(nodes))
    ample = 4 * sum(_group_bytes(sources, group) * group.copies for group in groups)
    shift = _TOTAL_BITS - max(1, ample).bit_length()
    rooms = [_scaled(min(budget, ample), shift) for budget in nodes.budgets_bytes]
    if block_count <= limit:
        return _actual(sources, groups, rooms, shift)
    return _sample(sources, groups, rooms, shift, limit)


def _actual(sources: Sequence[Source], groups: Sequence[Group], rooms: list[int], shift: int) -> Points:
    """Every block, in the order of `groups`' sources."""
    planned = [sources[at] for group in groups for at in group.positions]
    counts = [source.leaf_count for source in planned]
    weights = [_scaled_up(source.block_bytes, shift) for source in planned]
    keys = [batch.keys for batch in batches(planned)]
    return Points(
        keys=np.concatenate([np.empty(0, np.uint64), *keys]),
        weights=np.repeat(np.array(weights, dtype=np.int64), counts),
        tiers=np.repeat(np.array([group.tier for group in groups for _ in group.positions], dtype=np.int16), counts),
        copies=np.repeat(np.array([group.copies for group in groups for _ in group.positions], dtype=np.int16), counts),
        rooms=np.array(rooms, dtype=np.int64),
        is_exact=True,
    )


def _sample(sources: Sequence[Source], groups: Sequence[Group], rooms: list[int], shift: int, limit: int) -> Points:
    """Points in proportion to the bytes of each group, each standing for an equal part of them."""
    sizes = [_group_bytes(sources, group) for group in groups]
    counts = [max(_GROUP_POINTS_MIN, limit * size // sum(sizes)) for size in sizes]
    weights = [_scaled_up(size, shift) // count + 1 for size, count in zip(sizes, counts, strict=True)]
    priorities = [sources[group.positions[0]].priority for group in groups]
    seeds = [hash64(f"{priority} {group.copies}".encode()) for priority, group in zip(priorities, groups, strict=True)]
    indexes = [np.arange(count, dtype=np.uint64) for count in counts]
    mean_weight = _scaled_up(sum(sizes), shift) // sum(counts) + 1
    return Points(
        keys=np.concatenate([block_keys(np.uint64(seed), at) for seed, at in zip(seeds, indexes, strict=True)]),
        weights=np.repeat(np.array(weights, dtype=np.int64), counts),
        tiers=np.repeat(np.array([group.tier for group in groups], dtype=np.int16), counts),
        copies=np.repeat(np.array([group.copies for group in groups], dtype=np.int16), counts),
        rooms=np.array([room - _reserve(room, mean_weight) for room in rooms], dtype=np.int64),
        is_exact=False,
    )


def _reserve(room: int, mean_weight: int) -> int:
    """Two standard deviations of what a full node would get too much, since the sample is not the catalogue."""
    return min(room // _RESERVE_PARTS, 2 * math.isqrt(room // mean_weight) * mean_weight)


def _group_bytes(sources: Sequence[Source], group: Group) -> int:
    return sum(sources[at].leaf_count * sources[at].block_bytes for at in group.positions)


def _scaled(value: int, shift: int) -> int:
    return value << shift if shift >= 0 else value >> -shift


def _scaled_up(value: int, shift: int) -> int:
    return -_scaled(-value, shift)
