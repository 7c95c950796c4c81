"""The sentence of truth and the figures around it."""

from collections.abc import Mapping
from random import Random

import pytest

from ralnode.api import BlockSet, Health, Holding, Instant, Liveness, NodeId, NodeInfo, Plan, Source, Usage
from ralnode.core.health import Facts, NodeFacts, StatusMaker, cells, size_text
from ralnode.core.holdings import Holdings

ME, ANN, BOB = b"m" * 32, b"a" * 32, b"b" * 32
NAMES = {ME: "me", ANN: "ann", BOB: "bob"}
FILM = Source(b"film", "film", 10_000_000, 10, 10_000_000, 1, 50)
ALL = BlockSet.full(10)


def status(held: Mapping[NodeId, Holding], dead: frozenset[NodeId] = frozenset(), *, used: int = 0, sources=(FILM,)):  # type: ignore[no-untyped-def]
    holdings = Holdings(ME)
    for node, holding in held.items():
        if node == ME:
            holdings.set_mine(FILM.root, holding)
        else:
            theirs = Holdings(node)
            theirs.set_mine(FILM.root, holding)
            holdings.merge(node, theirs.delta(0, lambda root: FILM), lambda root: FILM)
    nodes = [
        NodeFacts(
            NodeInfo(node, NAMES[node], 10**9, used),
            Liveness.DEAD if node in dead else Liveness.ALIVE,
            30.0,
            500.0 if node in dead else None,
        )
        for node in (ME, ANN, BOB)
    ]
    facts = Facts(
        me=ME, group="home", version="1", now=Instant(0, 0), nodes=nodes, sources=sources, added_unix_ms=lambda root: 5,
        plan=Plan({FILM.root: ALL}), plan_epoch=1, usage=Usage(10**9, used), events=(), node_text=lambda n: NAMES[n],
        root_text=lambda r: r.decode(),
    )  # fmt: skip
    return StatusMaker(holdings).make(facts)


def owned(blocks: BlockSet = ALL) -> Holding:
    return Holding(True, blocks)


def test_two_copies_of_everything_is_healthy() -> None:
    made = status({ANN: owned(), BOB: owned()})
    assert made.health is Health.HEALTHY
    assert made.sentence == "Your 1 file has 2 copies."
    assert made.histogram == (0, 0, 10, 0)
    assert made.deficit_bytes == 0


def test_one_copy_short_is_repairing_with_the_bytes_left() -> None:
    made = status({ANN: owned(), BOB: owned(BlockSet.of(range(7)))})
    assert made.health is Health.REPAIRING
    assert made.deficit_bytes == 3_000_000
    assert made.sentence == "1 of 1 file has too few copies: 3.0 MB to copy."


def test_a_block_that_lies_only_in_the_added_file_is_at_risk() -> None:
    made = status(
        {ME: Holding(True, BlockSet(), ALL), ANN: owned(BlockSet.of(range(9))), BOB: owned(BlockSet.of(range(9)))}
    )
    assert made.health is Health.AT_RISK
    assert "1 blocks have no copy yet" in made.sentence


def test_a_block_nobody_has_names_the_node_that_had_it() -> None:
    made = status({ANN: owned(BlockSet.of(range(9))), BOB: owned()}, dead=frozenset([BOB]))
    assert made.health is Health.UNAVAILABLE
    assert made.sentence == "1 file cannot be read whole: needs node `bob`."
    assert made.sources[0].unreachable_count == 1


def test_a_block_nobody_ever_had_says_so() -> None:
    made = status({ANN: owned(BlockSet.of(range(9)))})
    assert made.health is Health.UNAVAILABLE
    assert "no known node has" in made.sentence


def test_no_sources_tells_how_to_begin() -> None:
    assert "ralnode add" in status({}, sources=()).sentence


def test_full_nodes_are_said_to_be_full() -> None:
    made = status({ANN: owned(), BOB: owned()}, used=990_000_000)
    assert made.health is Health.FULL
    assert "full" in made.sentence


