"""10,000 files on one page: found by the server, shown in pages, renewed in place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from page_status import ServedPage, ToldNode, status

from ralnode.api import Health

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
