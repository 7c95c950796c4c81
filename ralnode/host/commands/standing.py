"""How blocks stand with their copies, on a choice of nodes: the arithmetic behind draining and dry runs. Reads the engine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ralnode.api import BlockSet, NodeId, NodeInfo, Source
from ralnode.host.commands.ports import EngineView
from ralnode.host.commands.showing import is_live


def live_nodes(engine: EngineView) -> list[NodeInfo]:
    """This node among them."""
    return [info for info in engine.nodes() if is_live(engine, info.id)]


def staying(engine: EngineView) -> list[NodeId]:
    """Live nodes other than this one that are not being drained."""
    return [info.id for info in live_nodes(engine) if info.id != engine.me.id and not info.draining]


def with_copies(engine: EngineView, source: Source, nodes: Iterable[NodeId], count: int) -> BlockSet:
    """Leaves with at least `count` own copies on these nodes."""
    at_least = [(1 << source.leaf_count) - 1] + [0] * count
    for node in nodes:
        owned = engine.holding(node, source.root).owned.bits
        for level in range(count, 0, -1):
            at_least[level] |= at_least[level - 1] & owned
    return BlockSet(at_least[count])


def servable(engine: EngineView, source: Source, nodes: Iterable[NodeId]) -> BlockSet:
    """Leaves that one of them can serve."""
    found = BlockSet()
    for node in nodes:
        found |= engine.holding(node, source.root).servable
    return found


def lowest_copies(engine: EngineView, sources: Sequence[Source], nodes: Sequence[NodeId]) -> int:
    """Of any leaf, on these nodes; 0 when there is no leaf at all."""
    lowest = len(nodes)
    for source in sources:
        everything = BlockSet.full(source.leaf_count)
        while lowest and everything - with_copies(engine, source, nodes, lowest):
            lowest -= 1
    return lowest if any(source.leaf_count for source in sources) else 0


def waiting(engine: EngineView) -> tuple[int, int]:
    """(count, bytes) of leaves here that have too few copies on the nodes that stay."""
    others, count, size_bytes = staying(engine), 0, 0
    for source in engine.sources():
        enough = min(source.copies, max(1, len(others)))
        held = engine.holding(engine.me.id, source.root).owned
        lacking = len(held - with_copies(engine, source, others, enough))
        count += lacking
        size_bytes += lacking * source.block_bytes
    return count, size_bytes