def test_storable_reckons_with_copies_on_different_nodes() -> None:
    assert status({}).storable_bytes == 1_500_000_000  # three free disks of 1 GB, two copies of each block


def test_dead_nodes_count_for_nothing() -> None:
    made = status({ANN: owned(), BOB: owned()}, dead=frozenset([BOB]))
    assert made.histogram == (0, 10, 0, 0)
    assert [n.repair_in_seconds for n in made.nodes] == [None, None, 500.0]


@pytest.mark.parametrize(
    ("blocks", "count", "shown"),
    [
        (BlockSet(), 4, "0000"),
        (BlockSet.full(4), 4, "9999"),
        (BlockSet.of([0]), 4, "9000"),
        (BlockSet.full(64), 64, "9" * 32),
        (BlockSet.of([0]), 64, "5" + "0" * 31),
        (BlockSet(), 0, ""),
    ],
)
def test_cells_show_how_much_of_each_stretch_is_there(blocks: BlockSet, count: int, shown: str) -> None:
    assert cells(blocks, count) == shown


def test_a_little_of_a_large_stretch_is_not_nothing() -> None:
    assert cells(BlockSet.of([5]), 32_000)[0] == "1"


@pytest.mark.parametrize(("size", "text"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (2 * 10**12, "2.0 TB")])
def test_sizes_are_decimal(size: int, text: str) -> None:
    assert size_text(size) == text


def test_what_is_kept_between_two_looks_follows_every_change() -> None:
    holdings = Holdings(ME)
    book = Source(b"book", "book", 4_000, 4, 4_000, 1, 50)
    maker = StatusMaker(holdings)

    def look(*sources: Source, plan: Plan | None = None, dead: bool = False) -> tuple[int, dict[str, str], int]:
        nodes = [
            NodeFacts(NodeInfo(node, NAMES[node], 10**9), Liveness.DEAD if dead and node == ANN else Liveness.ALIVE, 0.0, None)
            for node in (ME, ANN)
        ]  # fmt: skip
        facts = Facts(
            me=ME, group="home", version="1", now=Instant(0, 0), nodes=nodes, sources=sources,
            added_unix_ms=lambda root: 5, plan=plan, plan_epoch=1, usage=Usage(10**9, 0), events=(),
            node_text=lambda n: NAMES[n], root_text=lambda r: r.decode(),
        )  # fmt: skip
        made = maker.make(facts)
        return made.nodes[0].stored_count, (made.sources[0].wanted if made.sources else {}), made.deficit_bytes

    assert look(FILM, book) == (0, {}, 20_008_000)
    holdings.set_mine(FILM.root, owned())
    assert look(FILM, book) == (10, {}, 10_008_000)
    assert look(FILM, book, plan=Plan({FILM.root: ALL})) == (10, {"me": "9999999999"}, 10_008_000)
    assert look(FILM, book, plan=Plan({})) == (10, {}, 10_008_000), "the same epoch, another plan"
    holdings.set_mine(FILM.root, owned(BlockSet.of(range(4))))
    assert look(FILM, book) == (4, {}, 16_008_000)
    assert look(FILM) == (4, {}, 16_000_000)
    assert look() == (0, {}, 0)
    assert look(FILM, dead=True) == (4, {}, 16_000_000)


@pytest.mark.parametrize("leaf_count", [0, 1, 2, 7, 31, 32, 33, 64, 100, 1000])
def test_cells_of_the_map_are_the_same_however_they_are_reckoned(leaf_count: int) -> None:
    """0 none, 9 all, else the share of the stretch."""
    dice = Random(leaf_count)
    for some in (0, 1, leaf_count // 2, leaf_count):
        held = set(dice.sample(range(leaf_count), some if some <= leaf_count else 0))
        width = min(32, leaf_count)
        expected = ""
        for cell in range(width):
            stretch = range(cell * leaf_count // width, (cell + 1) * leaf_count // width)
            here = len(held.intersection(stretch))
            expected += "0" if not here else str(1 + 8 * here // len(stretch))
        assert cells(BlockSet.of(held), leaf_count) == expected
