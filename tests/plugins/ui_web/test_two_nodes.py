"""The page of one real node at work on two: files added and taken back, the other one resized, drained, checked, stopped."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from page_client import Client, signed_in

from ralnode.host.config import load as load_config
from ralnode.host.node import Node
from ralnode.host.operations import Operations
from ralnode.host.plugin_find import Where
from ralnode.host.plugins import load

DATA = random.Random(7).randbytes(6_000_000)
SECONDS_MAX = 100
"""For one step on a machine that is busy with everything else; 1 s is usual."""

pytestmark = pytest.mark.timeout(200)


@asynccontextmanager
async def running(folder: Path, name: str, code: str = "", capacity: str = "60 MB") -> AsyncIterator[Operations]:
    """A node with all its plugins but those that speak to the LAN."""
    opened: asyncio.Future[Operations] = asyncio.get_running_loop().create_future()

    async def extras(operations: Operations, _stack: AsyncExitStack) -> None:
        opened.set_result(operations)

    flags = {
        "node.name": name, "node.data_dir": str(folder / name), "node.listen_host": "127.0.0.1", "node.capacity": capacity,
        "node.transport_port": "0", "node.gossip_port": "0", "node.page_port": "0", "node.join_code": code or None,
        "use.discovery": "static", "use.gateway": "",
    }  # fmt: skip
    environ = {"HOME": str(folder)}
    node = Node(load_config(environ, flags), load(Where(environ)), {}, extras)
    task = asyncio.create_task(node.run())
    await asyncio.wait([task, opened], timeout=SECONDS_MAX, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
    try:
        yield opened.result()
    finally:
        node.request_stop()
        await asyncio.wait_for(task, 15)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS_MAX):
        while not condition():
            await asyncio.sleep(0.05)


async def quiet(measure: Callable[[], int]) -> None:
    """Until it has grown and then not changed for a while."""
    before, unchanged = measure(), 0
    async with asyncio.timeout(SECONDS_MAX):
        while unchanged < 15:
            await asyncio.sleep(0.1)
            now = measure()
            unchanged = unchanged + 1 if now == before and now > 10 << 20 else 0
            before = now


async def page_of(node: Operations) -> Client:
    """Signed in as admin."""
    page = node._setup.roles.ui[0].service
    link = (await page.administer("link", {}))["link"]  # type: ignore[attr-defined]
    port = int(page.url.split(":")[2].partition("/")[0])
    return await signed_in(Client(port), link)


async def press(client: Client, action: str, **fields: str) -> str:
    """As a person does: looks at the confirmation, types the name, presses the button. Returns what was foreseen."""
    look = await client.post(f"/actions/{action}", fields)
    assert look.status == 200, look.text
    client.csrf = look.text.partition('name="csrf_token" value="')[2].partition('"')[0]
    typed = fields.pop("_typed", "")
    done = await client.post(f"/actions/{action}", {**fields, "typed": typed, "confirmed": "yes"})
    assert done.status == 303, done.text
    return look.text


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[tuple[Operations, Operations, Client]]:
    async with (
        running(tmp_path, "attic") as attic,
        running(tmp_path, "cellar", attic.join_code()) as cellar,
    ):
        await until(lambda: len(attic.engine.live()) == 2 == len(cellar.engine.live()))
        yield attic, cellar, await page_of(attic)


def peer_id(node: Operations) -> str:
    return next(each.id for each in node.status().nodes if each.is_me)


async def send(client: Client, query: str, data: bytes) -> Any:
    return await client.ask(
        "PUT",
        f"/actions/upload?{query}",
        data,
        Origin=client.origin,
        X_CSRF_Token=client.csrf,
        Accept="application/json",
    )


async def test_a_file_goes_in_at_one_page_and_comes_out_at_the_other(
    pair: tuple[Operations, Operations, Client],
) -> None:
    attic, cellar, client = pair
    added = await send(client, "name=film.mp4&mtime_ms=1700000000000", DATA)
    assert added.status == 201, added.text
    root = added.json["root"]
    await until(lambda: [s.name for s in cellar.status().sources] == ["film.mp4"])
    other = await page_of(cellar)
    whole = await other.get(f"/content/{root}")
    assert whole.body == DATA and "film.mp4" in whole.headers["content-disposition"]
    part = await other.get(f"/content/{root}", Range="bytes=3000000-3000999")
    assert (part.status, part.body) == (206, DATA[3_000_000:3_001_000])
    await until(lambda: attic.status().health.value == "healthy")
    why = await other.get(f"/api/v1/sources/{root}/why?index=0")
    assert set(why.json["holders"]) == {"attic", "cellar"} and why.json["lines"]
    await press(other, "remove", source=root, _typed="film.mp4")
    await until(lambda: not attic.status().sources)
    await until(lambda: attic.storage.usage().block_count == 0 == cellar.storage.usage().block_count)


async def test_a_long_upload_that_broke_off_goes_on_where_it_was_noted_last(tmp_path: Path) -> None:
    block = random.Random(8).randbytes(1 << 20)
    data = b"".join(bytes([n]) + block[1:] for n in range(104))
    async with running(tmp_path, "attic", capacity="200 MB") as attic:
        client = await page_of(attic)
        query = f"name=film&size={len(data)}&mtime_ms=1700000000000"
        head = (
            f"PUT /actions/upload?{query} HTTP/1.1\r\nHost: 127.0.0.1:{client.port}\r\nOrigin: {client.origin}\r\n"
            f"X-CSRF-Token: {client.csrf}\r\nCookie: {'; '.join(f'{k}={v}' for k, v in client.cookies.items())}\r\n"
            f"Content-Length: {len(data)}\r\n\r\n"
        )
        _reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
        writer.write(head.encode() + data[:-10])
        await writer.drain()
        await quiet(lambda: attic.storage.usage().used_bytes)
        writer.close()
        async with asyncio.timeout(SECONDS_MAX):
            while not (offset := (await client.get(f"/actions/upload?{query}")).json["offset"]):
                await asyncio.sleep(0.1)
        assert offset == 64 << 20 and not attic.status().sources
        rest = await send(client, f"{query}&offset={offset}", data[offset:])
        assert rest.status == 201, rest.text
        assert (await client.get(f"/content/{rest.json['root']}")).body == data
        refused = await send(client, "name=huge&size=900000000", b"x")
        assert refused.status == 507 and "Nothing was stored" in refused.json["error"]


async def test_the_other_node_is_resized_drained_and_taken_back(
    pair: tuple[Operations, Operations, Client],
) -> None:
    attic, cellar, client = pair
    there = peer_id(cellar)
    added = await send(client, "name=film", DATA)
    await until(lambda: attic.status().health.value == "healthy" == cellar.status().health.value)

    await press(client, "capacity", node=there, capacity="70 MB")
    assert cellar.storage.usage().capacity_bytes == 70_000_000
    refused = await client.post("/actions/capacity", {"node": there, "capacity": "1 MB"})
    assert refused.status == 200 and "uses" in refused.text and 'name="confirmed"' not in refused.text

    foreseen = await press(client, "drain", node=there, _typed="cellar")
    assert "cannot be 2 copies" in foreseen
    await until(lambda: next(n.draining for n in attic.status().nodes if n.name == "cellar"))
    await until(lambda: [n.id for n in attic.engine.plan_view.nodes] == [attic.engine.me.id])  # type: ignore[union-attr]
    assert (await (await page_of(cellar)).get(f"/content/{added.json['root']}")).body == DATA  # it serves on
    await press(client, "undrain", node=there)
    await until(lambda: len(attic.engine.plan_view.nodes) == 2)  # type: ignore[union-attr]


async def test_the_other_node_is_checked_and_stopped(pair: tuple[Operations, Operations, Client]) -> None:
    attic, cellar, client = pair
    there = peer_id(cellar)
    await press(client, "scrub", node=there, do="start")
    await until(lambda: cellar.verify_job.state.state == "done")
    assert cellar.verify_job.state.bad_count == 0

    await press(client, "stop", node=there, _typed="cellar")
    await until(lambda: len(attic.engine.live()) == 1)
    gone = await client.post("/actions/stop", {"node": there})
    assert gone.status == 503 and "does not answer now" in gone.text
    assert any("admin at 127.0.0.1: cellar is stopping" in line.text for line in attic.engine.events)


async def test_draining_outlives_a_restart(tmp_path: Path) -> None:
    async with running(tmp_path, "attic") as attic:
        code = attic.join_code()
        async with running(tmp_path, "cellar", code) as cellar:
            await until(lambda: len(cellar.engine.live()) == 2)
            await cellar.set_draining(True)
            await until(lambda: cellar.engine.me.draining)
        async with running(tmp_path, "cellar", code) as cellar:
            assert cellar.engine.me.draining
