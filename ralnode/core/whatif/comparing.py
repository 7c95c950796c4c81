"""Compares planners: each plans for every scene, and what comes out is measured. The dataclasses are what `--json` prints."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ralnode.api import NodeId, Planner, PluginError
from ralnode.api.planning import leaf_budget_bytes, planned_bytes
from ralnode.core.placement import quantised
from ralnode.core.whatif.measures import Movement, Wants, histogram, in_one_zone, left_without_copy, unavoidable
from ralnode.core.whatif.scene import Scene, listed
from ralnode.core.whatif.settling import Settled, settle


@dataclass(frozen=True, slots=True)
class SimulatedNode:
    name: str
    capacity_bytes: int
    zone: str
    room_bytes: int
    """For blocks: less metadata and the margin for the index."""


@dataclass(frozen=True, slots=True)
class Situation:
    """A scene as it is shown."""

    title: str
    nodes: tuple[SimulatedNode, ...]
    lost: tuple[str, ...]
    added: tuple[str, ...]
    unavoidable_count: int
    """Blocks with too few copies that no planner can do better than, for lack of room."""


@dataclass(frozen=True, slots=True)
class Figures:
    """One planner in one situation. Lists of nodes are in the order of the situation's."""

    planner: str
    situation: str
    histogram: tuple[int, ...]
    """Element c: blocks that c nodes want."""
    below_count: int
    """Blocks with fewer copies than their source asks for (or than there are nodes)."""
    one_zone_count: int
    """Blocks whose two or more copies all lie in one zone; 0 without zones."""
    wanted_bytes: tuple[int, ...]
    fullness: tuple[float, ...]
    """Wanted, as a part of the room for blocks."""
    moved_bytes: int
    """That nodes newly want because of the change; 0 in the situation as it is."""
    bound_bytes: int
    """No plan that loads the nodes like this one can move less."""
    lost_count: int
    """Blocks all copies of which were on the machines that are lost."""
    rounds: int
    """Plans per node until nothing changed; 1 for a planner that does not look at holdings."""
    plan_count: int
    cpu_seconds_median: float
    cpu_seconds_max: float
    remarks: tuple[str, ...]
    """What is wrong with the plans, one sentence each."""

    @property
    def ratio(self) -> float:
        """Bytes moved against the least."""
        return Movement(self.moved_bytes, self.bound_bytes).ratio

    @property
    def spread(self) -> float:
        """Between the fullest and the emptiest node."""
        return max(self.fullness, default=0.0) - min(self.fullness, default=0.0)


@dataclass(frozen=True, slots=True)
class Failure:
    planner: str
    reason: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """`figures` planner by planner, each through all situations; a planner that failed has none."""

    planners: tuple[str, ...]
    situations: tuple[Situation, ...]
    figures: tuple[Figures, ...]
    failures: tuple[Failure, ...]
    source_count: int
    data_bytes: int
    asked_bytes: int
    """With all copies, in the first situation."""
    room_bytes: int
    """For blocks, in the first situation."""
    block_count: int
    real_block_count: int
    """More than `block_count` when blocks were made larger so that the simulation is quick."""
    seed: int

    def of(self, situation: str) -> list[Figures]:
        return [figures for figures in self.figures if figures.situation == situation]


@dataclass(frozen=True, slots=True)
class Question:
    """`scenes`: first the cluster as it is, then what it may become. `clock` gives seconds of processor time."""

    scenes: tuple[Scene, ...]
    clock: Callable[[], float]
    rounds_max: int
    real_block_count: int
    seed: int


def compare(planners: Mapping[str, Planner], question: Question) -> Comparison:
    """A planner that fails is told of among the failures; the others are compared all the same."""
    first = question.scenes[0]
    figures: list[Figures] = []
    failures = []
    for name, planner in planners.items():
        try:
            figures += _of_planner(name, planner, question)
        except PluginError as error:
            failures.append(Failure(name, str(error)))
    return Comparison(
        planners=tuple(planners), situations=tuple(_situation(scene) for scene in question.scenes),
        figures=tuple(figures), failures=tuple(failures), source_count=len(first.sources), data_bytes=first.data_bytes,
        asked_bytes=first.asked_bytes, room_bytes=first.room_bytes, block_count=first.block_count,
        real_block_count=question.real_block_count, seed=question.seed,
    )  # fmt: skip


