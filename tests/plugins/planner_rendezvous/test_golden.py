"""Plans that must never change without a new planner version: nodes of one version agree across machines and releases."""

import hashlib

import pytest

from ralnode.api import PlanNode, Source, View
from ralnode_planner_rendezvous import RendezvousPlanner

ROOTS = [bytes([1, 0x55, 0x12, 0x20]) + bytes([number]) * 32 for number in range(3)]
SOURCES = (
    Source(ROOTS[0], "a", 262_144 * 90, 90, 262_144 * 90, 1, 4_000),
    Source(ROOTS[1], "b", 262_144 * 40, 40, 262_144 * 40, 1, 2_000, copies=3, priority=2),
    Source(ROOTS[2], "c", 999, 7, 999, 1, 300, copies=1, priority=-1),
)


def view_of(capacities_mib: list[int], zones: list[str], sources: tuple[Source, ...] = SOURCES) -> View:
    nodes = tuple(
        PlanNode(bytes([number + 1]) * 32, capacity << 20, zone)
        for number, (capacity, zone) in enumerate(zip(capacities_mib, zones, strict=True))
    )
    return View(nodes[0].id, nodes, sources)


VIEWS = {
    "room to spare": view_of([20, 30, 40, 80], [""] * 4),
    "short of room": view_of([5, 9, 12, 20], [""] * 4),
    "zones": view_of([20, 30, 40, 80], ["cellar", "attic", "cellar", ""]),
    "nearly full, one large": view_of([5, 6, 43], [""] * 3, SOURCES[:1]),
    "full to the last block": view_of(
        [6, 8, 10], [""] * 3, (Source(ROOTS[1], "a", 262_144 * 46, 46, 262_144 * 46, 1, 400),)
    ),
    "on a sample": view_of(
        [200_000, 300_000, 400_000], [""] * 3, (Source(ROOTS[0], "a", 1 << 39, 1 << 21, 1 << 39, 1, 1),)
    ),
}

GOLDEN = {
    "room to spare": ("fc1127c998d97f1b020ee610215051f0", "5d2f6c8b988ffe4e8bffc6d4f36c3380"),
    "short of room": ("dc488bdb8337db79fca500810b9a6bb5", "f8a9fa72b1b54b49fd09ec7f72628e90"),
    "zones": ("1507744732df043dd48b5aaf529f6522", "7c03908c8c7edb8d703c7b2cba616a41"),
    "nearly full, one large": ("2fc472223db3866e9acce2193f44d1e5", "2a7da3798ea250aa266caaf2f9a8bc63"),
    "full to the last block": ("c0ee8a5ac90a6aab04575f61a473014c", "cfdd37004cd0e04abe243bc3171c96b3"),
    "on a sample": ("35f5e0656d6d4d44b81403ab11bfcf00", "5db35de1f98d2d23dcbff550c40442ef"),
}


def fingerprint(view: View) -> tuple[str, str]:
    plan = RendezvousPlanner().plan(view)
    described = repr(
        [sorted((root, hex(blocks.bits)) for root, blocks in part.items()) for part in (plan.want, plan.urgent)]
    )
    return plan.digest.hex(), hashlib.sha256(described.encode()).hexdigest()[:32]


@pytest.mark.parametrize("name", VIEWS)
def test_golden_plans(name: str) -> None:
    assert fingerprint(VIEWS[name]) == GOLDEN[name]


def test_a_golden_plan_in_full() -> None:
    plan = RendezvousPlanner().plan(VIEWS["room to spare"])
    assert list(plan.want[ROOTS[1]]) == [
        0, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 17, 18, 19, 20, 22, 25, 26, 27, 31, 34, 35, 36, 37, 39,
    ]  # fmt: skip
    assert list(plan.urgent[ROOTS[1]]) == [5, 9, 14, 17, 19, 34]
