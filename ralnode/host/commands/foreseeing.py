"""The dry run: what a change would move, what it would put at risk, whether it would be refused. Changes nothing.

Asked of the node that would be changed, since only that node knows what its store uses. What moves is told by the planner
itself, run for every node with the view as it is and as it would be.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from ralnode.api import NodeId, Plan, Planner, PlanNode, UsageError, View
from ralnode.core.health import size_text
from ralnode.core.placement import quantised
from ralnode.core.whatif.measures import Movement, wants_of
from ralnode.host.answers import Foresight
from ralnode.host.commands import standing
from ralnode.host.commands.lookup import find_source
from ralnode.host.commands.params import ForeseeParams
from ralnode.host.commands.ports import CommandNode

PLANNING_SECONDS_MAX: Final = 4.0
"""For all plans of a dry run; what was found by then is a lower bound."""

COPYING_BYTES_PER_SECOND: Final = 100_000_000
"""What a gigabit network and a disk bring; for the estimate of time."""


async def foresee(node: CommandNode, params: ForeseeParams) -> Foresight:
    return await _OF[params.action](node, params)


async def _remove(node: CommandNode, params: ForeseeParams) -> Foresight:
    engine = node.engine
    found = find_source(engine.sources(), params.source)
    holders = [
        (info, len(engine.holding(info.id, found.root).owned))
        for info in engine.nodes()
        if engine.holding(info.id, found.root).owned
    ]
    freed = sum(count * found.block_bytes for _info, count in holders)
    nodes = "1 node" if len(holders) == 1 else f"{len(holders)} nodes"
    lines = (
        f"Removes {found.name} ({size_text(found.size_bytes)}) from the cluster, on every node.",
        f"Frees about {size_text(freed)} on {nodes}.",
        "Files that were added by reference stay where they are.",
    )
    return Foresight("remove", found.name, lines, ("It cannot be undone.",))


async def _capacity(node: CommandNode, params: ForeseeParams) -> Foresight:
    if params.capacity_bytes is None:
        raise UsageError("a dry run of a new capacity needs the capacity. Nothing was changed")
    me, usage, new = node.engine.me, node.storage.usage(), params.capacity_bytes
    needed = usage.used_bytes + usage.reserved_bytes
    lines = [f"{me.name} would give {size_text(new)} instead of {size_text(usage.capacity_bytes)}."]
    if new < needed:
        refusal = f"{me.name} uses {size_text(needed)}; choose at least that much, or remove a source first."
        return Foresight("capacity", me.name, tuple(lines), refusal=refusal)
    warnings = []
    if new - needed > usage.disk_free_bytes:
        warnings.append(f"Its disk has only {size_text(usage.disk_free_bytes)} free.")
    return await _with_moves(
        node, Foresight("capacity", me.name, tuple(lines), tuple(warnings)), lambda view: _resized(view, me.id, new)
    )


async def _drain(node: CommandNode, _params: ForeseeParams) -> Foresight:
    engine, me = node.engine, node.engine.me
    others = [info for info in standing.live_nodes(engine) if info.id != me.id and not info.draining]
    lines = (
        f"{me.name} gets no new blocks; the other nodes copy what it has, while it goes on serving.",
        "When all of it has its copies elsewhere, the node can be stopped without loss. Until then it can be undone.",
    )
    if not others:
        refusal = "There is no other node that could take its blocks."
        return Foresight("drain", me.name, lines, refusal=refusal)
    warnings = []
    _count, needed_bytes = standing.waiting(engine)
    free_bytes = sum(max(0, info.capacity_bytes - info.used_bytes) for info in others)
    if needed_bytes > free_bytes:
        warnings.append(
            f"The other nodes have {size_text(free_bytes)} free, and {size_text(needed_bytes)} lack copies."
        )
    copies_max = max((source.copies for source in engine.sources()), default=0)
    if copies_max > len(others):
        nodes = "1 other node" if len(others) == 1 else f"{len(others)} other nodes"
        warnings.append(f"With {nodes} there cannot be {copies_max} copies on different machines.")
    return await _with_moves(
        node, Foresight("drain", me.name, lines, tuple(warnings)), lambda view: _without(view, me.id)
    )


async def _undrain(node: CommandNode, _params: ForeseeParams) -> Foresight:
    me = node.engine.me
    lines = (f"{me.name} takes its share again.",)
    back = PlanNode(me.id, quantised(me.capacity_bytes), me.zone)
    return await _with_moves(
        node,
        Foresight("undrain", me.name, lines),
        lambda view: replace(view, nodes=_sorted([*_without(view, me.id).nodes, back])),
    )


async def _stop(node: CommandNode, params: ForeseeParams) -> Foresight:
    engine, me = node.engine, node.engine.me
    others = [info.id for info in standing.live_nodes(engine) if info.id != me.id]
    lost, names = 0, []
    for source in engine.sources():
        mine = engine.holding(me.id, source.root).servable
        only_here = len(mine - standing.servable(engine, source, others))
        lost += only_here
        names += [source.name] if only_here else []
    share = sum(len(engine.holding(me.id, s.root).owned) * s.block_bytes for s in engine.sources())
    lines = [f"{me.name} stops; it has to be started on its own machine."]
    if params.away_minutes:
        lines.append(f"The cluster expects it back within {params.away_minutes:g} min, and moves nothing meanwhile.")
    elif others and share:
        lines.append(f"If it stays away, the others copy what it has again: {size_text(share)}, {_duration(share)}.")
    warnings = []
    if lost:
        shown = ", ".join(names[:3]) + (" …" if len(names) > 3 else "")
        warnings.append(f"{lost:,} blocks are on no other live node: these cannot be read while it is away: {shown}.")
    copies = standing.lowest_copies(engine, engine.sources(), others)
    return Foresight(
        "stop", me.name, tuple(lines), tuple(warnings), copies_min=copies, unreachable_count=lost,
        moved_bytes=0 if params.away_minutes or not others else share,
    )  # fmt: skip


_OF: Final[Mapping[str, Callable[[CommandNode, ForeseeParams], Awaitable[Foresight]]]] = {
    "remove": _remove,
    "capacity": _capacity,
    "drain": _drain,
    "undrain": _undrain,
    "stop": _stop,
}


async def _with_moves(node: CommandNode, found: Foresight, change: Callable[[View], View]) -> Foresight:
    """With what would be copied, by the planner's own account."""
    engine = node.engine
    live = [info.id for info in standing.live_nodes(engine)]
    copies = standing.lowest_copies(engine, engine.sources(), live)
    view = engine.plan_view
    if view is None or not view.sources:
        return replace(found, copies_min=copies)
    after = change(view)
    moved, is_whole = await asyncio.to_thread(_moved_bytes, node.planner, view, after)
    line = "Nothing moves." if not moved and is_whole else f"Copies {_at_least(is_whole)}{size_text(moved)}"
    if moved or not is_whole:
        line += f", {_duration(moved)}; nothing is deleted before, copies are never fewer than now ({copies})."
    return replace(found, lines=(*found.lines, line), moved_bytes=moved, is_moved_least=not is_whole, copies_min=copies)


