"""The nodes of a view as arrays: who can take leaves, how many bytes, from which zone, and how far each block is.

Row n of every array belongs to the n-th node in the order of ids. Nodes without room for leaves are not in it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ralnode.api import NodeId, View
from ralnode.api.mixing import Distances, Keys, distances, node_salt, scales
from ralnode.api.planning import leaf_budget_bytes

_WEIGHT_MAX = 1 << 62
"""Larger declared capacities count as this, so that arithmetic stays finite."""


@dataclass(frozen=True, slots=True)
class Nodes:
    """Who takes part. Weights are declared capacities, so a change of the catalogue does not change any distance."""

    ids: tuple[NodeId, ...]
    budgets_bytes: tuple[int, ...]
    zones: npt.NDArray[np.int64]
    """A number per zone; a node without a label is a zone of its own."""
    salts: Keys
    scales: Distances

    @classmethod
    def of(cls, view: View) -> Nodes:
        budgets = {node.id: leaf_budget_bytes(node.capacity_bytes, view.sources) for node in view.nodes}
        usable = sorted({node.id: node for node in view.nodes if budgets[node.id] > 0}.items())
        labels = [node.zone or f"\0{at}" for at, (_, node) in enumerate(usable)]
        numbers = {label: at for at, label in enumerate(dict.fromkeys(labels))}
        return cls(
            ids=tuple(node_id for node_id, _ in usable),
            budgets_bytes=tuple(budgets[node_id] for node_id, _ in usable),
            zones=np.array([numbers[label] for label in labels], dtype=np.int64),
            salts=np.array([node_salt(node_id) for node_id, _ in usable], dtype=np.uint64),
            scales=scales(min(node.capacity_bytes, _WEIGHT_MAX) for _, node in usable),
        )

    def distances(self, keys: Keys, among: npt.NDArray[np.int64] | slice = slice(None)) -> Distances:
        """How far each block (column) is from each node (row), or from those at the positions `among`."""
        return distances(keys, self.salts[among], self.scales[among])

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def zone_count(self) -> int:
        return len(np.unique(self.zones))

    def position(self, node_id: NodeId) -> int | None:
        """None when that node takes no leaves."""
        return self.ids.index(node_id) if node_id in self.ids else None
