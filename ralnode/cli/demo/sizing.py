"""How much each node of the demo gives: all different, and enough for two copies whichever one node is lost."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle, islice
from typing import Final

WEIGHTS: Final = (1.0, 0.8, 1.5, 0.7, 1.2, 0.9)
SPARE: Final = 1.25
"""Room that stays free when a node is lost, so that the demo shows repair and not scarcity."""

COPIES: Final = 2
OWN_BYTES: Final = 24 << 20
"""What a store needs for itself (index and its log) before there is any block."""


def capacities(node_count: int, data_bytes: int) -> list[int]:
    """Bytes per node, in the proportions of WEIGHTS. At least 3 nodes: two must stay for two copies."""
    weights = list(islice(cycle(WEIGHTS), node_count))
    weights = [weight + 0.01 * (place // len(WEIGHTS)) for place, weight in enumerate(weights)]
    whole, scale = max(1, data_bytes) * SPARE, max(1, data_bytes) / node_count
    while not all(_fits(_scaled(weights, scale, without), whole) for without in range(node_count)):
        scale *= 1.05
    return [int(size) + OWN_BYTES for size in _scaled(weights, scale)]


def _scaled(weights: Sequence[float], scale: float, without: int = -1) -> list[float]:
    return [weight * scale for place, weight in enumerate(weights) if place != without]


def _fits(sizes: Sequence[float], whole: float) -> bool:
    """Whether every block finds COPIES different nodes: no node counts for more than one copy of everything."""
    return sum(min(size, whole) for size in sizes) >= COPIES * whole
