"""The status page over a real listener: what it shows, what it refuses, and that hostile names stay text."""

import asyncio
import http.client
import logging
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ralnode.api import (
    ClusterStatus,
    Context,
    EventLine,
    Health,
    Liveness,
    LocalError,
    Metric,
    NodeStatus,
    Settings,
    SourceStatus,
    UnavailableError,
)
from ralnode.testing.fake_identity import FakeIdentity
from ralnode_ui_web.options import WebOptions
from ralnode_ui_web.server import WebUi

EVIL = "<script>alert(1)</script>"


def node(name: str, **changes: Any) -> NodeStatus:
    made = NodeStatus(
        f"id-{name}", name, False, Liveness.ALIVE, "seeding", 10**12, 4 * 10**11, "cellar", "1.0", "10.0.0.2:10090", "",
        120, 118, 3, 0.0, None,
    )  # fmt: skip
    return replace(made, **changes)


def source(name: str, **changes: Any) -> SourceStatus:
    made = SourceStatus(
        "bafyroot",
        name,
        5 * 10**9,
        1200,
        2,
        Health.HEALTHY,
        (0, 0, 1200, 0),
        0,
        False,
        0,
        {"id-attic": "9990"},
        {"id-attic": "9900"},
    )
    return replace(made, **changes)


def cluster(**changes: Any) -> ClusterStatus:
    made = ClusterStatus(
        "All 2 files have 2 copies.", Health.HEALTHY, "id-attic", "home", "rendezvous/1", "ab" * 16, True,
        (node("attic", is_me=True), node("cellar")), (source("film"), source("book")), (0, 0, 2400, 0), 0, 10**12, None,
        (EventLine(1_700_000_000_000, "info", "node cellar is here"),), 1_700_000_000_000, "1.0",
    )  # fmt: skip
    return replace(made, **changes)


class FakeNode:
    """A NodeControl that says what it is told to."""

    def __init__(self) -> None:
        self.now: ClusterStatus | None = cluster()
        self.changed = asyncio.Event()

    def status(self) -> ClusterStatus:
        if self.now is None:
            raise UnavailableError("it has not started yet")
        return self.now

    def sources(self) -> Sequence[Any]:
        return ()

    async def changes(self) -> AsyncIterator[None]:
        while True:
            yield
            await self.changed.wait()
            self.changed.clear()

    def metrics(self) -> Sequence[Metric]:
        return [
            Metric("ralnode_used_bytes", "gauge", "Bytes\nused.", 5.0, {"node": 'a"b\\c\nd'}),
            Metric("ralnode_copies", "gauge", "Copies.", 2.5),
            Metric("ralnode_used_bytes", "gauge", "Bytes used.", 6.0, {"node": "b"}),
        ]


def context(fake: FakeNode, port: int = 0) -> Context:
    settings = Settings("attic", "home", "", Path(), "127.0.0.1", 0, 0, port, 0, 0, ())
    return Context(settings, FakeIdentity("attic"), fake, logging.getLogger("test"), random.Random(1), 1)  # type: ignore[arg-type]


