"""Scenes, measures and comparisons, on clusters small enough to reckon by hand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import count

import pytest

from ralnode.api import BlockSet, Plan, View
from ralnode.api.planning import planned_bytes
from ralnode.core.whatif.comparing import Comparison, Figures, Question, compare
from ralnode.core.whatif.measures import Movement, histogram, in_one_zone, left_without_copy, unavoidable
from ralnode.core.whatif.scene import (
    Machine,
    Scene,
    chosen_to_lose,
    coarser,
    invented_machine,
    invented_source,
    listed,
    usual_machines,
    with_more,
    without,
)  # fmt: skip
from ralnode.core.whatif.settling import settle

MB = 10**6


def scene_of(*capacities: int, blocks: int = 12, copies: int = 2, zones: str = "") -> Scene:
    """Nodes of so many MB, one source of blocks of a MB."""
    zone = dict(enumerate(zones))
    machines = [invented_machine(0, f"n{at}", size * MB, zone.get(at, "")) for at, size in enumerate(capacities)]
    return Scene("as it is", tuple(machines), (invented_source(0, "film", blocks * MB, MB, copies),))


@dataclass
class Fixed:
    """Gives each node what a table says, by the place of the node in the scene; a node without a row gets nothing."""

    table: list[set[int]]
    scene: Scene
    name: str = "fixed"
    version: int = 1
    needs_holdings: bool = False

    def plan(self, view: View) -> Plan:
        place = [machine.id for machine in self.scene.machines].index(view.me)
        want = BlockSet.of(self.table[place]) if place < len(self.table) else BlockSet()
        return Plan({view.sources[0].root: want}, digest=b"same")


@dataclass
class Greedy:
    """Takes one more block a round, up to `until`: a planner that looks at holdings."""

    until: int
    name: str = "greedy"
    version: int = 1
    needs_holdings: bool = True

    def plan(self, view: View) -> Plan:
        root = view.sources[0].root
        mine = view.holdings.get(view.me, {}).get(root, BlockSet())
        return Plan({root: BlockSet.full(min(self.until, len(mine) + 1))})


class Broken:
    name, version, needs_holdings = "broken", 1, False

    def __init__(self, answer: object) -> None:
        self.answer = answer

    def plan(self, view: View) -> object:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def ask(*scenes: Scene, rounds_max: int = 50) -> Question:
    ticks = count()
    return Question(scenes, lambda: next(ticks) / 1000, rounds_max, scenes[0].block_count, 0)


def only(found: Comparison, place: int = 0) -> Figures:
    (figures,) = found.of(found.situations[place].title)
    return figures


# --- scenes


def test_the_same_words_and_seed_give_the_same_scene() -> None:
    assert scene_of(10, 20) == scene_of(10, 20)
    assert invented_machine(1, "a", 5).id != invented_machine(2, "a", 5).id
    assert invented_source(1, "a", 5, 1).root != invented_source(2, "a", 5, 1).root


@pytest.mark.parametrize("lost", range(1, 5))
def test_the_nodes_to_lose_are_drawn_by_the_seed(lost: int) -> None:
    machines = scene_of(1, 1, 1, 1, 1).machines
    drawn = [chosen_to_lose(machines, lost, seed) for seed in range(12)]
    assert drawn == [chosen_to_lose(machines, lost, seed) for seed in range(12)]
    assert len(set(drawn)) > 1
    assert all(len(set(names)) == lost for names in drawn)


def test_new_nodes_are_of_the_median_size_and_go_where_the_smallest_zone_is() -> None:
    new = usual_machines(scene_of(10, 90, 20, zones="aab"), 3, 0)
    assert [machine.capacity_bytes for machine in new] == [20 * MB] * 3
    assert [machine.zone for machine in new] == ["b", "b", "b"]
    assert [machine.zone for machine in usual_machines(scene_of(10, 90), 1, 0)] == [""]


def test_a_new_node_never_takes_a_name_that_is_there() -> None:
    scene = with_more(scene_of(5), usual_machines(scene_of(5), 1, 0))
    again = usual_machines(scene, 1, 0)
    assert {machine.name for machine in (*scene.machines, *again)} == {"n0", "new-1", "new-1'"}


@pytest.mark.parametrize(
    ("most", "expected"), [(100, [60, 30, 10]), (99, [59, 29, 9]), (10, [6, 3, 1]), (1, [1, 1, 1])]
)
def test_coarser_blocks_keep_the_bytes_and_the_proportions(most: int, expected: list[int]) -> None:
    sources = [invented_source(0, str(size), size * MB, MB) for size in (60, 30, 10)]
    made = coarser(sources, most)
    assert [source.leaf_count for source in made] == expected
    assert [source.leaf_bytes for source in made] == [60 * MB, 30 * MB, 10 * MB]
    empty = replace(sources[0], leaf_count=0, leaf_bytes=0)
    assert coarser([empty, sources[1]], 10)[0].leaf_count == 0


@pytest.mark.parametrize(
    ("names", "text"), [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c"), ("abcd", "4 machines")]
)  # fmt: skip
def test_names_are_listed_as_people_do(names: list[str], text: str) -> None:
    assert listed(names) == text


# --- measures


def wants(scene: Scene, *rows: set[int]) -> dict[bytes, dict[bytes, BlockSet]]:
    root = scene.sources[0].root
    return {machine.id: {root: BlockSet.of(row)} for machine, row in zip(scene.machines, rows, strict=True)}


@pytest.mark.parametrize(
    ("rows", "expected"),
    [([set(), set()], [4]), ([{0, 1}, {1, 2}], [1, 2, 1]), ([{0, 1, 2, 3}] * 2, [0, 0, 4]), ([{0, 9}, {9}], [3, 1])],
)
def test_histograms_count_copies_of_existing_blocks(rows: list[set[int]], expected: list[int]) -> None:
    scene = scene_of(9, 9, blocks=4)
    assert histogram(scene.sources, wants(scene, *rows).values()) == expected
    assert histogram([], []) == [0]


@pytest.mark.parametrize(
    ("before", "after", "moved", "bound"),
    [
        ([{0, 1}, {2, 3}], [{0, 1}, {2, 3}], 0, 0),
        ([{0, 1}, {2, 3}], [{2, 3}, {0, 1}], 4, 0),
        ([{0, 1}, {2}], [{0, 1, 3}, {2}], 1, 1),
        ([{0, 1}, {2}], [{2, 3, 4}, {2}], 3, 1),
        ([{0, 1}, set()], [set(), {0, 1}], 2, 2),
    ],
)
def test_movement_is_what_is_newly_wanted_and_its_bound_what_loads_grow_by(
    before: list[set[int]], after: list[set[int]], moved: int, bound: int
) -> None:
    scene = scene_of(9, 9)
    found = Movement.of(scene.sources, wants(scene, *before), wants(scene, *after))
    assert found == Movement(moved * MB, bound * MB)


def test_blocks_are_lost_when_all_their_copies_were_on_what_is_gone() -> None:
    scene = scene_of(9, 9, 9)
    held = wants(scene, {0, 1, 2}, {2, 3}, {3, 4})
    ids = [machine.id for machine in scene.machines]
    assert left_without_copy(scene.sources, held, ids[1:]) == 2
    assert left_without_copy(scene.sources, held, ids[:1]) == 2
    assert left_without_copy(scene.sources, held, ids) == 0


@pytest.mark.parametrize(("zones", "expected"), [("aab", 1), ("abc", 0), ("aaa", 2), ("", 0), ("aa", 1)])
def test_copies_that_share_a_zone_are_counted(zones: str, expected: int) -> None:
    """Block 0 is on the first two, block 1 on the last two, block 2 on the first alone. No zone is a zone of one's own."""
    scene = scene_of(9, 9, 9, zones=zones)
    held = wants(scene, {0, 2}, {0, 1}, {1})
    assert in_one_zone(scene.sources, held, {machine.id: machine.zone for machine in scene.machines}) == expected


