"""What is given up first when space is short: further copies of low priority, never a first copy of anything before."""

import pytest

from ralnode.testing.planner_measures import copies_per_block, plans_everywhere
from ralnode.testing.planner_views import make_source, make_view
from ralnode_planner_rendezvous import RendezvousPlanner
from ralnode_planner_rendezvous.phases import COPIES_MAX, TIERS_MAX, Phase, groups_of, phases_of

PLANNER = RendezvousPlanner()


def test_first_copies_of_all_come_before_second_copies_of_any() -> None:
    groups = groups_of([make_source(1, 5, priority=7, copies=3), make_source(2, 5, priority=-1)], node_count=9)
    assert phases_of(groups, zone_count=9, node_count=9) == (
        Phase(0, 0, False), Phase(1, 0, False), Phase(0, 1, False), Phase(0, 2, False), Phase(1, 1, False),
    )  # fmt: skip


def test_shared_zones_double_the_later_phases_while_there_are_zones_left() -> None:
    groups = groups_of([make_source(1, 5, copies=3)], node_count=9)
    assert phases_of(groups, zone_count=2, node_count=9) == (
        Phase(0, 0, False), Phase(0, 1, True), Phase(0, 1, False), Phase(0, 2, False),
    )  # fmt: skip


def test_the_number_of_phases_is_bounded() -> None:
    sources = [make_source(n, 5, priority=n, copies=n) for n in range(500)]
    groups = groups_of(sources, node_count=400)
    assert len(phases_of(groups, zone_count=20, node_count=400)) <= TIERS_MAX * COPIES_MAX * 2


def test_copies_beyond_the_nodes_are_not_planned() -> None:
    assert [group.copies for group in groups_of([make_source(1, 5, copies=9)], node_count=4)] == [4]


@pytest.mark.parametrize(
    ("room", "expected"),
    [
        (2.7, [(2, 2), (2, 2), (2, 2)]),
        (1.5, [(2, 2), (1, 2), (1, 1)]),
        (1.2, [(1, 2), (1, 1), (1, 1)]),
        (0.6, [(1, 1), (0, 1), (0, 0)]),
    ],
    ids=["plenty", "copies are short", "hardly one copy", "not one copy"],
)
def test_the_lower_priority_loses_first(room: float, expected: list[tuple[int, int]]) -> None:
    """`expected`: fewest and most copies of a block of the high, the middle and the low source."""
    sources = [make_source(n, 1000, priority=priority) for n, priority in ((1, 9), (2, 5), (3, 0))]
    view = make_view([2, 3, 3, 4], sources, room)
    plans = plans_everywhere(PLANNER, view)
    counts = [copies_per_block(source, plans.values()) for source in sources]
    assert [(count.min(), count.max()) for count in counts] == expected


def test_priorities_without_shortage_change_nothing() -> None:
    plain = make_view([2, 3, 4], [make_source(n, 300) for n in (1, 2)], 6.0)
    ranked = make_view([2, 3, 4], [make_source(n, 300, priority=n) for n in (1, 2)], 6.0)
    wants = [{me: plan.want for me, plan in plans_everywhere(PLANNER, view).items()} for view in (plain, ranked)]
    assert wants[0] == wants[1]
