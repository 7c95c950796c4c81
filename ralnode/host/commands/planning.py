"""Commands about the plan: what this node wants of each source, has, and why; and why one block is where it is."""

from __future__ import annotations

import asyncio

from ralnode.api import BlockSet, ExplainingPlanner, NodeId, Plan, Root, Source, UnavailableError, UsageError
from ralnode.dag import cid
from ralnode.host import answers
from ralnode.host.commands.lookup import find_source
from ralnode.host.commands.params import Nothing, WhyParams
from ralnode.host.commands.ports import CommandNode, EngineView
from ralnode.host.commands.showing import is_live


async def plan(node: CommandNode, _params: Nothing) -> answers.PlanAnswer:
    engine, in_force = node.engine, _plan_in_force(node.engine)
    share, node_count = _share(engine)
    status = node.status()
    return answers.PlanAnswer(
        node=engine.me.name,
        planner=status.planner,
        digest=in_force.digest.hex(),
        agreement=status.plan_agreement,
        share=share,
        node_count=node_count,
        sources=tuple(_line(engine, in_force, source, share, node_count) for source in engine.sources()),
    )


async def plan_why(node: CommandNode, params: WhyParams) -> answers.WhyAnswer:
    engine, in_force = node.engine, _plan_in_force(node.engine)
    source = find_source(engine.sources(), params.source)
    if not 0 <= params.index < source.leaf_count:
        raise UsageError(f"{source.name} has the blocks 0 to {source.leaf_count - 1}; there is no block {params.index}")
    mine = engine.holding(engine.me.id, source.root)
    return answers.WhyAnswer(
        node=engine.me.name,
        root=cid.to_text(source.root),
        name=source.name,
        index=params.index,
        leaf_count=source.leaf_count,
        planner=engine.me.planner,
        lines=await _explain(node, source, params.index),
        wanted_here=params.index in in_force.want.get(source.root, BlockSet()),
        stored_here=params.index in mine.owned,
        holders=_holders(engine, source.root, params.index, linked=False),
        linked_at=_holders(engine, source.root, params.index, linked=True),
    )


async def plan_view(node: CommandNode, _params: Nothing) -> answers.ViewAnswer:
    engine = node.engine
    view = engine.plan_view
    if view is None:
        raise UnavailableError("there is no plan yet: the node has just started; try again in a moment")
    names = {info.id: info.name for info in engine.nodes()}
    nodes = [answers.ViewNodeLine(n.id.hex(), names.get(n.id, ""), n.capacity_bytes, n.zone) for n in view.nodes]
    sources = [
        answers.ViewSourceLine(
            s.root.hex(), s.name, s.size_bytes, s.leaf_count, s.leaf_bytes, s.interior_count, s.interior_bytes, s.copies,
            s.priority,
        )
        for s in view.sources
    ]  # fmt: skip
    return answers.ViewAnswer(engine.me.planner, tuple(nodes), tuple(sources))


def _plan_in_force(engine: EngineView) -> Plan:
    if engine.plan is None:
        raise UnavailableError(
            "there is no plan yet: the node has just started, or its planner failed (ralnode status)"
        )
    return engine.plan


def _line(engine: EngineView, plan: Plan, source: Source, share: float, node_count: int) -> answers.PlanLine:
    wanted = plan.want.get(source.root, BlockSet())
    held = engine.holding(engine.me.id, source.root)
    return answers.PlanLine(
        root=cid.to_text(source.root),
        name=source.name,
        leaf_count=source.leaf_count,
        copies=source.copies,
        wanted_count=len(wanted),
        wanted_bytes=min(source.leaf_bytes, len(wanted) * source.block_bytes),
        stored_count=len(wanted & held.owned),
        missing_count=len(wanted - held.owned),
        extra_count=len(held.owned - wanted),
        linked_count=len(held.linked),
        why=_reason(source, len(wanted), share, node_count),
    )


def _reason(source: Source, wanted_count: int, share: float, node_count: int) -> str:
    """In a sentence what the count comes from; why single blocks went here is `plan_why`."""
    copies = min(source.copies, node_count)
    whole = copies * source.leaf_count
    text = f"{wanted_count:,} of {copies} × {source.leaf_count:,} copies"
    if whole:
        text += f" ({wanted_count / whole:.0%}); this node gives {share:.0%} of the capacity of {_nodes(node_count)}"
    if copies < source.copies:
        text += f"; {source.copies} copies were asked for, but only {_nodes(node_count)} can take one each"
    return text


def _nodes(count: int) -> str:
    return "1 node" if count == 1 else f"{count:,} nodes"


def _share(engine: EngineView) -> tuple[float, int]:
    """(this node's part of the planned capacity, how many nodes the plan reckons with)."""
    view = engine.plan_view
    if view is None or not view.nodes:
        return 0.0, 0
    total = sum(node.capacity_bytes for node in view.nodes)
    mine = sum(node.capacity_bytes for node in view.nodes if node.id == view.me)
    return (mine / total if total else 0.0), len(view.nodes)


async def _explain(node: CommandNode, source: Source, index: int) -> tuple[str, ...]:
    """In a thread: explaining may cost as much as planning, up to seconds."""
    planner, view = node.planner, node.engine.plan_view
    if not isinstance(planner, ExplainingPlanner) or view is None or source not in view.sources:
        return ()
    lines = await asyncio.to_thread(planner.explain, view, source.root, index)
    names = {cid.peer_id(info.id): info.name for info in node.engine.nodes()}
    return tuple(_named(line, names) for line in lines)


def _named(line: str, names: dict[str, str]) -> str:
    """Planners know nodes by id alone; people know their names."""
    for peer_id, name in names.items():
        line = line.replace(peer_id, name)
    return line


def _holders(engine: EngineView, root: Root, index: int, *, linked: bool) -> tuple[str, ...]:
    def has(node: NodeId) -> bool:
        held = engine.holding(node, root)
        return index in (held.linked if linked else held.owned)

    return tuple(info.name for info in engine.nodes() if is_live(engine, info.id) and has(info.id))
