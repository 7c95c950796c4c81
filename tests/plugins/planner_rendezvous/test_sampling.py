"""Catalogues too large to solve block by block: the terms come from a sample, the blocks from a walk in batches."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from ralnode.api import NodeId, Plan, View
from ralnode.api.mixing import block_keys, hash64
from ralnode.api.planning import leaf_budget_bytes, planned_bytes
from ralnode.testing.planner_measures import Movement, copies_histogram
from ralnode.testing.planner_views import make_source, make_view, node_id, seen_by
from ralnode_planner_rendezvous import RendezvousPlanner, lookup
from ralnode_planner_rendezvous.choosing import owners_of
from ralnode_planner_rendezvous.planner import plan_of
from ralnode_planner_rendezvous.points import points_max
from ralnode_planner_rendezvous.scheme import Scheme
from ralnode_planner_rendezvous.sieve import Sieve

SHARES = [1, 1, 2, 4, 4, 8]
PLANNER = RendezvousPlanner()
MANY = 1_200_000


def plans_for_all(view: View) -> dict[NodeId, Plan]:
    """As `plans_everywhere`, but solved once: the scheme does not depend on who asks."""
    scheme = Scheme.of(view)
    return {node.id: plan_of(scheme, seen_by(view, node.id)) for node in view.nodes}


def test_the_sample_begins_where_exactness_ends() -> None:
    limit = points_max(6)
    assert limit == 1 << 20
    assert Scheme.of(make_view(SHARES, [make_source(1, limit)], 4.0)).is_exact
    assert not Scheme.of(make_view(SHARES, [make_source(1, limit + 1)], 4.0)).is_exact
    assert [points_max(count) for count in (1, 8, 9, 64, 65, 1000)] == [
        1 << 20,
        1 << 20,
        1 << 19,
        1 << 17,
        1 << 16,
        1 << 16,
    ]


@pytest.mark.parametrize("room", [4.0, 2.3, 1.54])
def test_every_block_gets_its_copies_and_no_node_too_much(room: float) -> None:
    view = make_view(SHARES, [make_source(1, MANY)], room)
    plans = plans_for_all(view)
    for node in view.nodes:
        used = planned_bytes(view.sources, plans[node.id].want)
        assert used <= leaf_budget_bytes(node.capacity_bytes, view.sources)
    none, once, twice = copies_histogram(view, plans)
    assert none == 0
    if room >= 2.3:
        assert once <= MANY * 0.0005
    else:
        assert twice >= MANY * (room * 63 / 64 - 1 - 0.02)


def test_where_there_is_room_the_sample_and_the_exact_solution_agree() -> None:
    """Then nobody refuses anything, whatever it was solved on."""
    few, more = make_source(1, 5000), make_source(2, MANY)
    both = make_view(SHARES, [few, more], 6.0)
    alone = View(both.me, both.nodes, (few,))
    sampled, exact = plans_for_all(both), plans_for_all(alone)
    for node in both.nodes:
        assert sampled[node.id].want[few.root] == exact[node.id].want[few.root]


@pytest.mark.parametrize("dead", [0, 5])
def test_a_death_moves_the_least(dead: int) -> None:
    before = make_view(SHARES, [make_source(5, MANY)], 4.2)
    after = replace(before, nodes=tuple(node for node in before.nodes if node.id != node_id(dead)))
    assert Movement.between(after, plans_for_all(before), plans_for_all(after)).ratio <= 1.05


def test_small_sources_beside_a_large_one_are_sampled_with_their_priority() -> None:
    sources = [make_source(1, MANY), make_source(2, 40, priority=5, copies=3), make_source(3, 7, priority=-5)]
    view = make_view(SHARES, sources, 1.5)
    plans = plans_for_all(view).values()
    wanted = [sum(len(plan.want.get(source.root, ())) for plan in plans) for source in sources]
    assert wanted[1] == 120
    assert wanted[2] >= 7


@pytest.mark.parametrize(
    ("room", "copies", "zones"),
    [(4.0, 2, []), (1.5, 2, []), (3.3, 3, ["a", "b", "c", "d", "e"]), (3.0, 3, ["a", "b"]), (2.04, 2, ["a", ""])],
)
def test_the_sieve_lets_no_block_of_mine_fall_through(room: float, copies: int, zones: list[str]) -> None:
    shares = [1 + number * number % 37 for number in range(40)]
    view = make_view(shares, [make_source(1, 300_000, copies=copies)], room, zones=zones)
    scheme = Scheme.of(view)
    assert not scheme.is_exact
    keys = block_keys(np.uint64(hash64(view.sources[0].root)), np.arange(3000, dtype=np.uint64))
    steps = scheme.steps(scheme.groups[0])
    owners = owners_of(scheme.nodes, keys, copies, steps)
    for me in range(0, 40, 7):
        within = Sieve.of(scheme.nodes, me, steps).within_reach(keys)
        mine = np.flatnonzero((owners == me).any(axis=0))
        assert set(mine.tolist()) <= set(within.tolist())
        assert len(within) < len(keys)


def test_sieved_or_not_the_plan_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    view = make_view([1, 2, 3] * 10, [make_source(1, 300_000)], 2.2)
    sieved = PLANNER.plan(view)
    monkeypatch.setattr(lookup, "SIEVE_FROM_NODES", 1000)
    assert PLANNER.plan(view) == sieved


def test_a_thousand_nodes() -> None:
    view = make_view([1 + number % 9 for number in range(1000)], [make_source(1, 500_000)], 3.0)
    plan = PLANNER.plan(view)
    mine = next(node for node in view.nodes if node.id == view.me)
    expected = 2 * 500_000 * mine.capacity_bytes / sum(node.capacity_bytes for node in view.nodes)
    assert len(plan.want[view.sources[0].root]) == pytest.approx(expected, rel=0.4)
    assert plan.digest == PLANNER.plan(seen_by(view, node_id(999))).digest


def test_a_huge_catalogue_takes_bits_not_gigabytes() -> None:
    """12 million blocks: one bit per block and copy is 3 MB; the keys of all of them at once would be 96 MB."""
    view = make_view([1], [make_source(1, 12_000_000, copies=1)], 1.1)
    tracemalloc.start()
    plan = PLANNER.plan(view)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(plan.want[view.sources[0].root]) == 12_000_000
    assert peak < 80 << 20
