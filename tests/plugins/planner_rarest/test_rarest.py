"""Rarest first, a little at a time, sticky; and a whole cluster of it, round after round."""

from dataclasses import replace

import pytest

from ralnode.api import BlockSet, ConfigError, View
from ralnode.api.planning import leaf_budget_bytes, my_budget_bytes, planned_bytes
from ralnode.testing.planner_measures import copies_histogram, plans_everywhere
from ralnode.testing.planner_views import make_source, make_view, node_id
from ralnode_planner_rarest import RarestOptions, RarestPlanner, provide_planner

HASTY = RarestPlanner(RarestOptions(batch_percent=100))
BLOCKS = 400


def held(view: View, **blocks: BlockSet) -> View:
    """`n0=…` is what node 0 owns of the first source."""
    root = view.sources[0].root
    return replace(view, holdings={node_id(int(name[1:])): {root: found} for name, found in blocks.items()})


def after_a_round(planner: RarestPlanner, view: View) -> View:
    """Everybody plans on the same view and has at once what it wanted."""
    plans = plans_everywhere(planner, view)
    return replace(view, holdings={me: plan.want for me, plan in plans.items()})


def test_it_is_provided_with_its_options() -> None:
    provider = provide_planner()
    assert (provider.name, provider.options) == ("rarest", RarestOptions)


@pytest.mark.parametrize("percent", [0, 101, -3])
def test_a_batch_out_of_range_is_refused_by_name(percent: int) -> None:
    with pytest.raises(ConfigError, match="batch_percent"):
        RarestPlanner(RarestOptions(batch_percent=percent))


def test_what_nobody_has_comes_before_what_one_has() -> None:
    view = held(make_view([1, 1, 1], [make_source(1, BLOCKS)], 1.2), n1=BlockSet.full(BLOCKS // 2))
    wanted = HASTY.plan(view).want[view.sources[0].root]
    room = my_budget_bytes(view) // view.sources[0].block_bytes
    assert len(wanted) == room < BLOCKS // 2
    assert not wanted & BlockSet.full(BLOCKS // 2)
    assert HASTY.plan(view).urgent == HASTY.plan(view).want


def test_among_equally_rare_ones_the_higher_priority_comes_first() -> None:
    view = make_view([1, 1, 1], [make_source(1, 100), make_source(2, 100, priority=4)], 1.3)
    want = HASTY.plan(view).want
    assert len(want[make_source(2, 100).root]) == min(100, my_budget_bytes(view) // make_source(1, 1).block_bytes)


def test_blocks_with_copies_enough_are_left_alone() -> None:
    full = BlockSet.full(BLOCKS)
    view = held(make_view([1, 1, 1, 1], [make_source(1, BLOCKS)], 8.0), n1=full, n2=full - BlockSet.of([7]))
    assert {root: list(blocks) for root, blocks in HASTY.plan(view).want.items()} == {view.sources[0].root: [7]}


def test_copies_on_nodes_outside_the_cluster_do_not_count() -> None:
    full = BlockSet.full(BLOCKS)
    view = held(make_view([1, 1], [make_source(1, BLOCKS)], 8.0), n1=full, n99=full)
    assert HASTY.plan(view).want[view.sources[0].root] == full


def test_it_keeps_what_it_has_even_when_there_is_enough_of_it() -> None:
    full = BlockSet.full(BLOCKS)
    view = held(make_view([1, 1, 1, 1], [make_source(1, BLOCKS)], 8.0), n0=full, n1=full, n2=full)
    assert HASTY.plan(view).want[view.sources[0].root] == full


def test_when_its_room_shrinks_it_keeps_the_rarest() -> None:
    view = make_view([1, 1, 1], [make_source(1, BLOCKS)], 1.5)
    view = held(view, n0=BlockSet.full(BLOCKS), n1=BlockSet.full(BLOCKS - 100))
    kept = HASTY.plan(view).want[view.sources[0].root]
    assert BlockSet.from_ranges([(BLOCKS - 100, BLOCKS)]) - kept == BlockSet()
    assert len(kept) == my_budget_bytes(view) // view.sources[0].block_bytes < BLOCKS


@pytest.mark.parametrize("percent", [2, 10])
def test_a_round_takes_on_no_more_than_its_batch(percent: int) -> None:
    view = make_view([1, 1], [make_source(1, 5000)], 4.0)
    plan = RarestPlanner(RarestOptions(percent)).plan(view)
    batch = my_budget_bytes(view) * percent // 100
    assert batch - view.sources[0].block_bytes < planned_bytes(view.sources, plan.want) <= batch


def test_what_is_less_rare_does_not_slip_past_a_block_that_is_too_large() -> None:
    large, small = make_source(1, 40, block_bytes=1 << 18), make_source(2, 40, block_bytes=1 << 10)
    view = make_view([2, 1], [large, small], 1.2)
    view = replace(view, holdings={node_id(1): {small.root: BlockSet.full(40)}})
    want = HASTY.plan(view).want
    assert 0 < len(want[large.root]) < 40
    assert small.root not in want


def test_a_node_smaller_than_fifty_blocks_still_gets_on() -> None:
    view = make_view([1, 1], [make_source(1, 8)], 4.0)
    assert len(RarestPlanner().plan(view).want[view.sources[0].root]) == 1


def test_rounds_lead_to_all_copies_with_little_waste() -> None:
    """Everybody sees the same view in each round, which is the worst case: many make the same copy."""
    view = make_view([1, 1, 2, 4, 4, 8], [make_source(1, 3000)], 3.2)
    for _ in range(80):
        view = after_a_round(RarestPlanner(), view)
    histogram = copies_histogram(view, plans_everywhere(RarestPlanner(), view))
    assert histogram[:2] == [0, 0]
    assert sum(count * blocks for count, blocks in enumerate(histogram)) <= 2.4 * 3000


def test_then_nothing_moves() -> None:
    view = make_view([1, 1, 2], [make_source(1, 300)], 5.0)
    for _ in range(60):
        view = after_a_round(RarestPlanner(), view)
    assert after_a_round(RarestPlanner(), view) == view


def test_no_node_is_ever_asked_for_more_than_it_holds() -> None:
    view = make_view([1, 1, 2], [make_source(1, 300, copies=3)], 2.0)
    for _ in range(60):
        view = after_a_round(RarestPlanner(), view)
        for node in view.nodes:
            used = planned_bytes(view.sources, view.holdings[node.id])
            assert used <= leaf_budget_bytes(node.capacity_bytes, view.sources)


def test_it_explains_itself() -> None:
    view = held(make_view([1, 1], [make_source(1, BLOCKS)], 8.0), n0=BlockSet.of([1]), n1=BlockSet.of([1, 2]))
    root = view.sources[0].root
    assert HASTY.explain(view, root, 1) == [
        "2 live copies are known of, 2 are wanted.",
        "This node has it, and keeps what it has while there is room.",
    ]
    assert HASTY.explain(view, root, 2)[-1] == "This node takes it on in this round."
    assert HASTY.explain(view, root, BLOCKS) == ["The plan knows no such block."]
    slow = RarestPlanner(RarestOptions(1))
    assert any("does not take it on now" in slow.explain(view, root, index)[-1] for index in range(20))
