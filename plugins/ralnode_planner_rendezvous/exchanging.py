"""The last per mille of a nearly full cluster: a block that found no node, although some node has room, gets one by moving
others along a chain (the block takes the place of a second one, that of a third, and so on to the node with room).

Only for exact solutions. With room to spare nothing is ever left over, so nothing is exchanged.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from ralnode_planner_rendezvous.choosing import NOBODY
from ralnode_planner_rendezvous.nodes import Nodes

WORK_MAX: Final = 1 << 26
"""Looks at a block on its way from one node to another that a plan may spend here: a few tenths of a second."""

_FAILURES_MAX: Final = 16
"""Blocks without any chain, after which the rest is given up: the cluster is as full as it gets."""


class Move(NamedTuple):
    """Take `block` from node `source` to node `target`; NOBODY as source: it is the block that was left over."""

    block: int
    source: int
    target: int


class Exchange:
    """Who has what, while blocks are moved about. Changes `owners` and `rooms` in place."""

    def __init__(
        self, nodes: Nodes, weights: npt.NDArray[np.int64], owners: npt.NDArray[np.int16], rooms: npt.NDArray[np.int64]
    ) -> None:
        """The rows of `owners` are the copies, its columns and `weights` the blocks; `rooms` is what each node has left."""
        self._zones = nodes.zones
        self._weights, self._owners, self._rooms = weights, owners, rooms
        self._has = np.stack([(owners == node).any(axis=0) for node in range(len(nodes))])
        self._in_zone = np.zeros(
            (nodes.zone_count if nodes.zone_count < len(nodes) else 0, len(weights)), dtype=np.int16
        )
        """How many nodes of each zone have each block; nothing when every node is a zone of its own."""
        for node, zone in enumerate(nodes.zones if len(self._in_zone) else ()):
            self._in_zone[zone] += self._has[node]
        self.work_left = 0

    def place(self, left_over: npt.NDArray[np.int64], copy: int, work: int) -> int:
        """Finds a node for the given copy of as many of these blocks as it can, in their order, and returns what is left
        of `work`. Holes smaller than the heaviest of them are not worth a chain."""
        failures, self.work_left = 0, work
        heaviest = self._weights[left_over].max()
        for block in left_over.tolist():
            if failures == _FAILURES_MAX or self.work_left < 0 or self._rooms.max() < heaviest:
                break
            chain = self._chain(block)
            failures += not chain
            for move in reversed(chain):
                self._carry_out(move, copy)
        return self.work_left

    def _chain(self, block: int) -> list[Move]:
        """The shortest sequence of moves that ends on a node with room; empty if there is none. Breadth first."""
        open_nodes = [int(node) for node in np.flatnonzero(~self._has[:, block])]
        reached = {node: [Move(block, NOBODY, node)] for node in open_nodes}
        waiting = list(open_nodes)
        for node in waiting:
            chain = reached[node]
            lacking = self._weights[chain[-1].block] - self._rooms[node]
            if lacking <= 0:
                return chain
            if self.work_left < 0:
                break
            for onward, moved in self._ways_out(node, lacking):
                if onward not in reached:
                    reached[onward] = [*chain, Move(moved, node, onward)]
                    waiting.append(onward)
        return []

    def _ways_out(self, node: int, lacking: int) -> Iterator[tuple[int, int]]:
        """For each other node the lightest block that could go there from `node` and frees what is lacking."""
        heavy = self._has[node] & (self._weights >= lacking)
        for onward in range(len(self._has)):
            self.work_left -= len(heavy)
            movable = np.flatnonzero(heavy & ~self._has[onward] & ~self._crowds(node, onward))
            if movable.size:
                yield onward, int(movable[self._weights[movable].argmin()])

    def _crowds(self, node: int, onward: int) -> npt.NDArray[np.bool_] | bool:
        """Blocks that would be in fewer zones if they went from `node` to `onward`."""
        left, entered = self._zones[node], self._zones[onward]
        if left == entered or not len(self._in_zone):
            return False
        crowds: npt.NDArray[np.bool_] = (self._in_zone[entered] > 0) & (self._in_zone[left] == 1)
        return crowds

    def _carry_out(self, move: Move, copy: int) -> None:
        block, source, target = move
        at = copy if source == NOBODY else int(np.flatnonzero(self._owners[:, block] == source)[0])
        self._owners[at, block] = target
        self._shift(block, target, 1)
        if source != NOBODY:
            self._shift(block, source, -1)

    def _shift(self, block: int, node: int, by: int) -> None:
        """The node gets (1) or loses (-1) the block."""
        self._has[node, block] = by > 0
        self._rooms[node] -= by * self._weights[block]
        if len(self._in_zone):
            self._in_zone[self._zones[node], block] += by
