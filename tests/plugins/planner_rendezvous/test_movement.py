"""Bytes that move when the cluster changes, against the least that any planner must move."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from ralnode.api import PlanNode, View
from ralnode.testing.planner_measures import Movement, copies_histogram, plans_everywhere
from ralnode.testing.planner_views import make_source, make_view, node_id
from ralnode_planner_rendezvous import RendezvousPlanner

SHARES = [1, 1, 2, 4, 4, 8]
PLANNER = RendezvousPlanner()


def cluster(seed: int, room: float) -> View:
    return make_view(SHARES, [make_source(10 * seed + n, 2500) for n in range(4)], room)


def without(view: View, number: int) -> View:
    return replace(view, nodes=tuple(node for node in view.nodes if node.id != node_id(number)))


def resized(view: View, number: int, factor: float) -> View:
    """Node `number` declares another capacity; 2 to 5 are the larger ones."""
    return replace(
        view,
        nodes=tuple(
            replace(node, capacity_bytes=int(node.capacity_bytes * factor)) if node.id == node_id(number) else node
            for node in view.nodes
        ),
    )


def joined(view: View) -> View:
    mean = sum(node.capacity_bytes for node in view.nodes) // len(view.nodes)
    return replace(view, nodes=tuple(sorted((*view.nodes, PlanNode(node_id(77), mean)), key=lambda node: node.id)))


def moved(before: View, after: View) -> Movement:
    return Movement.between(after, plans_everywhere(PLANNER, before), plans_everywhere(PLANNER, after))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("dead", range(6))
def test_the_death_of_one_of_six_moves_what_was_lost_and_no_more(seed: int, dead: int) -> None:
    before = cluster(seed, room=4.2)
    after = without(before, dead)
    assert copies_histogram(after, plans_everywhere(PLANNER, after)) == [0, 0, 10_000]
    assert moved(before, after).ratio <= 1.05


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "change",
    [
        joined,
        lambda view: resized(view, 3, 2.0),
        lambda view: resized(view, 4, 0.5),
        lambda view: resized(view, 0, 1.05),
    ],
    ids=["a node joins", "a node doubles", "a node is halved", "a small node gains 5 %"],
)
def test_with_room_to_spare_changes_move_the_least(seed: int, change: Callable[[View], View]) -> None:
    before = cluster(seed, room=5.0)
    assert moved(before, change(before)).ratio <= 1.01


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("change", "bound"),
    [(joined, 1.35), (lambda view: resized(view, 3, 1.1), 2.0), (lambda view: without(view, 1), 1.5)],
    ids=["a node joins", "a node grows", "a small node dies"],
)
def test_nearly_full_it_stays_near_the_least(seed: int, change: Callable[[View], View], bound: float) -> None:
    before = cluster(seed, room=2.5)
    assert moved(before, change(before)).ratio <= bound


def test_a_new_source_moves_nothing_old_while_there_is_room() -> None:
    before = cluster(0, room=5.0)
    after = replace(before, sources=(*before.sources, make_source(999, 300, priority=3)))
    assert moved(before, after).moved_bytes == 2 * after.sources[-1].leaf_bytes


def test_coming_back_restores_the_plan() -> None:
    before = cluster(1, room=3.0)
    away = without(before, 4)
    assert plans_everywhere(PLANNER, away) != plans_everywhere(PLANNER, before)
    assert plans_everywhere(PLANNER, cluster(1, room=3.0)) == plans_everywhere(PLANNER, before)
