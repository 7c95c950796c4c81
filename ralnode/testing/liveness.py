"""What must come about once the faults have stopped: equal views (L1), enough copies (L2), silence (L3).

Each question answers with a sentence that says what is missing, or with nothing when all is well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from ralnode.api import BlockKey, BlockSet, Liveness, Root, Source
from ralnode.api.limits import MIB
from ralnode.api.planning import leaf_budget_bytes
from ralnode.core.placement import quantised
from ralnode.testing.simulated_node import Lie, SimulatedNode
from ralnode.testing.world import World

ROOM_MARGIN_BYTES: Final = 4 * MIB
"""What the executor always leaves free (core/fetching.py)."""
SPARE: Final = 1.25
"""Capacity over need from which every block must get all its copies."""


def unequal_views(nodes: Sequence[SimulatedNode], gone: Sequence[SimulatedNode]) -> str:
    """L1: every live node sees every other as alive, the same sources, and the same nodes to plan with; nobody plans
    with those that are gone."""
    first = nodes[0]
    lost = {node.id for node in gone}
    for node in nodes:
        for other in nodes:
            if node.mind.liveness(other.id) is not Liveness.ALIVE:
                return f"{node.name} sees {other.name} as {node.mind.liveness(other.id)}"
        if node.mind.sources() != first.mind.sources():
            return f"{node.name} has {len(node.mind.sources())} sources, {first.name} {len(first.mind.sources())}"
        if node.mind.view(node.now).nodes != first.mind.view(first.now).nodes:
            return f"{node.name} plans with other nodes than {first.name}"
        if any(planned.id in lost for planned in node.mind.view(node.now).nodes):
            return f"{node.name} still plans with nodes that are gone"
    return ""


def unequal_records(nodes: Sequence[SimulatedNode]) -> str:
    """L1 in full: everybody has everybody's newest record and holdings."""
    for node in nodes:
        for other in nodes:
            if node.mind.node(other.id) != other.mind.node(other.id):
                return f"{node.name} has an old record of {other.name}"
            for source in node.mind.sources():
                if node.mind.holding(other.id, source.root) != other.mind.holding(other.id, source.root):
                    return f"{node.name} does not know what {other.name} has of {source.name}"
    return ""


def unfinished(world: World, nodes: Sequence[SimulatedNode]) -> str:
    """L2, for each node: it plans for what is there now and owns what its plan wants and anybody live can give, as far
    as it has room: nothing is deleted to make some."""
    servable = _servable(nodes)
    for node in nodes:
        plan = node.mind.plan
        if plan is None or not node.mind.is_plan_current(node.now):
            return f"{node.name} has no plan for what is there now"
        for source in node.mind.sources():
            if source.root in servable and not node.mind.holding(node.id, source.root).has_interior:
                return f"{node.name} still lacks the interior nodes of {source.name}"
            wanted = plan.want.get(source.root, BlockSet()) & servable.get(source.root, BlockSet())
            missing = wanted - node.mind.holding(node.id, source.root).owned
            if missing and room_bytes(node) >= source.block_bytes:
                return f"{node.name} still lacks {len(missing)} blocks of {source.name}"
    return ""


def copies_missing(world: World, nodes: Sequence[SimulatedNode]) -> str:
    """L2, for the cluster: min(copies, nodes) own copies of every block where there is room for all, else at least one
    of everything when that fits. What no live node has at all cannot come back."""
    sources = nodes[0].mind.sources()
    counts = owned_copies(nodes)
    servable = _servable(nodes)
    budgets = [leaf_budget_bytes(quantised(node.disk.capacity_bytes), sources) for node in nodes]
    for source in sources:
        wanted = min(source.copies, len(nodes))
        expected = wanted if _fits(sources, budgets, wanted) else 1 if _fits(sources, budgets, 1) else 0
        leaves, there = world.contents.of(source.root).leaves, servable.get(source.root, BlockSet())
        least = min((counts[leaves[index]] for index in there), default=expected)
        if least < expected:
            return f"a block of {source.name} has {least} copies, {expected} were possible"
    return ""


def _fits(sources: Sequence[Source], budgets: Sequence[int], copies: int) -> bool:
    """Whether, with some room to spare, all sources that want at least so many copies get them, no node having two
    copies of a block."""
    those = [source for source in sources if source.copies >= copies]
    data_bytes = sum(source.leaf_bytes for source in those)
    need_bytes = sum(source.leaf_bytes * (1 if copies == 1 else min(source.copies, len(budgets))) for source in those)
    others_bytes = sum(source.leaf_bytes for source in sources if source.copies < copies)
    room_bytes = sum(min(budget, data_bytes) for budget in budgets)
    return room_bytes >= SPARE * need_bytes and sum(budgets) >= SPARE * (need_bytes + others_bytes * (copies - 1))


def is_anybody_full(nodes: Sequence[SimulatedNode]) -> bool:
    """Whether a node has no room for a block that it should own (it keeps what plans no longer want)."""
    for node in nodes:
        for source in node.mind.sources():
            plan = node.mind.plan
            wanted = plan.want.get(source.root, BlockSet()) if plan else BlockSet()
            if wanted - node.mind.holding(node.id, source.root).owned and room_bytes(node) < source.block_bytes:
                return True
    return False


def room_bytes(node: SimulatedNode) -> int:
    """What the node may still fetch."""
    usage = node.disk.usage()
    return usage.capacity_bytes - usage.used_bytes - usage.reserved_bytes - ROOM_MARGIN_BYTES


def owned_copies(nodes: Sequence[SimulatedNode]) -> Counter[BlockKey]:
    """How many of the nodes own each block, by what lies on their disks."""
    counts: Counter[BlockKey] = Counter()
    for node in nodes:
        counts.update(node.disk.owned())
    return counts


def _servable(nodes: Sequence[SimulatedNode]) -> dict[Root, BlockSet]:
    """What honest nodes say they have: blocks that came with another source are not known to be part of this one."""
    found: dict[Root, BlockSet] = {}
    for node in nodes:
        if node.lie is Lie.NONE:
            for source in node.mind.sources():
                holding = node.mind.holding(node.id, source.root)
                if holding.has_interior:
                    found[source.root] = found.get(source.root, BlockSet()) | holding.servable
    return found