class Browser:
    def __init__(self, ui: WebUi) -> None:
        self.port = int(ui.url.split(":")[2].split("/")[0])

    async def get(self, path: str, method: str = "GET", host: str = "127.0.0.1") -> tuple[int, dict[str, str], str]:
        return await asyncio.to_thread(self._get, path, method, host)

    def _get(self, path: str, method: str, host: str) -> tuple[int, dict[str, str], str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request(method, path, headers={"Host": host})
        answer = connection.getresponse()
        body = answer.read().decode()
        connection.close()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, body


@pytest.fixture
async def page() -> AsyncIterator[tuple[FakeNode, Browser]]:
    fake = FakeNode()
    ui = WebUi(context(fake), WebOptions(hosts=("nas.example",)))
    await ui.start()
    yield fake, Browser(ui)
    await ui.stop()


async def test_the_sentence_of_truth_and_every_node_and_source_are_on_the_page(page: tuple[FakeNode, Browser]) -> None:
    _fake, browser = page
    status, headers, body = await browser.get("/dashboard")
    assert status == 200
    for text in (
        "All 2 files have 2 copies.",
        "attic",
        "cellar",
        "film",
        "book",
        "node cellar is here",
        "<b>118</b> stored of 120 wanted",
    ):
        assert text in body
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"


async def test_hostile_names_stay_text(page: tuple[FakeNode, Browser]) -> None:
    fake, browser = page
    fake.now = cluster(
        sentence=EVIL,
        nodes=(node(EVIL, page_url="javascript:alert(1)", activity=EVIL, zone=EVIL),),
        sources=(source(EVIL, stored={"id-x": EVIL}),),
        events=(EventLine(0, EVIL, EVIL),),
    )
    _status, _headers, body = await browser.get("/dashboard")
    assert "<script>alert" not in body
    assert "javascript:" not in body
    assert "&lt;script&gt;" in body


async def test_a_dead_node_is_grey_with_the_countdown_to_repair(page: tuple[FakeNode, Browser]) -> None:
    fake, browser = page
    fake.now = cluster(nodes=(node("attic", liveness=Liveness.DEAD, last_seen_seconds=30.0, repair_in_seconds=570.0),))
    _status, _headers, body = await browser.get("/dashboard")
    assert 'class="node down"' in body
    assert "last seen 30 s ago, its share moves on in 10 min" in body


async def test_everything_the_page_loads_is_here(page: tuple[FakeNode, Browser]) -> None:
    _fake, browser = page
    _status, _headers, body = await browser.get("/dashboard")
    assert "http://" not in body
    assert "https://" not in body
    for path in ("/static/style.css", "/static/htmx.min.js", "/static/htmx-sse.min.js"):
        assert path in body
        assert (await browser.get(path))[0] == 200


async def test_the_live_stream_sends_the_fragment_at_once_and_on_every_change(page: tuple[FakeNode, Browser]) -> None:
    fake, browser = page
    reader, writer = await asyncio.open_connection("127.0.0.1", browser.port)
    writer.write(b"GET /dashboard/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await reader.readuntil(b"All 2 files have 2 copies.")
    fake.now = cluster(sentence="1 of 2 files has too few copies.")
    fake.changed.set()
    await reader.readuntil(b"1 of 2 files has too few copies.")
    writer.close()


async def test_metrics_are_in_the_text_format(page: tuple[FakeNode, Browser]) -> None:
    status, headers, body = await page[1].get("/metrics")
    assert status == 200
    assert headers["content-type"].startswith("text/plain; version=0.0.4")
    assert body == (
        "# HELP ralnode_used_bytes Bytes\\nused.\n# TYPE ralnode_used_bytes gauge\n"
        'ralnode_used_bytes{node="a\\"b\\\\c\\nd"} 5\nralnode_used_bytes{node="b"} 6\n'
        "# HELP ralnode_copies Copies.\n# TYPE ralnode_copies gauge\nralnode_copies 2.5\n"
    )


async def test_health_and_readiness_differ_while_the_node_starts(page: tuple[FakeNode, Browser]) -> None:
    fake, browser = page
    assert (await browser.get("/readyz"))[0] == 200
    fake.now = None
    assert (await browser.get("/healthz"))[0] == 200
    for path in ("/readyz", "/dashboard", "/api/v1/status"):
        assert (await browser.get(path))[0] == 503


async def test_many_sources_are_cut_to_the_least_healthy(page: tuple[FakeNode, Browser]) -> None:
    fake, browser = page
    many = tuple(source(f"file-{i:05}", root=f"bafy{i}") for i in range(10_000))
    fake.now = cluster(sources=(*many, source("lost", root="bafylost", health=Health.UNAVAILABLE, unreachable_count=7)))
    _status, _headers, body = await browser.get("/dashboard")
    assert "7 of 1,200 blocks out of reach" in body
    assert "of 10,001" in body
    assert "file-09999" not in body
    assert len(body) < 300_000


async def test_a_taken_port_is_named_with_a_way_out(page: tuple[FakeNode, Browser]) -> None:
    second = WebUi(context(FakeNode(), page[1].port), WebOptions())
    with pytest.raises(LocalError, match="page_port"):
        await second.start()
