"""The contract catches planners that break it: each of these has one fault, and the test that must find it does."""

import itertools
import os
from collections.abc import Callable
from dataclasses import replace

import pytest

from ralnode.api import BlockSet, Plan, View
from ralnode.api.mixing import node_salt
from ralnode.api.planning import my_budget_bytes, take
from ralnode.testing.planner_contract import PlannerContract
from ralnode.testing.planner_views import node_id


def mirrored(view: View) -> dict[bytes, BlockSet]:
    """As much of everything as fits."""
    everything = {source.root: BlockSet.full(source.leaf_count) for source in view.sources}
    return take(view.sources, everything, node_salt(view.me), my_budget_bytes(view))


class Mirror:
    name, version, needs_holdings = "mirror", 1, False

    def plan(self, view: View) -> Plan:
        return Plan(want=mirrored(view))


class TestMirror(PlannerContract):
    """An honest planner in a few lines passes."""

    never_exceeds_copies = False

    def build(self) -> Mirror:
        return Mirror()


class Nameless(Mirror):
    name = ""


class Counting(Mirror):
    def __init__(self) -> None:
        self._calls = itertools.count()

    def plan(self, view: View) -> Plan:
        return Plan(want=mirrored(replace(view, me=node_id(next(self._calls) % 3))))


class HashSeeded(Mirror):
    """Lets the order of a set decide, as `hash(str)` does it from process to process."""

    def plan(self, view: View) -> Plan:
        order = sorted({"a", "b", "c", "d", "e", "f"}, key=hash)
        return Plan(want={}, digest="".join(order).encode())


class Meddling(Mirror):
    def plan(self, view: View) -> Plan:
        if isinstance(view.holdings, dict):
            view.holdings.clear()
        return Plan(want={})


class Inventive(Mirror):
    def plan(self, view: View) -> Plan:
        return Plan(want={source.root: BlockSet.of([source.leaf_count]) for source in view.sources})


class Strange(Mirror):
    def plan(self, view: View) -> Plan:
        return Plan(want={b"no such root": BlockSet.of([0])})


class Hurried(Mirror):
    def plan(self, view: View) -> Plan:
        return Plan(want={}, urgent=mirrored(view))


class Greedy(Mirror):
    def plan(self, view: View) -> Plan:
        return Plan(want={source.root: BlockSet.full(source.leaf_count) for source in view.sources})


class Selfish(Mirror):
    def plan(self, view: View) -> Plan:
        return Plan(want={}, digest=view.me[:16])


class Lazy(Mirror):
    def plan(self, view: View) -> Plan:
        return Plan(want={})


class Talkative(Mirror):
    def explain(self, view: View, root: bytes, index: int) -> list[str]:
        return ["two\nlines"]


CASES: list[tuple[type[Mirror], Callable[[PlannerContract], None]]] = [
    (Nameless, PlannerContract.test_it_says_who_it_is),
    (Counting, PlannerContract.test_the_same_view_gives_the_same_plan),
    (Meddling, PlannerContract.test_the_view_is_left_as_it_was),
    (Inventive, PlannerContract.test_it_wants_only_what_exists),
    (Strange, PlannerContract.test_it_wants_only_what_exists),
    (Hurried, PlannerContract.test_urgent_is_part_of_want),
    (Greedy, PlannerContract.test_it_stays_within_capacity),
    (Selfish, PlannerContract.test_nodes_with_equal_views_agree_on_the_digest),
    (Mirror, PlannerContract.test_no_more_copies_than_asked_for),
    (Lazy, PlannerContract.test_with_ample_room_every_block_gets_its_copies),
    (Talkative, PlannerContract.test_explanations_are_lines),
]


@pytest.mark.parametrize(("planner", "test"), CASES, ids=[planner.__name__ for planner, _ in CASES])
def test_a_fault_is_found(planner: type[Mirror], test: Callable[[PlannerContract], None]) -> None:
    class Suite(PlannerContract):
        def build(self) -> Mirror:
            return planner()

    with pytest.raises(AssertionError):
        test(Suite())


class HashSeededSuite(PlannerContract):
    def build(self) -> HashSeeded:
        return HashSeeded()


def test_depending_on_the_hash_seed_is_found() -> None:
    with pytest.raises(AssertionError, match="PYTHONHASHSEED"):
        HashSeededSuite().test_another_hash_seed_gives_the_same_plan()


class SlowSuite(PlannerContract):
    seconds_max = 0.0

    def build(self) -> Mirror:
        return Mirror()


def test_taking_too_long_is_found() -> None:
    with pytest.raises(AssertionError, match="million blocks"):
        SlowSuite().test_a_million_blocks_are_planned_in_time()


class BrokenElsewhere(PlannerContract):
    def build(self) -> Mirror:
        if os.environ.get("PYTHONHASHSEED") in ("1", "2"):
            raise RuntimeError("no such machine")
        return Mirror()


def test_a_planner_that_fails_in_another_process_says_why() -> None:
    with pytest.raises(AssertionError, match="no such machine"):
        BrokenElsewhere().test_another_hash_seed_gives_the_same_plan()
