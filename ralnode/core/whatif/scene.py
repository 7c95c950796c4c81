"""The cluster that planners are tried on, and the clusters it becomes when machines are lost or added. Pure: chance comes from a
seed, so that the same description gives the same scene on every machine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Final

from ralnode.api import BlockSet, NodeId, PlanNode, Root, Source, View
from ralnode.api.planning import leaf_budget_bytes
from ralnode.core.placement import quantised

LEAVES_PER_NODE: Final = 174
"""Links in an interior node of UnixFS: how much metadata an invented source has."""

INTERIOR_BYTES: Final = 9000
"""Of such a node."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A node with the name that people know it by."""

    id: NodeId
    name: str
    capacity_bytes: int
    zone: str = ""


@dataclass(frozen=True, slots=True)
class Scene:
    """`title` says what has happened: as it is, without attic, with 2 more. Machines in the order of the description."""

    title: str
    machines: tuple[Machine, ...]
    sources: tuple[Source, ...]
    lost: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    holdings: Mapping[NodeId, Mapping[Root, BlockSet]] = field(default_factory=dict)

    @property
    def block_count(self) -> int:
        return sum(source.leaf_count for source in self.sources)

    @property
    def data_bytes(self) -> int:
        """Of all sources, each counted once."""
        return sum(source.leaf_bytes for source in self.sources)

    @property
    def asked_bytes(self) -> int:
        """With all copies that are asked for and can lie on different machines."""
        return sum(source.leaf_bytes * min(source.copies, len(self.machines)) for source in self.sources)

    @property
    def room_bytes(self) -> int:
        """For blocks, on all machines together."""
        return sum(leaf_budget_bytes(quantised(machine.capacity_bytes), self.sources) for machine in self.machines)

    def view(self, me: NodeId) -> View:
        """What the planner of that machine is given: capacities rounded as the engine rounds them."""
        nodes = [PlanNode(each.id, quantised(each.capacity_bytes), each.zone) for each in self.machines]
        by_root = sorted(self.sources, key=lambda source: source.root)
        return View(me, tuple(sorted(nodes, key=lambda node: node.id)), tuple(by_root), self.holdings)


def invented_machine(seed: int, name: str, capacity_bytes: int, zone: str = "") -> Machine:
    """With an id that depends on seed and name alone."""
    return Machine(_digest(seed, "node", name), name, capacity_bytes, zone)


def invented_source(
    seed: int, name: str, size_bytes: int, block_bytes: int, copies: int = 2, priority: int = 0
) -> Source:
    """With a root that depends on seed and name alone, and about as much metadata as a real one."""
    leaf_count = max(1, -(-size_bytes // max(1, block_bytes)))
    interiors = 1 + leaf_count // LEAVES_PER_NODE
    root = bytes.fromhex("01711220") + _digest(seed, "source", name)
    return Source(
        root, name, size_bytes, leaf_count, size_bytes, interiors, interiors * INTERIOR_BYTES, copies, priority
    )


def coarser(sources: Sequence[Source], blocks_max: int) -> tuple[Source, ...]:
    """The same bytes in at most about `blocks_max` blocks, so that a simulation of terabytes takes seconds. Every source
    keeps at least one block."""
    total = sum(source.leaf_count for source in sources)
    if total <= blocks_max:
        return tuple(sources)
    return tuple(replace(source, leaf_count=_scaled(source.leaf_count, blocks_max, total)) for source in sources)


def _scaled(count: int, part: int, whole: int) -> int:
    return max(1, count * part // whole) if count else 0


def chosen_to_lose(machines: Sequence[Machine], count: int, seed: int) -> tuple[str, ...]:
    """Names, in the order of `machines`."""
    names = [machine.name for machine in machines]
    drawn = set(Random(f"{seed} lose").sample(names, count))
    return tuple(name for name in names if name in drawn)


def without(scene: Scene, names: Sequence[str]) -> Scene:
    """The scene after these machines are gone."""
    left = tuple(machine for machine in scene.machines if machine.name not in names)
    return replace(scene, title=f"without {listed(names)}", machines=left, lost=tuple(names))


def with_more(scene: Scene, added: Sequence[Machine]) -> Scene:
    """The scene after these machines have come."""
    names = tuple(machine.name for machine in added)
    return replace(scene, title=f"with {listed(names)}", machines=(*scene.machines, *added), added=names)


def usual_machines(scene: Scene, count: int, seed: int) -> tuple[Machine, ...]:
    """New machines with the median capacity, each in the zone that is the smallest by then (none, if there are no zones)."""
    capacities = sorted(machine.capacity_bytes for machine in scene.machines)
    zones = {machine.zone: 0 for machine in scene.machines if machine.zone}
    for machine in scene.machines:
        if machine.zone:
            zones[machine.zone] += machine.capacity_bytes
    made, taken = [], {machine.name for machine in scene.machines}
    for number in range(1, count + 1):
        zone = min(zones, key=lambda name: (zones[name], name)) if zones else ""
        made.append(invented_machine(seed, free_name(f"new-{number}", taken), capacities[len(capacities) // 2], zone))
        if zone:
            zones[zone] += made[-1].capacity_bytes
    return tuple(made)


def free_name(wanted: str, taken: set[str]) -> str:
    """`wanted`, or that with a sign behind it; taken from then on."""
    while wanted in taken:
        wanted += "'"
    taken.add(wanted)
    return wanted


def listed(names: Sequence[str], shown_max: int = 3) -> str:
    """`attic and desk`, `40 machines`."""
    if len(names) > shown_max:
        return f"{len(names)} machines"
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def _digest(seed: int, kind: str, name: str) -> bytes:
    return hashlib.blake2b(f"{seed} {kind} {name}".encode(), digest_size=32).digest()
