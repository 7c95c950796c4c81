"""What programs read: the status in pages, one source, why, the events as a file; errors as JSON."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, replace

import pytest
from page_client import Web
from page_status import status

from ralnode.api import EventLine


async def test_the_json_is_the_status_itself(web: Web) -> None:
    found = (await web.client().get("/api/v1/status")).json
    extra = {"sources_total": 3, "sources_matching": 3, "sources_offset": 0}
    assert found == json.loads(json.dumps(asdict(web.node.status()))) | extra


async def test_ten_thousand_sources_come_in_pages_and_are_searched(web: Web) -> None:
    web.node.now = status(10_000)
    client = web.client()
    began = time.monotonic()
    first = await client.get("/api/v1/status")
    assert len(first.json["sources"]) == 1000 and first.json["sources_total"] == 10_000
    assert time.monotonic() - began < 20
    page = (await client.get("/api/v1/status?sources_offset=9990&sources_limit=20")).json
    assert [s["name"] for s in page["sources"]] == [f"file-{n:05}.bin" for n in range(9990, 10_000)]
    assert len(json.dumps((await client.get("/api/v1/status?sources_limit=0")).json)) < 200_000
    found = (await client.get("/api/v1/status?q=FILE-0012&sources_limit=5")).json
    assert (found["sources_matching"], len(found["sources"])) == (10, 5)
    root = page["sources"][0]["root"]
    assert (await client.get(f"/api/v1/status?q={root}")).json["sources_matching"] == 1
    short = (await client.get("/api/v1/status?health=repairing")).json
    assert short["sources_matching"] == 20 and {s["health"] for s in short["sources"]} == {"repairing"}


@pytest.mark.parametrize(
    "query", ["sources_limit=-1", "sources_limit=100000", "sources_offset=x", "q=" + "x" * 300, "sources_limit=%D9%A1"]
)
async def test_pages_that_cannot_be_are_refused(web: Web, query: str) -> None:
    found = await web.client().ask("GET", f"/api/v1/status?{query}")
    assert found.status == 400 and found.json["exit_code"] == 64


async def test_why_a_block_is_where_it_is_comes_from_the_planner(web: Web) -> None:
    found = await web.client().get("/api/v1/sources/bafyroot/why?index=7")
    assert found.json == {"index": 7, "lines": ["because"]}
    told = web.node.told[-1]
    assert (told.name, told.params) == ("plan_why", {"source": "bafyroot", "index": 7})
    for index in ("", "-1", "x", "9" * 20):
        assert (await web.client().get(f"/api/v1/sources/bafyroot/why?index={index}")).status == 400


async def test_the_event_log_is_a_file_to_keep(web: Web) -> None:
    assert web.node.now is not None
    hostile = EventLine(1_700_000_000_000, "warning", "a\nb\x1b[2J")
    web.node.now = replace(web.node.now, events=(*web.node.now.events, hostile))
    whole = (await web.client().get("/api/v1/events")).json["events"]
    assert len(whole) == 1000 and whole[-1]["text"] == hostile.text
    assert len((await web.client().get("/api/v1/events?limit=5")).json["events"]) == 5
    text = await web.client().get("/api/v1/events?format=text&limit=1")
    assert text.text == "2023-11-14T22:13:20Z warning: a b [2J\n"
    assert text.headers["content-disposition"].startswith("attachment")
    for query in ("limit=0", "limit=1001", "format=exe"):
        assert (await web.client().get(f"/api/v1/events?{query}")).status == 400


async def test_a_node_that_is_starting_is_alive_and_not_ready(web: Web) -> None:
    web.node.now = None
    client = web.client()
    assert (await client.get("/healthz")).status == 200
    assert (await client.get("/readyz")).status == 503
    found = await client.get("/api/v1/status")
    assert found.status == 503 and found.headers["retry-after"] and found.json["class"] == "UnavailableError"


async def test_errors_are_pages_for_people_and_json_for_programs(web: Web) -> None:
    page = await web.client().get("/nowhere")
    assert page.status == 404 and "<h1" in page.text
    program = await web.client().get("/api/v1/nowhere")
    assert program.status == 404 and program.json["error"]
    assert (await web.client().get("/nowhere", Accept="application/json")).json["exit_code"] == 66