@pytest.mark.parametrize(
    ("rooms", "blocks", "copies", "expected"),
    [
        ([12, 12], 12, 2, 0), ([12, 11], 12, 2, 1), ([12], 12, 2, 0), ([5], 12, 1, 7), ([99, 3, 3], 12, 2, 6),
        ([99, 3, 3], 12, 3, 9), ([0, 0], 12, 2, 12), ([8, 8, 8], 12, 2, 0), ([8, 8, 7], 12, 2, 1), ([], 12, 2, 0), ([9], 0, 2, 0),
    ],
)  # fmt: skip
def test_what_no_planner_can_help_is_reckoned(rooms: list[int], blocks: int, copies: int, expected: int) -> None:
    """Rooms in blocks. With 99, 3 and 3 and two copies each, the two small ones hold a copy of 6 blocks together."""
    source = replace(invented_source(0, "film", max(1, blocks) * MB, MB, copies), leaf_count=blocks)
    assert unavoidable([source], [room * MB for room in rooms]) == expected


# --- settling and comparing


def test_a_planner_that_looks_at_holdings_goes_on_in_rounds_until_nothing_changes() -> None:
    found = settle(Greedy(until=5), scene_of(9, 9), {}, lambda: 0.0, 50)
    assert (found.rounds, found.is_settled) == (6, True)
    assert [len(want[scene_of(9).sources[0].root]) for want in found.wants.values()] == [5, 5]
    hasty = settle(Greedy(until=12), scene_of(9, 9), {}, lambda: 0.0, 3)
    assert (hasty.rounds, hasty.is_settled) == (3, False)


