"""What planners share: budgets, digests, walking over blocks, and taking the lowest draws that fit."""

import random
from dataclasses import replace

import numpy as np
import pytest

from ralnode.api import BlockSet, PlanNode, View, planning
from ralnode.api.mixing import block_key, draw
from ralnode.testing.planner_views import make_source, make_view, node_id, with_holdings

SALT = 12345


def test_a_budget_leaves_out_metadata_and_a_margin() -> None:
    sources = [make_source(1, 1000), make_source(2, 1)]
    interior = sum(source.interior_bytes for source in sources)
    assert planning.leaf_budget_bytes(64_000_000, sources) == 63_000_000 - interior
    assert planning.leaf_budget_bytes(interior, sources) == 0
    assert planning.leaf_budget_bytes(-5, []) == 0


def test_a_node_that_is_not_planned_for_has_no_budget() -> None:
    view = make_view([1, 2], [make_source(1, 10)], 4.0)
    assert planning.my_budget_bytes(view) > 0
    assert planning.my_budget_bytes(replace(view, me=node_id(99))) == 0


def test_the_digest_is_of_what_a_plan_depends_on() -> None:
    view = make_view([1, 2, 3], [make_source(1, 10), make_source(2, 20)], 4.0)
    digest = planning.view_digest("x/1", view)
    assert len(digest) == 16
    same = View(node_id(2), view.nodes[::-1], view.sources[::-1], with_holdings(view, 1).holdings)
    assert planning.view_digest("x/1", same) == digest
    first = view.sources[0]
    others = [
        planning.view_digest("x/2", view),
        planning.view_digest("x/1", view, b"more"),
        planning.view_digest("x/1", replace(view, nodes=view.nodes[1:])),
        planning.view_digest("x/1", replace(view, nodes=(replace(view.nodes[0], zone="attic"), *view.nodes[1:]))),
        planning.view_digest("x/1", replace(view, nodes=(replace(view.nodes[0], capacity_bytes=5), *view.nodes[1:]))),
        *[
            planning.view_digest("x/1", replace(view, sources=(replace(first, **{fact: 3}), view.sources[1])))
            for fact in ("leaf_count", "leaf_bytes", "interior_bytes", "copies", "priority")
        ],
    ]
    assert len({digest, *others}) == len(others) + 1
    renamed = replace(view, sources=(replace(first, name="other"), view.sources[1]))
    assert planning.view_digest("x/1", renamed) == digest


@pytest.mark.parametrize("batch_blocks", [8, 64, 1 << 16])
def test_batches_cover_every_block_once_and_in_order(batch_blocks: int) -> None:
    sources = [make_source(n, count) for n, count in enumerate([0, 1, 7, 8, 9, 100, 0, 64, 1000, 3])]
    seen = []
    for batch in planning.batches(sources, batch_blocks):
        assert len(batch.keys) <= batch_blocks
        blocks = [(run.position, index) for run in batch.runs for index in range(run.start, run.stop)]
        assert batch.keys.tolist() == [block_key(sources[at].root, index) for at, index in blocks]
        assert all(run.start % 8 == 0 for run in batch.runs)
        seen += blocks
    assert seen == [(at, index) for at, source in enumerate(sources) for index in range(source.leaf_count)]


@pytest.mark.parametrize("batch_blocks", [8, 24, 1 << 16])
def test_marks_become_the_sets_that_were_marked(batch_blocks: int) -> None:
    dice = np.random.default_rng(batch_blocks)
    sources = [make_source(n, count) for n, count in enumerate([5, 300, 16, 9])]
    chosen = [
        dice.random(source.leaf_count) < part for source, part in zip(sources, (0.5, 0.02, 0.0, 1.0), strict=True)
    ]
    marks = planning.Marks(sources)
    for batch in planning.batches(sources, batch_blocks):
        marks.add(batch.runs, np.concatenate([chosen[run.position][run.start : run.stop] for run in batch.runs]))
    expected = {
        source.root: BlockSet.from_mask(mask) for source, mask in zip(sources, chosen, strict=True) if mask.any()
    }
    assert marks.sets() == expected


@pytest.mark.parametrize("seed", range(12))
def test_take_takes_the_lowest_draws_up_to_the_first_that_does_not_fit(seed: int) -> None:
    dice = random.Random(seed)
    sources = [make_source(n, dice.randrange(0, 400), block_bytes=dice.choice([1, 70, 1000])) for n in range(5)]
    candidates = {s.root: BlockSet(dice.getrandbits(s.leaf_count)) for s in sources[1:] if s.leaf_count}
    budget = dice.randrange(0, 1 + planning.planned_bytes(sources, candidates))
    by_draw = sorted(
        (draw(block_key(source.root, index), SALT), source.root, index, source.block_bytes)
        for source in sources
        for index in candidates.get(source.root, ())
    )
    expected, left = set(), budget
    for _, root, index, weight in by_draw:
        left -= weight
        if left < 0:
            break
        expected.add((root, index))
    taken = planning.take(sources, candidates, SALT, budget)
    assert {(root, index) for root, blocks in taken.items() for index in blocks} == expected


def test_take_takes_all_when_all_fits_and_nothing_without_room() -> None:
    sources = [make_source(1, 50), make_source(2, 50)]
    everything = {source.root: BlockSet.full(50) for source in sources}
    assert planning.take(sources, everything, SALT, planning.planned_bytes(sources, everything)) == everything
    assert planning.take(sources, everything, SALT, 0) == {}
    assert planning.take(sources, {}, SALT, 10**9) == {}


@pytest.mark.parametrize("count", [1, 2, 3, 1000, 123_456, 299_999])
def test_take_of_many_blocks_uses_the_whole_budget(count: int) -> None:
    source = make_source(1, 300_000, block_bytes=10)
    everything = {source.root: BlockSet.full(300_000)}
    for spare_bytes, expected in ((-1, count - 1), (0, count), (9, count)):
        taken = planning.take([source], everything, SALT, 10 * count + spare_bytes)
        assert sum(len(blocks) for blocks in taken.values()) == expected


def test_held_blocks_are_those_of_known_sources_and_indexes() -> None:
    view = make_view([1, 2], [make_source(1, 10), make_source(2, 5)], 4.0)
    held = {make_source(1, 10).root: BlockSet.of([3, 11]), make_source(9, 1).root: BlockSet.full(1)}
    view = replace(view, holdings={node_id(0): held})
    assert planning.held_blocks(view, node_id(0)) == {make_source(1, 10).root: BlockSet.of([3])}
    assert planning.held_blocks(view, node_id(1)) == {}


def test_united_joins_and_drops_what_is_empty() -> None:
    parts = [{b"a": BlockSet.of([1]), b"b": BlockSet()}, {b"a": BlockSet.of([2])}]
    assert planning.united(parts) == {b"a": BlockSet.of([1, 2])}


def test_a_hostile_size_does_not_break_the_arithmetic() -> None:
    monster = replace(make_source(1, 3), leaf_bytes=1 << 90)
    view = View(node_id(0), (PlanNode(node_id(0), 1 << 40),), (monster,))
    assert planning.take(view.sources, {monster.root: BlockSet.full(3)}, SALT, planning.my_budget_bytes(view)) == {}
