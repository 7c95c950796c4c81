"""`ralnode plan --why`: what the lines say is what the plan does."""

import pytest

from ralnode.api import View
from ralnode.dag import cid
from ralnode.testing.planner_measures import plans_everywhere
from ralnode.testing.planner_views import make_source, make_view, node_id, seen_by, source_root
from ralnode_planner_rendezvous import RendezvousPlanner
from ralnode_planner_rendezvous.scheme import Scheme

PLANNER = RendezvousPlanner()


def why(view: View, index: int) -> list[str]:
    return list(PLANNER.explain(view, view.sources[0].root, index))


@pytest.mark.parametrize("room", [5.0, 1.5])
def test_the_last_line_says_whether_this_node_keeps_it(room: float) -> None:
    view = make_view([1, 2, 3, 5], [make_source(1, 30)], room)
    for me, plan in plans_everywhere(PLANNER, view).items():
        wanted = plan.want[view.sources[0].root]
        for index in range(30):
            last = why(seen_by(view, me), index)[-1]
            assert last.startswith("This node keeps it, as copy" if index in wanted else "This node does not keep it: ")


def test_copies_are_named_with_their_nodes() -> None:
    view = make_view([1, 2, 3, 5], [make_source(1, 30)], 5.0)
    scheme = Scheme.of(view)
    for index in range(30):
        lines = why(view, index)
        for copy, owner in enumerate(scheme.owners(view.sources[0], index)):
            assert any(
                line.startswith(f"Copy {copy + 1} goes to {cid.peer_id(scheme.nodes.ids[owner])}.") for line in lines
            )


def test_a_full_node_is_named_as_full() -> None:
    view = make_view([1, 20, 20], [make_source(1, 200)], 2.2)
    full = cid.peer_id(node_id(0))
    assert any(f"{full} is full" in line for index in range(200) for line in why(view, index))


def test_a_zone_that_is_passed_over_is_named() -> None:
    view = make_view([5, 5, 5], [make_source(1, 50)], 6.0, zones=["cellar", "cellar", "attic"])
    lines = [line for index in range(50) for line in why(view, index)]
    assert any("is in zone cellar like copy 1" in line for line in lines)
    assert not any("is in zone attic" in line for line in lines)


def test_a_pull_is_said() -> None:
    view = make_view([1, 1, 2, 4, 4, 8], [make_source(1, 400)], 2.1)
    shown = [line for index in range(400) for line in why(view, index)]
    assert any("times nearer, since it has room that others lack" in line for line in shown)


def test_a_node_outside_is_told_so() -> None:
    view = make_view([1, 2, 3], [make_source(1, 30)], 5.0)
    assert why(seen_by(view, node_id(50)), 0)[-1].startswith("This node is not among the nodes planned for")


def test_a_node_without_room_is_told_so() -> None:
    view = make_view([0, 2, 3], [make_source(1, 30)], 5.0)
    lines = why(view, 0)
    assert lines[-1] == "This node has no room for blocks, so it keeps none."
    assert any(line.startswith("No room for blocks beside the metadata: " + cid.peer_id(node_id(0))) for line in lines)


def test_what_does_not_exist_is_said_plainly() -> None:
    view = make_view([1, 2, 3], [make_source(1, 30)], 5.0)
    assert why(view, 30) == ["source 1 has no block 30: it has 30."]
    assert why(view, -1) == ["source 1 has no block -1: it has 30."]
    assert PLANNER.explain(view, source_root(8), 0) == ["The plan knows no such source."]


def test_of_a_thousand_nodes_the_nearest_are_listed() -> None:
    view = make_view([1] * 1000, [make_source(1, 5000)], 5.0)
    assert max(len(line) for line in why(view, 0)) < 1500
    assert any("and 988 more" in line for line in why(view, 0))


def test_it_explains_a_plan_made_on_a_sample() -> None:
    view = make_view([1 + number % 7 for number in range(40)], [make_source(1, 300_000)], 1.6)
    wanted = PLANNER.plan(view).want[view.sources[0].root]
    index = next(iter(wanted))
    lines = why(view, index)
    assert "on a sample" in lines[0]
    assert lines[-1].startswith("This node keeps it, as copy")