def _moved_bytes(planner: Planner, before: View, after: View) -> tuple[int, bool]:
    """(bytes, whether all nodes were planned for). In a thread."""
    deadline = time.monotonic() + PLANNING_SECONDS_MAX
    old: dict[NodeId, Plan] = {}
    new: dict[NodeId, Plan] = {}
    for node in after.nodes:
        if new and time.monotonic() > deadline:
            break
        old[node.id] = planner.plan(replace(before, me=node.id))
        new[node.id] = planner.plan(replace(after, me=node.id))
    moved = Movement.of(before.sources, wants_of(old), wants_of(new)).moved_bytes
    return moved, len(new) == len(after.nodes)


def _resized(view: View, node: NodeId, capacity_bytes: int) -> View:
    nodes = [replace(n, capacity_bytes=quantised(capacity_bytes)) if n.id == node else n for n in view.nodes]
    return replace(view, nodes=_sorted(nodes))


def _without(view: View, node: NodeId) -> View:
    return replace(view, nodes=tuple(each for each in view.nodes if each.id != node))


def _sorted(nodes: Sequence[PlanNode]) -> tuple[PlanNode, ...]:
    return tuple(sorted(nodes, key=lambda each: each.id))


def _at_least(is_whole: bool) -> str:
    return "about " if is_whole else "at least "


def _duration(size_bytes: int) -> str:
    seconds = size_bytes / COPYING_BYTES_PER_SECOND
    if seconds < 90:
        return f"about {max(1, round(seconds))} s at 100 MB/s"
    return (
        f"about {seconds / 60:.0f} min at 100 MB/s" if seconds < 5400 else f"about {seconds / 3600:.1f} h at 100 MB/s"
    )
