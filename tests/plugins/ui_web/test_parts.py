"""The parts of the page by themselves: what each says of a status."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import pytest
from page_status import NOW_MS, node, source, status

from ralnode.api import EventLine, Health, Liveness, PlanChange
from ralnode_ui_web import blockmap, eventlog, words
from ralnode_ui_web.copies import copies
from ralnode_ui_web.history import SAMPLES_MAX, History
from ralnode_ui_web.nodecards import cards, disk_bar
from ralnode_ui_web.planview import plan_view
from ralnode_ui_web.repairs import repairs
from ralnode_ui_web.room import room
from ralnode_ui_web.sourcelist import Query, source_page

TB, GB = 10**12, 10**9
IDS = ["12D3KooWattic", "12D3KooWcellar"]


# --- words ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (999_999, "1.0 MB"), (123 * GB, "123 GB"), (99.96 * GB, "100 GB")],
)
def test_sizes_are_decimal_and_short(size_bytes: float, text: str) -> None:
    assert words.size(size_bytes) == text


@pytest.mark.parametrize(("part", "whole", "shown"), [(0, 9, 0), (1, 10_000, 1), (9_999, 10_000, 99), (5, 5, 100)])
def test_percents_are_never_rounded_to_all_or_nothing(part: int, whole: int, shown: int) -> None:
    assert words.percent(part, whole) == shown


def test_names_are_listed_up_to_a_few() -> None:
    assert words.listed([]) == ""
    assert words.listed(["a"]) == "a"
    assert words.listed(["a", "b"]) == "a and b"
    assert words.listed(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"


def test_a_clock_beyond_all_years_breaks_nothing() -> None:
    assert words.iso(1 << 62).startswith("1970")


# --- nodes ----------------------------------------------------------------------------------------------------------


def test_a_bar_shows_pool_other_data_and_the_capacity_on_the_scale_of_the_disk() -> None:
    bar = disk_bar(
        node("attic", capacity_bytes=TB, used_bytes=4 * TB // 10, disk_total_bytes=2 * TB, disk_free_bytes=TB)
    )
    assert (bar.pool, bar.other, bar.mark, bar.is_zoomed) == (200, 300, 500, False)
    assert "other data 600 GB" in bar.label


def test_a_pool_that_is_small_on_its_disk_is_drawn_by_itself() -> None:
    bar = disk_bar(node("attic", capacity_bytes=GB, used_bytes=GB // 2, disk_total_bytes=2 * TB, disk_free_bytes=TB))
    assert (bar.pool, bar.mark, bar.is_zoomed) == (440, 880, True)


def test_a_node_that_is_away_counts_down_to_repair() -> None:
    away = node("cellar", liveness=Liveness.DEAD, last_seen_seconds=150.0, repair_in_seconds=450.0)
    now = replace(status(3), nodes=(node("attic"), away))
    card = cards(now)[1]
    assert card.absence == "last seen 2 min ago, its share moves on in 8 min"
    assert (card.countdown_percent, card.tone, card.is_up) == (25, "down", False)


def test_this_node_comes_first_and_those_away_last() -> None:
    away = node("aaa", liveness=Liveness.DEAD)
    now = replace(status(3), nodes=(away, node("zzz"), node("attic"), node("bbb")))
    assert [card.name for card in cards(now)] == ["attic", "bbb", "zzz", "aaa"]


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", "//evil.example", "ftp://x"])
def test_only_web_addresses_become_links(url: str) -> None:
    assert cards(replace(status(1), nodes=(node("cellar", page_url=url),)))[0].page_url == ""


# --- copies, history ------------------------------------------------------------------------------------------------


def test_queues_are_those_of_nodes_that_lack_blocks() -> None:
    now = replace(status(500), nodes=(node("attic", stored_count=100), node("cellar", stored_count=120)))
    shown = copies(now, History())
    assert [(queue.node, queue.blocks, queue.percent) for queue in shown.queues] == [("attic", "20 blocks", 83)]
    assert (shown.deficit, shown.short, shown.time_left) == ("1.0 GB", "200 blocks", "3 min")


def test_an_empty_queue_says_what_it_waits_for() -> None:
    away = node("cellar", liveness=Liveness.DEAD, repair_in_seconds=60.0)
    now = replace(status(500), nodes=(node("attic", stored_count=120), away))
    assert copies(now, History()).waiting == "Repair begins in 60 s, when the share of cellar moves on."


def test_history_is_bounded_and_forgets_after_an_hour() -> None:
    history, now = History(), status(3)
    for second in range(0, 9000, 2):
        history.note(replace(now, unix_ms=NOW_MS + second * 1000, deficit_bytes=second))
    samples = history.samples()
    assert len(samples) <= SAMPLES_MAX
    assert samples[0].unix_ms >= NOW_MS + (9000 - 3600 - 10) * 1000
    spark = history.deficit(NOW_MS + 9_000_000)
    assert spark is not None
    assert spark.highest == "9.0 kB"
    assert len(spark.line) < 4000


def test_a_clock_that_goes_back_begins_the_history_anew() -> None:
    history, now = History(), status(3)
    history.note(now)
    history.note(replace(now, unix_ms=now.unix_ms - 10**7))
    assert len(history.samples()) == 1


# --- sources --------------------------------------------------------------------------------------------------------


def test_a_map_tells_stored_wanted_and_missing() -> None:
    each = source(1, IDS, stored={IDS[0]: "9900", IDS[1]: "0099"}, wanted={IDS[0]: "9990"})
    labels = {IDS[0]: blockmap.NodeLabel("attic", True, True), IDS[1]: blockmap.NodeLabel("cellar", False, True)}
    mine, theirs = blockmap.rows(each, labels)
    assert dict(mine.paths) == {"s4": "M0 0h2v7h-2z", "w": "M0 8h3v2h-3z", "m": "M2 8h1v2h-1z"}
    assert mine.text == "attic stores about 50 % of it, wants 75 %, and lacks 25 %"
    assert dict(theirs.paths) == {"s4": "M2 0h2v7h-2z"}


@pytest.mark.parametrize("cells", ["<script>", "9" * 100_000, "\u0664\u0665", ""])
def test_a_map_of_hostile_cells_is_only_numbers(cells: str) -> None:
    each = source(1, IDS, stored={"x": cells}, wanted={IDS[0]: "9"})
    for row in blockmap.rows(each, {}):
        assert row.cells <= blockmap.CELLS_MAX
        for _css, path in row.paths:
            assert set(path) <= set("Mhvz- 0123456789")


@pytest.mark.parametrize(
    "params",
    [{"page": "-1"}, {"page": "9" * 30}, {"page": "٣"}, {"order": "evil"}, {"q": "x" * 9000}, {"health": "<b>"}],
)
def test_a_query_that_makes_no_sense_is_a_plain_one(params: dict[str, str]) -> None:
    query = Query.of(params)
    assert query.page == 1
    assert query.order == "health"
    assert query.health == ""
    assert len(query.text) <= 200


def test_pages_beyond_the_last_are_the_last() -> None:
    shown = source_page(status(250), Query(page=99), 100)
    assert (shown.page, shown.pages, shown.first, len(shown.rows)) == (3, 3, 201, 50)


def test_search_is_by_any_part_of_the_name_or_the_beginning_of_the_cid() -> None:
    now = status(250)
    assert [row.name for row in source_page(now, Query(text="E-00042"), 100).rows] == ["file-00042.bin"]
    assert len(source_page(now, Query(text=now.sources[7].root), 100).rows) == 1
    assert source_page(now, Query(text="nothing"), 100).matching == 0


# --- room, repairs, plan, events ------------------------------------------------------------------------------------


def test_room_says_what_limits_it() -> None:
    big = node("attic", capacity_bytes=10 * TB, used_bytes=0, disk_free_bytes=10 * TB, disk_total_bytes=11 * TB)
    small = node("cellar", capacity_bytes=TB, used_bytes=0, disk_free_bytes=TB // 2)
    shown = room(replace(status(3), nodes=(big, small), storable_bytes=TB, deficit_bytes=0))
    assert shown.storable == "1.0 TB"
    said = " ".join(shown.reasons)
    assert "2 nodes that are here have 11.0 TB" in said
    assert "Of attic's room 9.0 TB finds no second node" in said
    assert "On cellar the disk itself has only 500 GB free" in said


def test_one_node_alone_is_told_that_copies_need_a_second() -> None:
    said = " ".join(room(replace(status(3), nodes=(node("attic"),))).reasons)
    assert "only 1 node can take one" in said


def titles(**changes: object) -> list[str]:
    well = replace(status(3), deficit_bytes=0, events=())
    return [repair.title for repair in repairs(replace(well, **changes))]  # type: ignore[arg-type]


def test_a_healthy_cluster_needs_no_hand() -> None:
    assert titles() == []


def test_leftovers_are_told_with_the_command_that_frees_their_room() -> None:
    well = replace(status(3), deficit_bytes=0, events=(), leftover_bytes=3 * GB)
    (repair,) = repairs(well)
    assert (repair.level, repair.command) == ("info", "ralnode leftovers")
    assert repair.title.startswith("3.0 GB on ")


def test_each_trouble_is_named_with_its_remedy() -> None:
    lost = source(1, IDS, health=Health.UNAVAILABLE, unreachable_count=3)
    bare = source(2, IDS, health=Health.AT_RISK, histogram=(4, 0, 1196, 0))
    found = titles(
        sources=(lost, bare),
        nodes=(
            node("attic", read_only_reason="an fsync failed", used_bytes=95 * GB, capacity_bytes=100 * GB),
            node("cellar", disk_free_bytes=10 * GB, version="0.2.0"),
            node("desk", liveness=Liveness.DEAD, repair_in_seconds=100.0),
            node("shed", planner="random/1"),
        ),
        events=(EventLine(NOW_MS, "error", "the planner failed"),),
    )
    assert found == [
        "1 file cannot be read whole",
        "attic refuses writes",
        "4 blocks have no copy besides the added file",
        "desk does not answer",
        "attic is nearly full",
        "cellar promises more than its disk has",
        "Nodes use different planners",
        "1 error in the last hour",
        "Nodes run different versions",
    ]


def test_a_plan_tells_what_it_moved_and_why() -> None:
    change = PlanChange(NOW_MS, "rendezvous/1", "ab", ("node shed counts from now on",), 12, 12_000_000, 1, 99)
    (move,) = plan_view(replace(status(3), plan_changes=(change,))).moves
    assert move.moved == "12 blocks (12.0 MB) more to keep here; 1 block no longer needed here"
    assert move.why == ("node shed counts from now on",)


HOSTILE = (EventLine(NOW_MS, "info", "=HYPERLINK(1)"), EventLine(NOW_MS, "<b>", 'a "b",\nc'))


def test_exports_are_whole_and_harmless_in_a_spreadsheet() -> None:
    rows = list(csv.reader(io.StringIO(eventlog.export(HOSTILE, "csv"))))
    assert rows[1][2] == "'=HYPERLINK(1)"
    assert rows[2][1:] == ["info", 'a "b",\nc']
    assert [each["text"] for each in json.loads(eventlog.export(HOSTILE, "json"))] == [line.text for line in HOSTILE]
    assert len(eventlog.export(HOSTILE, "txt").splitlines()) == len(HOSTILE)
