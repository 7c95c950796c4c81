"""Seeded by the node, sticky, full: and as wasteful as the research says."""

from dataclasses import replace

import pytest

from ralnode.api import BlockSet
from ralnode.api.planning import leaf_budget_bytes, planned_bytes
from ralnode.testing.planner_measures import copies_histogram, plans_everywhere
from ralnode.testing.planner_views import make_source, make_view, node_id
from ralnode_planner_random import RandomPlanner, provide_planner

PLANNER = RandomPlanner()


def test_it_is_provided_under_its_name() -> None:
    assert provide_planner().name == "random"


def test_every_node_fills_itself_to_the_last_block() -> None:
    view = make_view([1, 2, 3], [make_source(1, 500), make_source(2, 300, priority=1)], 1.2)
    for me, plan in plans_everywhere(PLANNER, view).items():
        capacity = next(node.capacity_bytes for node in view.nodes if node.id == me)
        budget = leaf_budget_bytes(capacity, view.sources)
        assert budget - view.sources[0].block_bytes < planned_bytes(view.sources, plan.want) <= budget


def test_nodes_choose_differently() -> None:
    view = make_view([1, 1], [make_source(1, 1000)], 1.0)
    root = view.sources[0].root
    one, other = (plan.want[root] for plan in plans_everywhere(PLANNER, view).values())
    assert len(one & other) == pytest.approx(1000 / 4, abs=60)


def test_it_keeps_what_it_has_when_something_more_important_comes() -> None:
    view = make_view([1], [make_source(1, 100)], 0.5)
    mine = PLANNER.plan(view).want
    later = replace(view, sources=(*view.sources, make_source(5, 100, priority=9)), holdings={node_id(0): mine})
    root = view.sources[0].root
    assert len(mine[root] - PLANNER.plan(later).want[root]) <= 1


def test_a_smaller_disk_gives_up_blocks_and_takes_no_others() -> None:
    view = make_view([1], [make_source(1, 100)], 0.6)
    mine = PLANNER.plan(view).want
    shrunk = replace(make_view([1], [make_source(1, 100)], 0.3), holdings={node_id(0): mine})
    kept = PLANNER.plan(shrunk).want[view.sources[0].root]
    assert not kept - mine[view.sources[0].root]
    assert 0 < len(kept) < 60


def test_higher_priority_first() -> None:
    view = make_view([1], [make_source(1, 100), make_source(2, 50, priority=3)], 0.5)
    assert len(PLANNER.plan(view).want[make_source(2, 50).root]) == 50


def test_with_room_for_two_copies_one_block_in_ten_has_none() -> None:
    """The figure that speaks for `rendezvous`, which leaves none."""
    view = make_view([1, 1, 2, 4, 4, 8], [make_source(1, 20_000)], 1.54 * 64 / 63)
    none = copies_histogram(view, plans_everywhere(PLANNER, view))[0]
    assert none / 20_000 == pytest.approx(0.135, abs=0.02)


def test_it_explains_itself() -> None:
    view = make_view([1, 1], [make_source(1, 100)], 1.0)
    root = view.sources[0].root
    wanted = PLANNER.plan(view).want[root]
    inside, outside = next(iter(wanted)), next(iter(BlockSet.full(100) - wanted))
    assert PLANNER.explain(view, root, inside)[-1].startswith("This node takes it.")
    assert PLANNER.explain(view, root, outside)[-1].startswith("This node does not take it.")
    holding = replace(view, holdings={node_id(0): {root: BlockSet.of([outside])}})
    assert PLANNER.explain(holding, root, outside)[0].startswith("This node has it")
