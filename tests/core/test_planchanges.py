"""What is told of a new plan: what it moves here, and why it was made."""

from ralnode.api import BlockSet, Instant, NodeId, Plan, PlanNode, Source, View
from ralnode.core.planchanges import KEPT_MAX, REASONS_MAX, PlanChanges

ME, ANN = b"m" * 32, b"a" * 32
NAMES = {ME: "me", ANN: "ann"}
NOW = Instant(1, 1000)


def source(name: str) -> Source:
    return Source(name.encode(), name, 10_000, 10, 10_000, 1, 50)


def view(*sources: str, nodes: tuple[NodeId, ...] = (ME,), capacity: int = 100) -> View:
    return View(ME, tuple(PlanNode(node, capacity) for node in nodes), tuple(map(source, sources)))


def plan(digest: bytes = b"1", **want: int) -> Plan:
    return Plan({name.encode(): BlockSet.of(range(count)) for name, count in want.items()}, digest=digest)


def changes() -> PlanChanges:
    return PlanChanges("mirror/1", NAMES.__getitem__)


def test_the_first_plan_gains_all_that_it_wants() -> None:
    kept = changes()
    kept.taken_over(plan(film=4), view("film"), NOW)
    (first,) = kept.all()
    assert (first.gained_count, first.gained_bytes, first.released_count, first.wanted_count) == (4, 4000, 0, 4)
    assert (first.planner, first.digest, first.unix_ms) == ("mirror/1", b"1".hex(), 1000)
    assert first.reasons == ("first plan since this node started",)


def test_a_source_added_and_a_node_gone_are_the_reasons() -> None:
    kept = changes()
    kept.taken_over(plan(film=4), view("film", nodes=(ANN, ME)), NOW)
    kept.taken_over(plan(b"2", film=2, book=10), view("book", "film"), NOW)
    last = kept.all()[-1]
    assert (last.gained_count, last.released_count) == (10, 2)
    assert last.reasons == ("node ann does not count any more", "book was added")


def test_a_removed_source_is_released_and_capacity_is_a_reason() -> None:
    kept = changes()
    kept.taken_over(plan(film=4, book=1), view("book", "film"), NOW)
    kept.taken_over(plan(b"2", book=1), view("book", capacity=200), NOW)
    last = kept.all()[-1]
    assert (last.gained_count, last.released_count) == (0, 4)
    assert last.reasons == ("node me gives another capacity", "film was removed")


def test_the_same_plan_again_leaves_no_trace() -> None:
    kept = changes()
    kept.taken_over(plan(film=4), view("film"), NOW)
    kept.taken_over(plan(film=4), view("film"), NOW)
    assert len(kept.all()) == 1


def test_reasons_and_changes_are_bounded() -> None:
    kept = changes()
    kept.taken_over(plan(), view(), NOW)
    many = [f"file{i}" for i in range(100)]
    kept.taken_over(plan(b"2", file1=1), view(*many), NOW)
    assert len(kept.all()[-1].reasons) == REASONS_MAX + 1
    assert kept.all()[-1].reasons[-1] == "and 94 more"
    for number in range(50):
        kept.taken_over(plan(bytes([number])), view(*many), NOW)
    assert len(kept.all()) == KEPT_MAX
