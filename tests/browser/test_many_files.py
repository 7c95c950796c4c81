"""10,000 files on one page: found by the server, shown in pages, renewed in place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from page_contrast import SCRIPT_FINDS_FAINT_TEXT
from page_status import NOW_MS, ServedPage, ToldNode, node, status

from ralnode.api import ClusterStatus, EventLine, Health, Liveness

MANY = 10_000


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedPage]:
    with ServedPage(ToldNode(status(MANY)), tmp_path_factory.mktemp("page")) as made:
        yield made


@pytest.fixture
def desk(chromium: Any, served: ServedPage, watch: Any) -> Iterator[Any]:
    context = watch.follow(chromium.new_context(viewport={"width": 1200, "height": 900}))
    page = context.new_page()
    page.goto(f"{served.address}/dashboard")
    yield page
    context.close()


def names(page: Any) -> list[str]:
    found: list[str] = page.locator(".source .name").all_inner_texts()
    return found


def test_one_of_ten_thousand_is_found_by_the_server(desk: Any) -> None:
    assert desk.locator("text=10,000 files").count() >= 1
    desk.fill("#q", "FILE-07777")
    desk.press("#q", "Enter")
    desk.wait_for_url("**q=FILE-07777**")
    assert names(desk) == ["file-07777.bin"]
    desk.get_by_role("link", name="show all").click()
    desk.wait_for_url(lambda address: "q=" not in address)
    assert len(names(desk)) > 20


def test_pages_go_on_and_back_and_keep_their_order(desk: Any) -> None:
    desk.select_option("#order", "name")
    desk.click(".search button")
    desk.wait_for_url("**order=name**")
    first = names(desk)
    assert first[0] == "file-00000.bin"
    desk.get_by_role("link", name="Next").click()
    desk.wait_for_url("**page=2**")
    assert names(desk)[0] == f"file-{len(first):05}.bin"
    desk.get_by_role("link", name="Previous").click()
    desk.wait_for_url(lambda address: "page=" not in address)
    assert names(desk) == first


def test_those_in_need_come_first_and_can_be_had_alone(desk: Any) -> None:
    assert names(desk)[0] == "file-00499.bin"
    desk.check("input[name=health]")
    desk.click(".search button")
    desk.wait_for_url("**health=short**")
    assert len(names(desk)) == MANY // 500


def test_a_change_of_one_file_is_seen_without_loading_and_keeps_what_is_open(desk: Any, served: ServedPage) -> None:
    row = desk.locator(".source", has=desk.locator(".name", has_text="file-00499.bin"))
    last = desk.locator(".source").last
    last.locator("summary").click()
    before = served.told.status()
    lost = replace(before.sources[499], health=Health.UNAVAILABLE, unreachable_count=7)
    served.told.tell(replace(before, sources=(*before.sources[:499], lost, *before.sources[500:])))
    row.locator("text=7 of 1,200 blocks out of reach").wait_for()
    assert last.evaluate("row => row.open"), "what the reader has opened stays open"
    served.told.tell(before)
    row.locator("text=blocks short").wait_for()


def troubled() -> ClusterStatus:
    """Every state that a node or a source can be in, at once."""
    well = status(8)
    nodes = (
        node("attic", activity="downloading", stored_count=60, receive_bytes_per_second=5e7),
        node("cellar", used_bytes=95 * 10**10, activity="full"),
        node("closet", liveness=Liveness.SUSPECT),
        node("desk", disk_free_bytes=10**11, version="0.2.0", planner="random/1"),
        node("garage", liveness=Liveness.DEAD, last_seen_seconds=200.0, repair_in_seconds=300.0),
        node("shed", draining=True),
    )
    lost = replace(well.sources[0], health=Health.UNAVAILABLE, unreachable_count=12)
    bare = replace(well.sources[1], health=Health.AT_RISK, histogram=(30, 100, 1070, 0))
    late = replace(well.sources[2], health=Health.REPAIRING, histogram=(0, 100, 1100, 0))
    lines = (EventLine(NOW_MS, "warning", "node garage does not answer"), EventLine(NOW_MS, "error", "planner failed"))
    return replace(
        well, nodes=nodes, sources=(lost, bare, late, *well.sources[3:]), events=lines, plan_agreement=False,
        histogram=(30, 200, 9370, 0), deficit_bytes=10**9,
    )  # fmt: skip


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_trouble_has_contrast_and_fits_a_phone(
    chromium: Any, served: ServedPage, watch: Any, scheme: str
) -> None:
    size = {"width": 320, "height": 700}
    context = watch.follow(chromium.new_context(color_scheme=scheme, viewport=size, is_mobile=True))
    page = context.new_page()
    before = served.told.status()
    try:
        for health in Health:
            served.told.tell(replace(troubled(), health=health, sentence=f"It is {health.value}."))
            page.goto(f"{served.address}/dashboard")
            assert page.evaluate(SCRIPT_FINDS_FAINT_TEXT) == [], health
            assert page.evaluate("document.documentElement.scrollWidth") <= 320
    finally:
        served.told.tell(before)
        context.close()


def test_faint_text_would_be_found(desk: Any) -> None:
    desk.evaluate("document.querySelector('h1').style.color = '#c8c8c8'")
    (found,) = desk.evaluate(SCRIPT_FINDS_FAINT_TEXT)
    assert "too few copies" in found
