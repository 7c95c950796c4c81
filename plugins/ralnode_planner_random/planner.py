"""`RandomPlanner`. The dice are the node's id: the same view gives the same plan, and another node another one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ralnode.api import BlockSet, Plan, Root, Source, View
from ralnode.api.mixing import block_key, draw, node_salt
from ralnode.api.planning import held_blocks, my_budget_bytes, planned_bytes, take, united, view_digest

NAME: Final = "random"
VERSION: Final = 1


class RandomPlanner:
    """Keeps what this node has; fills the rest of its room with the blocks whose draw with its id is lowest, sources of
    higher priority first. Asks neither who else has a block nor how many copies are wanted."""

    name = NAME
    version = VERSION
    needs_holdings = True

    def plan(self, view: View) -> Plan:
        salt, budget_bytes = node_salt(view.me), my_budget_bytes(view)
        wanted = take(view.sources, held_blocks(view, view.me), salt, budget_bytes)
        for priority in sorted({source.priority for source in view.sources}, reverse=True):
            sources = [source for source in view.sources if source.priority == priority]
            left_bytes = budget_bytes - planned_bytes(view.sources, wanted)
            wanted = united([wanted, take(sources, _missing(sources, wanted), salt, left_bytes)])
        return Plan(want=wanted, digest=view_digest(f"{NAME}/{VERSION}", view))

    def explain(self, view: View, root: Root, index: int) -> Sequence[str]:
        if index in held_blocks(view, view.me).get(root, ()):
            return ["This node has it, and keeps what it has while there is room."]
        share = draw(block_key(root, index), node_salt(view.me)) / 2**64
        wants = index in self.plan(view).want.get(root, ())
        return [
            f"This node draws {share:.4f} for it (0 to 1) and takes the lowest draws first until it is full.",
            f"This node {'takes' if wants else 'does not take'} it. Other nodes decide without regard to this one.",
        ]


def _missing(sources: Sequence[Source], held: dict[Root, BlockSet]) -> dict[Root, BlockSet]:
    return {
        source.root: BlockSet.full(source.leaf_count) - held.get(source.root, BlockSet())
        for source in sources
        if source.leaf_count > 0
    }
