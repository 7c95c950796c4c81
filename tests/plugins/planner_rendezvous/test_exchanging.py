"""Moving blocks along a chain: whatever it does, no node overflows, no block is twice on a node or in fewer zones."""

import random

import numpy as np
import pytest

from ralnode.testing.planner_views import make_source, make_view, node_id
from ralnode_planner_rendezvous.choosing import NOBODY
from ralnode_planner_rendezvous.exchanging import WORK_MAX, Exchange
from ralnode_planner_rendezvous.nodes import Nodes

COPIES = 3
NODES = 6


def nodes_of(count: int, zones: list[str]) -> Nodes:
    return Nodes.of(make_view([1] * count, [make_source(1, 1000)], 6.0, zones=zones))


def zones_of(nodes: Nodes, owners: np.ndarray) -> list[int]:
    return [len({int(nodes.zones[at]) for at in column if at != NOBODY}) for column in owners.T]


def copies_of(owners: np.ndarray) -> list[int]:
    return [len({int(at) for at in column if at != NOBODY}) for column in owners.T]


@pytest.mark.parametrize("zones", [[], ["a", "b"], ["a", "b", "c"]], ids=len)
@pytest.mark.parametrize("seed", range(40))
def test_chains_never_break_a_rule(seed: int, zones: list[str]) -> None:
    """Starts from a random placement in which one large node has all the room and has most first copies."""
    dice = random.Random(seed)
    nodes = nodes_of(NODES, zones)
    weights = np.array([dice.choice([1, 1, 2, 5]) for _ in range(60)], dtype=np.int64)
    owners = np.full((COPIES, 60), NOBODY, dtype=np.int16)
    for block in range(60):
        first = 0 if dice.random() < 0.6 else dice.randrange(1, NODES)
        owners[:, block] = [first, *dice.sample([node for node in range(NODES) if node != first], 2)]
        if dice.random() < 0.5:
            owners[1, block] = NOBODY
    rooms = np.array([60, 0, 0, 1, 0, 0], dtype=np.int64)
    left_over = np.flatnonzero(owners[1] == NOBODY)
    rooms_before, before, loads = rooms.copy(), owners.copy(), loads_of(owners, weights)

    Exchange(nodes, weights, owners, rooms).place(left_over, 1, WORK_MAX)

    assert (rooms >= 0).all()
    assert (rooms + loads_of(owners, weights) == rooms_before + loads).all()
    assert copies_of(owners) == [int((column != NOBODY).sum()) for column in owners.T]
    assert all(now >= then for now, then in zip(copies_of(owners), copies_of(before), strict=True))
    assert all(now >= then for now, then in zip(zones_of(nodes, owners), zones_of(nodes, before), strict=True))
    assert sum(copies_of(owners)) > sum(copies_of(before))


def loads_of(owners: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.array([weights[(owners == node).any(axis=0)].sum() for node in range(NODES)])


def test_a_chain_of_two_moves_is_found() -> None:
    """Node 0 has room but has the block already; what node 1 has, node 0 has too; node 2 has something for node 0."""
    owners = np.array([[0, 0, 2], [NOBODY, 1, NOBODY]], dtype=np.int16)
    rooms = np.array([1, 0, 0], dtype=np.int64)
    Exchange(nodes_of(3, []), np.ones(3, dtype=np.int64), owners, rooms).place(np.array([0]), 1, WORK_MAX)
    assert owners.tolist() == [[0, 0, 0], [2, 1, NOBODY]]
    assert rooms.tolist() == [0, 0, 0]


def zoned(labels: str) -> tuple[Nodes, list[int]]:
    """One node per letter, in the zone of that name; and their positions."""
    nodes = Nodes.of(make_view([1] * len(labels), [make_source(1, 1000)], 6.0, zones=list(labels)))
    return nodes, [nodes.ids.index(node_id(number)) for number in range(len(labels))]


def test_a_block_may_leave_a_zone_that_keeps_another_copy() -> None:
    """The only way: block 1 goes from a1 or a2 to b1, although zone b has it on b2; zone a keeps it."""
    nodes, (a1, a2, b1, b2, _) = zoned("aabbc")
    owners = np.array([[b1, a1], [b2, a2], [NOBODY, b2]], dtype=np.int16)
    rooms = np.zeros(5, dtype=np.int64)
    rooms[b1] = 1
    Exchange(nodes, np.ones(2, dtype=np.int64), owners, rooms).place(np.array([0]), 2, WORK_MAX)
    assert owners[2, 0] in (a1, a2)
    assert b1 in owners[:, 1]


def test_the_last_copy_in_a_zone_stays_there() -> None:
    """Block 1 has just left one node of zone a; now block 2 could only get a copy if block 1 left the other one too."""
    nodes, (a1, a2, b1, b2, b3) = zoned("aabbb")
    owners = np.array(
        [[b1, a1, b3], [b2, a2, b1], [NOBODY, b2, b2], [NOBODY, NOBODY, NOBODY], [NOBODY, NOBODY, NOBODY]],
        dtype=np.int16,
    )
    rooms = np.zeros(5, dtype=np.int64)
    rooms[b1] = 1
    exchange = Exchange(nodes, np.ones(3, dtype=np.int64), owners, rooms)
    exchange.place(np.array([0]), 2, WORK_MAX)
    emptied = int(owners[2, 0])
    assert emptied in (a1, a2)
    settled = owners.copy()
    exchange._shift(2, emptied, 1)
    owners[3, 2] = settled[3, 2] = emptied
    rooms[:] = 0
    rooms[b3] = 1
    exchange.place(np.array([2]), 4, WORK_MAX)
    assert owners.tolist() == settled.tolist()


def test_without_a_way_nothing_changes() -> None:
    owners = np.array([[0, 0], [NOBODY, 1]], dtype=np.int16)
    rooms = np.array([5, 0], dtype=np.int64)
    Exchange(nodes_of(2, []), np.ones(2, dtype=np.int64), owners, rooms).place(np.array([0]), 1, WORK_MAX)
    assert owners.tolist() == [[0, 0], [NOBODY, 1]]
    assert rooms.tolist() == [5, 0]


def test_the_work_is_bounded() -> None:
    owners = np.full((2, 4000), NOBODY, dtype=np.int16)
    owners[0, :2000] = 0
    owners[0, 2000:] = 1
    rooms = np.array([2000, 0, 0], dtype=np.int64)
    left = Exchange(nodes_of(3, []), np.ones(4000, dtype=np.int64), owners, rooms).place(np.arange(2000), 1, 100_000)
    assert left < 0
    assert 0 < (owners[1] != NOBODY).sum() < 50