def test_a_planner_that_does_not_is_asked_once_per_node() -> None:
    scene = scene_of(9, 9, 9)
    found = compare({"fixed": Fixed([{0}], scene)}, ask(scene))
    assert (only(found).plan_count, only(found).rounds) == (3, 1)
    assert only(found).cpu_seconds_median == pytest.approx(0.001)


def test_all_figures_of_a_loss_are_those_that_hands_reckon() -> None:
    """Six blocks, two copies asked for; the third node is lost, with the only copy of block 5."""
    scene = scene_of(20, 20, 20, blocks=6)
    gone = without(scene, ["n2"])

    @dataclass
    class Planner(Fixed):
        def plan(self, view: View) -> Plan:
            self.table = [{0, 1, 2, 3}, {0, 1}, {2, 5}] if len(view.nodes) == 3 else [{0, 1, 2, 3}, {0, 1, 2, 4}]
            return super().plan(view)

    found = compare({"p": Planner([], scene)}, ask(scene, gone))
    first, after = only(found, 0), only(found, 1)
    assert (first.histogram, first.below_count, first.moved_bytes) == ((1, 2, 3), 3, 0)
    assert (after.histogram, after.below_count) == ((1, 2, 3), 3)
    assert (after.moved_bytes, after.bound_bytes, after.lost_count, after.ratio) == (2 * MB, 2 * MB, 1, 1.0)
    room = found.situations[0].nodes[0].room_bytes
    assert first.fullness == pytest.approx((4 * MB / room, 2 * MB / room, 2 * MB / room))
    assert first.spread == pytest.approx(2 * MB / room)
    assert found.situations[1].lost == ("n2",)


def test_growth_begins_where_the_planner_left_the_cluster() -> None:
    scene = scene_of(20, 20)
    grown = with_more(scene, usual_machines(scene, 1, 0))
    found = compare({"greedy": Greedy(until=4)}, ask(scene, grown))
    after = only(found, 1)
    assert (after.moved_bytes, after.bound_bytes) == (4 * MB, 4 * MB)
    assert after.rounds == 5
    assert found.situations[1].added == ("new-1",)


def test_what_is_wrong_with_plans_is_remarked_on() -> None:
    scene = scene_of(3, 30)

    class Quarrel(Fixed):
        def plan(self, view: View) -> Plan:
            return replace(super().plan(view), digest=view.me[:16])

    planners = {
        "sound": Fixed([{0}, {1}], scene),
        "too much": Fixed([set(range(12)), {1}], scene),
        "dreams": Fixed([{0, 99}, {1}], scene),
        "quarrel": Quarrel([{0}, {1}], scene),
        "restless": Greedy(until=12),
    }
    found = compare(planners, ask(scene, rounds_max=2))
    told = {figures.planner: " ".join(figures.remarks) for figures in found.figures}
    assert told == {
        "sound": "",
        "too much": "it wants more than there is room for on n0",
        "dreams": "it wants blocks that do not exist (1)",
        "quarrel": "nodes with equal views gave different digests",
        "restless": "it still changed its plans after 2 rounds",
    }


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (RuntimeError("no idea"), "RuntimeError: no idea"),
        ("a plan", "returned a str"),
        (Plan({b"r": [1]}), "BlockSets"),
    ],  # type: ignore[dict-item]
)
def test_a_planner_that_fails_is_told_of_and_the_others_are_compared(answer: object, says: str) -> None:
    scene = scene_of(9, 9)
    found = compare({"broken": Broken(answer), "fixed": Fixed([{0}], scene)}, ask(scene))  # type: ignore[dict-item]
    assert [each.planner for each in found.failures] == ["broken"]
    assert says in found.failures[0].reason
    assert only(found).planner == "fixed"


def test_views_are_sorted_and_capacities_rounded_as_the_engine_rounds_them() -> None:
    scene = Scene("s", (Machine(b"z" * 32, "z", 1_000_003), Machine(b"a" * 32, "a", 129)), scene_of(1).sources)
    view = scene.view(b"z" * 32)
    assert [node.id[:1] for node in view.nodes] == [b"a", b"z"]
    assert [node.capacity_bytes for node in view.nodes] == [128, 999_424]
    assert planned_bytes(view.sources, {view.sources[0].root: BlockSet.full(2)}) == 2 * MB