def _of_planner(name: str, planner: Planner, question: Question) -> list[Figures]:
    """Every change begins where the planner has left the cluster as it is."""
    first, *changes = question.scenes
    before = settle(planner, first, {}, question.clock, question.rounds_max)
    made = [_figures(name, first, before, None)]
    for scene in changes:
        after = settle(planner, scene, before.wants, question.clock, question.rounds_max)
        made.append(_figures(name, scene, after, before.wants))
    return made


def _figures(name: str, scene: Scene, found: Settled, before: Mapping[NodeId, Wants] | None) -> Figures:
    wanted = [planned_bytes(scene.sources, found.wants[machine.id]) for machine in scene.machines]
    rooms = [node.room_bytes for node in _nodes(scene)]
    moved = Movement(0, 0) if before is None else Movement.of(scene.sources, before, found.wants)
    zones = {machine.id: machine.zone for machine in scene.machines}
    return Figures(
        planner=name, situation=scene.title, histogram=tuple(histogram(scene.sources, found.wants.values())),
        below_count=_below(scene, found.wants),
        one_zone_count=in_one_zone(scene.sources, found.wants, zones) if any(zones.values()) else 0,
        wanted_bytes=tuple(wanted), fullness=tuple(_part(some, room) for some, room in zip(wanted, rooms, strict=True)),
        moved_bytes=moved.moved_bytes, bound_bytes=moved.bound_bytes,
        lost_count=left_without_copy(scene.sources, before, zones) if before is not None else 0,
        rounds=found.rounds, plan_count=len(found.seconds), cpu_seconds_median=statistics.median(found.seconds or [0.0]),
        cpu_seconds_max=max(found.seconds, default=0.0), remarks=tuple(_remarks(scene, found, wanted)),
    )  # fmt: skip


def _below(scene: Scene, wants: Mapping[NodeId, Wants]) -> int:
    """Grouped by what is asked for, since a histogram over all sources cannot tell."""
    below = 0
    for asked in {min(source.copies, len(scene.machines)) for source in scene.sources}:
        alike = [source for source in scene.sources if min(source.copies, len(scene.machines)) == asked]
        below += sum(histogram(alike, wants.values())[: max(0, asked)])
    return below


def _remarks(scene: Scene, found: Settled, wanted: Sequence[int]) -> list[str]:
    remarks = []
    if not found.is_settled:
        remarks.append(f"it still changed its plans after {found.rounds} rounds")
    if not found.agreed:
        remarks.append("nodes with equal views gave different digests")
    if found.invented_count:
        remarks.append(f"it wants blocks that do not exist ({found.invented_count:,})")
    interior_bytes = sum(source.interior_bytes for source in scene.sources)
    over = [
        machine.name
        for machine, some in zip(scene.machines, wanted, strict=True)
        if some > max(0, quantised(machine.capacity_bytes) - interior_bytes)
    ]
    if over:
        remarks.append(f"it wants more than there is room for on {listed(over)}")
    return remarks


def _situation(scene: Scene) -> Situation:
    nodes = tuple(_nodes(scene))
    lacking = unavoidable(scene.sources, [node.room_bytes for node in nodes])
    return Situation(scene.title, nodes, scene.lost, scene.added, lacking)


def _nodes(scene: Scene) -> list[SimulatedNode]:
    return [
        SimulatedNode(
            each.name, each.capacity_bytes, each.zone, leaf_budget_bytes(quantised(each.capacity_bytes), scene.sources)
        )
        for each in scene.machines
    ]


def _part(some: int, whole: int) -> float:
    if whole <= 0:
        return 1.0 if some > 0 else 0.0
    return some / whole
