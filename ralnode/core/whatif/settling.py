"""Lets a planner plan for every machine of a scene: once, or, for one that looks at holdings, round after round, each machine
having by then what it wanted in the round before, until nothing changes. Pure: the clock is an argument.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from ralnode.api import BlockSet, NodeId, Plan, Planner, PluginError, Source, View
from ralnode.core.whatif.measures import Wants
from ralnode.core.whatif.scene import Scene

ROUNDS_MAX: Final = 200
"""`rarest` takes 2 % of its room a round, so it needs 50 to fill a cluster; one that has not settled by then may never."""


@dataclass(slots=True)
class Settled:
    """What every machine wants in the end. `seconds` has the processor time of every single plan."""

    wants: dict[NodeId, Wants] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    rounds: int = 0
    is_settled: bool = True
    agreed: bool = True
    """In every round all machines gave the same digest."""
    invented_count: int = 0
    """Blocks wanted that do not exist; they are left out of `wants`."""


def settle(
    planner: Planner, scene: Scene, holdings: Mapping[NodeId, Wants], clock: Callable[[], float], rounds_max: int
) -> Settled:
    """Raises PluginError when the planner raises or returns what is no plan."""
    found = Settled(wants=dict(holdings))
    for _ in range(rounds_max if planner.needs_holdings else 1):
        held = {machine.id: found.wants.get(machine.id, {}) for machine in scene.machines}
        before, found.wants = held, _round(planner, scene, held if planner.needs_holdings else {}, clock, found)
        found.rounds += 1
        if found.wants == before:
            return found
    found.is_settled = not planner.needs_holdings
    return found


def _round(
    planner: Planner, scene: Scene, held: Mapping[NodeId, Wants], clock: Callable[[], float], found: Settled
) -> dict[NodeId, Wants]:
    wants: dict[NodeId, Wants] = {}
    digests = set()
    base = replace(scene, holdings=held).view(b"")
    found.invented_count = 0
    for machine in scene.machines:
        view = replace(base, me=machine.id)
        began = clock()
        plan = _planned(planner, view)
        found.seconds.append(clock() - began)
        digests.add(plan.digest)
        wants[machine.id] = _existing(view.sources, plan)
        found.invented_count += sum(map(len, plan.want.values())) - sum(map(len, wants[machine.id].values()))
    found.agreed = found.agreed and len(digests) <= 1
    return wants


def _planned(planner: Planner, view: View) -> Plan:
    try:
        plan: object = planner.plan(view)
    except Exception as error:
        raise PluginError(f"planner {planner.name!r} failed: {type(error).__name__}: {error}") from error
    if not isinstance(plan, Plan):
        raise PluginError(f"planner {planner.name!r} returned a {type(plan).__name__}, not a Plan")
    if not all(isinstance(blocks, BlockSet) for blocks in plan.want.values()):
        raise PluginError(f"planner {planner.name!r}: its want does not map roots to BlockSets")
    return plan


def _existing(sources: tuple[Source, ...], plan: Plan) -> dict[bytes, BlockSet]:
    """What it wants of blocks that there are; sources of which it wants none are left out, so that wants can be compared."""
    kept = {}
    for source in sources:
        wanted = plan.want.get(source.root)
        if wanted:
            kept[source.root] = wanted & BlockSet.full(source.leaf_count)
    return {root: blocks for root, blocks in kept.items() if blocks}
