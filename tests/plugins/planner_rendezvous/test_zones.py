"""Copies go to other zones where that is possible, and to the same zone rather than nowhere."""

from collections import Counter

import pytest

from ralnode.api import View
from ralnode.testing.planner_measures import copies_histogram, plans_everywhere
from ralnode.testing.planner_views import make_source, make_view
from ralnode_planner_rendezvous import RendezvousPlanner
from ralnode_planner_rendezvous.scheme import Scheme

PLANNER = RendezvousPlanner()


def zones_per_block(view: View) -> Counter[int]:
    """How many blocks lie in how many zones; nodes without a label count as zones of their own."""
    zone_of = {node.id: node.zone or node.id for node in view.nodes}
    scheme, counts = Scheme.of(view), Counter[int]()
    for source in view.sources:
        for index in range(source.leaf_count):
            owners = scheme.owners(source, index)
            counts[len({zone_of[scheme.nodes.ids[at]] for at in owners if at >= 0})] += 1
    return counts


@pytest.mark.parametrize("copies", [2, 3])
def test_copies_lie_in_as_many_zones(copies: int) -> None:
    view = make_view([3, 4, 5, 6, 4, 3], [make_source(1, 900, copies=copies)], 6.0, zones=["a", "b", "c"])
    assert zones_per_block(view) == {copies: 900}


def test_more_copies_than_zones_share_a_zone_but_never_a_node() -> None:
    view = make_view([3, 4, 5, 6], [make_source(1, 900, copies=3)], 8.0, zones=["a", "b"])
    assert zones_per_block(view) == {2: 900}
    assert copies_histogram(view, plans_everywhere(PLANNER, view)) == [0, 0, 0, 900]


def test_when_the_other_zone_is_full_a_second_copy_in_the_same_zone_is_better_than_none() -> None:
    view = make_view([1, 20, 20], [make_source(1, 900)], 4.0, zones=["a", "b", "b"])
    assert copies_histogram(view, plans_everywhere(PLANNER, view)) == [0, 0, 900]
    spread = zones_per_block(view)
    assert spread[2] == pytest.approx(900 * 4 / 41, abs=20)
    assert spread[1] == 900 - spread[2]


def test_all_in_one_zone_is_as_if_there_were_none() -> None:
    labelled = make_view([3, 4, 5], [make_source(1, 900)], 6.0, zones=["home"])
    plain = make_view([3, 4, 5], [make_source(1, 900)], 6.0)
    wants = [{me: plan.want for me, plan in plans_everywhere(PLANNER, view).items()} for view in (labelled, plain)]
    assert wants[0] == wants[1]


def test_nodes_without_a_zone_are_apart_from_each_other_and_from_the_rest() -> None:
    view = make_view([3, 4, 5, 4], [make_source(1, 900)], 6.0, zones=["a", "", "a", ""])
    assert zones_per_block(view) == {2: 900}
    without = {node.id for node in view.nodes if not node.zone}
    scheme = Scheme.of(view)
    owners = [{scheme.nodes.ids[at] for at in scheme.owners(view.sources[0], index)} for index in range(900)]
    assert without in owners


def test_a_nearly_full_cluster_keeps_the_spread_as_long_as_it_can() -> None:
    """Zone b has room for exactly one copy of everything, less a little."""
    view = make_view([5, 5, 5, 5], [make_source(1, 2000)], 2.12, zones=["a", "b"])
    assert copies_histogram(view, plans_everywhere(PLANNER, view)) == [0, 0, 2000]
    assert zones_per_block(view)[2] >= 1990


def test_losing_a_node_of_a_zone_moves_its_share_within_reason() -> None:
    view = make_view([3, 4, 5, 6, 4, 3], [make_source(1, 900)], 6.0, zones=["a", "b", "c"])
    left = View(view.me, view.nodes[1:], view.sources)
    before, after = plans_everywhere(PLANNER, view), plans_everywhere(PLANNER, left)
    lost = len(before[view.nodes[0].id].want[view.sources[0].root])
    root = view.sources[0].root
    gained = sum(len(after[node.id].want[root] - before[node.id].want[root]) for node in left.nodes)
    assert lost <= gained <= 1.25 * lost
