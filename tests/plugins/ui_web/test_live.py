"""The live stream: it sends what has changed and nothing else, however many sources there are."""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from page_status import ToldNode, page_of, status

from ralnode.api import ClusterStatus, EventLine, Liveness

MANY = 10_000


class Client:
    """Reads the page and its stream over one socket each."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._kept: list[asyncio.StreamWriter] = []
        """A writer that nobody holds closes its connection."""

    async def close(self) -> None:
        for writer in self._kept:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in self._kept), return_exceptions=True)

    async def page(self, query: str = "") -> str:
        reader, writer = await self._ask(f"/dashboard{query}")
        data = await reader.read()
        writer.close()
        return data.decode()

    async def stream(self, page: str) -> asyncio.StreamReader:
        found = re.search(r'sse-connect="([^"]+)"', page)
        assert found
        return (await self._ask(html.unescape(found[1]), "keep-alive"))[0]

    async def _ask(self, path: str, connection: str = "close") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 24)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: {connection}\r\n\r\n".encode())
        self._kept.append(writer)
        return reader, writer


async def until(reader: asyncio.StreamReader, text: str) -> str:
    """What was sent up to the end of the event that has this text."""
    sent = ""
    async with asyncio.timeout(20):
        while not re.search(re.escape(text) + r".*?\n\n", sent, re.DOTALL):
            piece = await reader.read(1 << 16)
            assert piece, f"the stream ended before {text!r}"
            sent += piece.decode()
    return sent


def events(sent: str) -> list[str]:
    return re.findall(r"^event: (\S+)", sent, re.MULTILINE)


@pytest.fixture
async def told(tmp_path: Path) -> AsyncIterator[tuple[ToldNode, Client]]:
    node = ToldNode(status(MANY))
    ui = page_of(node, tmp_path)
    await ui.start()
    client = Client(int(ui.url.split(":")[2].split("/")[0]))
    yield node, client
    await client.close()
    await ui.stop()


def now(node: ToldNode) -> ClusterStatus:
    return node.status()


async def test_the_page_of_ten_thousand_sources_is_small(told: tuple[ToldNode, Client]) -> None:
    _node, client = told
    page = await client.page()
    assert len(page.encode()) < 300_000
    assert "file-00499.bin" in page
    assert "10,000 files" in page


async def test_only_what_has_changed_since_the_page_was_made_is_sent(told: tuple[ToldNode, Client]) -> None:
    node, client = told
    reader = await client.stream(await client.page())
    await until(reader, "retry:")
    before = now(node)
    node.tell(replace(before, nodes=(replace(before.nodes[0], activity="downloading"), *before.nodes[1:])))
    sent = await until(reader, "downloading")
    assert [name.partition("-")[0] for name in events(sent)] == ["node"], "one node has changed, and nothing else"
    assert len(sent) < 4_000


async def test_a_source_off_the_page_sends_nothing_of_the_list(told: tuple[ToldNode, Client]) -> None:
    node, client = told
    reader = await client.stream(await client.page("?q=file-0049"))
    await until(reader, "retry:")
    before = now(node)
    other = replace(before.sources[9_000], stored={})
    changed = replace(before, sources=(*before.sources[:9_000], other, *before.sources[9_001:]))
    node.tell(replace(changed, events=(*before.events[1:], EventLine(before.unix_ms, "info", "the mark"))))
    assert events(await until(reader, "the mark")) == ["events"]


async def test_a_new_order_sends_the_whole_list_once(told: tuple[ToldNode, Client]) -> None:
    node, client = told
    reader = await client.stream(await client.page("?q=file-0049&order=name"))
    await until(reader, "retry:")
    before = now(node)
    node.tell(replace(before, sources=(*before.sources[:490], *before.sources[491:])))
    sent = await until(reader, "event: sources")
    assert "file-00490" not in sent
    assert "file-00491" in sent
    assert len(sent) < 60_000


async def test_a_dead_node_changes_the_list_of_nodes(told: tuple[ToldNode, Client]) -> None:
    node, client = told
    reader = await client.stream(await client.page())
    await until(reader, "retry:")
    before = now(node)
    dead = replace(before.nodes[1], liveness=Liveness.DEAD, last_seen_seconds=30.0, repair_in_seconds=570.0)
    node.tell(replace(before, nodes=(before.nodes[0], dead, *before.nodes[2:])))
    sent = await until(reader, "its share moves on in 10 min")
    assert "nodes" in events(sent)
    assert 'class="node down"' in sent


async def test_who_comes_back_is_sent_everything(told: tuple[ToldNode, Client]) -> None:
    _node, client = told
    page = await client.page()
    await until(await client.stream(page), "retry:")
    again = await client.stream(page)
    sent = await until(again, "event: sources")
    assert {"truth", "copies", "room", "repairs", "events", "plan", "nodes", "sources"} <= set(events(sent))


async def test_viewers_are_bounded(tmp_path: Path) -> None:
    ui = page_of(ToldNode(status(3)), tmp_path, viewers_max=2)
    await ui.start()
    client = Client(int(ui.url.split(":")[2].split("/")[0]))
    page = await client.page()
    held = [await client.stream(page) for _ in range(2)]
    for each in held:
        await until(each, "retry:")
    refused = await client.stream(page)
    assert "503" in (await asyncio.wait_for(refused.readline(), 10)).decode()
    await client.close()
    await ui.stop()


@pytest.mark.parametrize(
    ("path", "code", "said"),
    [
        ("/dashboard/source/nope", 404, "no such file in the catalogue"),
        ("/dashboard/source/%3Cscript%3E", 404, "no such file in the catalogue"),
        ("/dashboard/why?source=x&index=-1", 400, "a number from 0 on"),
        ("/dashboard/why?source=x&index=" + "9" * 5000, 400, "a number from 0 on"),
        ("/dashboard/events.exe", 404, "events.csv"),
    ],
)
async def test_what_cannot_be_looked_at_is_refused_in_words(tmp_path: Path, path: str, code: int, said: str) -> None:
    ui = page_of(ToldNode(status(3)), tmp_path)
    await ui.start()
    client = Client(int(ui.url.split(":")[2].split("/")[0]))
    reader, _writer = await client._ask(path)
    answer = (await reader.read()).decode()
    assert answer.startswith(f"HTTP/1.1 {code} ")
    assert said in answer
    await client.close()
    await ui.stop()


async def test_a_node_that_starts_says_so(tmp_path: Path) -> None:
    ui = page_of(ToldNode(None), tmp_path)
    await ui.start()
    client = Client(int(ui.url.split(":")[2].split("/")[0]))
    answer = await client.page()
    assert answer.startswith("HTTP/1.1 503 ")
    assert "it has not started yet" in answer
    await client.close()
    await ui.stop()
