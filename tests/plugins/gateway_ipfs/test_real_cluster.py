"""The gateway in a real node: what that node does not hold, it reads from the others for a client that speaks HTTP only."""

import asyncio
import json
import random
import socket
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

from ralnode.dag import cid as cids
from ralnode.dag.car import CarReader
from ralnode.host.config import load as load_config
from ralnode.host.ingest import AddOptions
from ralnode.host.node import Node
from ralnode.host.operations import Operations
from ralnode.host.plugin_find import Where
from ralnode.host.plugins import load

SIZE_BYTES = 12_000_000
CONFIG = """\
[node]
name = "{name}"
data_dir = "{folder}"
listen_host = "127.0.0.1"
transport_port = 0
gossip_port = 0
page_port = 0
capacity = "{capacity}"
{code}
[use]
discovery = ["static"]
gateway = {gateway}
[gateway.ipfs]
port = {port}
tls_port = 0
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def start(stack: AsyncExitStack, folder: Path, capacity: str, code: str = "", port: int = 0) -> Operations:
    """A node; with a gateway if it has a port for one."""
    opened: asyncio.Future[Operations] = asyncio.get_running_loop().create_future()

    async def extras(operations: Operations, _stack: AsyncExitStack) -> None:
        opened.set_result(operations)

    folder.mkdir()
    path = folder / "ralnode.toml"
    path.write_text(
        CONFIG.format(
            name=folder.name, folder=folder / "data", capacity=capacity, port=port,
            code=f'join_code = "{code}"' if code else "", gateway='["ipfs"]' if port else "[]",
        )
    )  # fmt: skip
    path.chmod(0o600)
    home = {"HOME": str(folder)}
    node = Node(load_config(home, path=path), load(Where(home)), {}, extras)
    task = asyncio.create_task(node.run())

    async def stop() -> None:
        node.request_stop()
        await asyncio.wait_for(task, 30)

    stack.push_async_callback(stop)
    await asyncio.wait([task, opened], timeout=100, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
    return opened.result()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(100):
        while not condition():
            await asyncio.sleep(0.05)


async def get(url: str, **headers: str) -> bytes:
    return await asyncio.to_thread(lambda: urllib.request.urlopen(urllib.request.Request(url, headers=headers)).read())


async def status_of(url: str) -> int:
    try:
        await get(url)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    return 200


async def test_a_node_serves_over_http_what_only_others_hold(tmp_path: Path) -> None:
    data = random.Random(1).randbytes(SIZE_BYTES)
    (tmp_path / "film").write_bytes(data)
    port = free_port()
    async with AsyncExitStack() as stack:
        a = await start(stack, tmp_path / "a", "100 MB")
        b = await start(stack, tmp_path / "b", "4 MB", a.join_code(), port)
        await until(lambda: len(a.engine.live()) == 2 == len(b.engine.live()))
        added = await a.ingest.add_path(tmp_path / "film", AddOptions())
        await a.publish(added.source, added.holding)
        await until(
            lambda: bool(b.engine.sources()) and b.engine.holding(b.engine.me.id, added.source.root).has_interior
        )
        root = cids.to_text(added.source.root)
        url = f"http://127.0.0.1:{port}"
        assert await get(f"{url}/ipfs/{root}") == data
        assert await get(f"{url}/ipfs/{root}", Range="bytes=5000000-7000000") == data[5_000_000:7_000_001]
        reader = CarReader()
        blocks = list(reader.feed(await get(f"{url}/ipfs/{root}?format=car")))
        reader.finish()
        assert sum(len(block.data) for block in blocks if cids.codec_of(block.key) == cids.RAW) == SIZE_BYTES
        for block in blocks:
            assert await get(f"{url}/ipfs/{cids.to_text(block.key)}?format=raw") == block.data
            known = json.loads(await get(f"{url}/routing/v1/providers/{cids.to_text(block.key)}"))["Providers"]
            holders = [n for n in (b, a) if (await n.storage.held([block.key]))[0] != "no"]
            assert {record["ID"] for record in known} == {cids.peer_id(n.engine.me.id) for n in {b, *holders}}
        (gateway,) = b.status().gateways
        assert (gateway.port, len(gateway.fingerprint)) == (port, 95)
        records = json.loads(await get(f"{url}/routing/v1/providers/{root}"))["Providers"]
        assert [record["ID"] for record in records] == [cids.peer_id(n.engine.me.id) for n in (b, a)]
        assert records[1]["Addrs"] == [], "it has no gateway"
        at = "/ip4/127.0.0.1/tcp"
        assert records[0]["Addrs"] == [f"{at}/{port}/http", f"{at}/{gateway.tls_port}/tls/http"]
        assert b.storage.usage().used_bytes < SIZE_BYTES // 2
        await until(lambda: a.engine.node(b.engine.me.id).gateway_tls_port == gateway.tls_port)


async def test_every_holder_is_announced_with_the_address_of_its_gateway(tmp_path: Path) -> None:
    (tmp_path / "film").write_bytes(random.Random(2).randbytes(3_000_000))
    async with AsyncExitStack() as stack:
        a = await start(stack, tmp_path / "a", "100 MB", port=(port := free_port()))
        b = await start(stack, tmp_path / "b", "100 MB", a.join_code(), free_port())
        c = await start(stack, tmp_path / "c", "100 MB", a.join_code())
        added = await a.ingest.add_path(tmp_path / "film", AddOptions(copies=3))
        await a.publish(added.source, added.holding)
        root = added.source.root

        async def named() -> dict[str, list[str]]:
            answer = await get(f"http://127.0.0.1:{port}/routing/v1/providers/{cids.to_text(root)}")
            return {each["ID"]: each["Addrs"] for each in json.loads(answer)["Providers"]}

        def shown(node: Operations) -> list[str]:
            at = "/ip4/127.0.0.1/tcp"
            return [x for g in node.status().gateways for x in (f"{at}/{g.port}/http", f"{at}/{g.tls_port}/tls/http")]

        wanted = {cids.peer_id(node.engine.me.id): shown(node) for node in (a, b, c)}
        assert list(map(len, wanted.values())) == [2, 2, 0]
        async with asyncio.timeout(100):
            while await named() != wanted:
                await asyncio.sleep(0.05)
        await a.withdraw(root)
        target = f"http://127.0.0.1:{port}/ipfs/{cids.to_text(root)}?format=raw"
        async with asyncio.timeout(100):
            while await status_of(target) != 410:  # until its blocks have gone everywhere
                await asyncio.sleep(0.05)
