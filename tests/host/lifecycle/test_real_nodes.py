"""Nodes with the real plugins, in this process and over loopback: what one adds, the others fetch, serve and give back."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from ralnode.api import Health, Holding, UnavailableError, UsageError
from ralnode.host.commands import dispatch
from ralnode.host.config import load as load_config
from ralnode.host.ingest import AddOptions
from ralnode.host.node import Node
from ralnode.host.operations import Operations
from ralnode.host.plugin_find import Where
from ralnode.host.plugins import load

SIZE_BYTES = 12_000_000


class Home:
    """Several machines, each with its own folder; the second and later ones join the first."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.code = ""

    @asynccontextmanager
    async def node(self, name: str, capacity: str = "100 MB") -> AsyncIterator[Operations]:
        opened: asyncio.Future[Operations] = asyncio.get_running_loop().create_future()

        async def extras(operations: Operations, _stack: AsyncExitStack) -> None:
            opened.set_result(operations)

        flags = {
            "node.name": name,
            "node.data_dir": str(self.path / name),
            "node.listen_host": "127.0.0.1",
            "node.transport_port": "0",
            "node.gossip_port": "0",
            "node.page_port": "0",
            "node.capacity": capacity,
            "node.join_code": self.code or None,
            "use.discovery": "static",
        }
        config = load_config({"HOME": str(self.path)}, flags)
        node = Node(config, load(Where({"HOME": str(self.path)})), {}, extras)
        task = asyncio.create_task(node.run())
        await asyncio.wait([task, opened], timeout=100, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        operations = opened.result()
        self.code = self.code or operations.join_code()
        try:
            yield operations
        finally:
            node.request_stop()
            await asyncio.wait_for(task, 30)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    yield Home(tmp_path)


async def until(condition: Callable[[], bool], seconds: float = 40) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.05)


async def whole(node: Operations, name: str) -> bytes:
    return b"".join([piece async for piece in (await node.control.open(name)).read()])


async def test_three_nodes_share_a_file_and_give_it_back_after_one_has_gone(home: Home, tmp_path: Path) -> None:
    data = random.Random(1).randbytes(SIZE_BYTES)
    (tmp_path / "film").write_bytes(data)
    async with home.node("b") as b, home.node("c") as c:
        async with home.node("a") as a:
            await until(lambda: all(len(node.engine.live()) == 3 for node in (a, b, c)))
            added = await a.ingest.add_path(tmp_path / "film", AddOptions())
            await a.publish(added.source, added.holding)
            await until(lambda: all(node.status().health is Health.HEALTHY for node in (a, b, c)))
            await until(lambda: all(node.engine.plan and node.status().sources for node in (a, b, c)))
            assert await whole(c, "film") == data
            assert (await b.control.command("nodes", {}, "c"))["nodes"]
        await until(lambda: len(b.engine.live()) == 2)
        assert await whole(c, "film") == data
        await b.withdraw(added.source.root)
        await until(lambda: not c.engine.sources())
        await until(lambda: c.storage.usage().block_count == 0 == b.storage.usage().block_count)


async def test_a_node_comes_back_with_what_it_had(home: Home, tmp_path: Path) -> None:
    (tmp_path / "film").write_bytes(random.Random(2).randbytes(SIZE_BYTES))
    async with home.node("a") as a:
        added = await a.ingest.add_path(tmp_path / "film", AddOptions())
        await a.publish(added.source, added.holding)
        me = a.engine.me.id
    async with home.node("a") as a:
        assert a.engine.me.id == me
        (source,) = a.engine.sources()
        assert source == added.source
        await until(lambda: a.engine.holding(me, source.root) == added.holding)


async def test_a_file_by_reference_that_vanishes_is_retracted(home: Home, tmp_path: Path) -> None:
    (tmp_path / "film").write_bytes(random.Random(3).randbytes(SIZE_BYTES))
    async with home.node("a", "4 MB") as a:
        added = await a.ingest.add_path(tmp_path / "film", AddOptions(link=True))
        await a.publish(added.source, added.holding)
        assert added.holding.linked
        (tmp_path / "film").unlink()
        keys = await a.dag.leaf_keys(added.source)
        assert await a.control.block(keys[len(keys) - 1], local_only=True) is None
        await until(lambda: a.engine.holding(a.engine.me.id, added.source.root).linked == Holding().linked)
        assert any("were lost" in line.text for line in a.engine.events)


async def test_what_was_deleted_while_it_was_added_is_not_published(home: Home, tmp_path: Path) -> None:
    """A removal goes on beside an add: the add must not tell of blocks that the removal has taken."""
    (tmp_path / "film").write_bytes(random.Random(4).randbytes(SIZE_BYTES))
    async with home.node("a") as a:
        async with a.ingest.unpublished.work():
            added = await a.ingest.add_path(tmp_path / "film", AddOptions())
            await a.publish(added.source, added.holding)
        async with a.ingest.unpublished.work():
            again = await a.ingest.add_path(tmp_path / "film", AddOptions())
            await a.withdraw(added.source.root)
            await until(lambda: a.storage.usage().block_count == 0)
            with pytest.raises(UnavailableError, match="Add it again"):
                await a.publish(again.source, again.holding)
        async with a.ingest.unpublished.work():
            again = await a.ingest.add_path(tmp_path / "film", AddOptions())
            await a.publish(again.source, again.holding)
        assert list(a.engine.sources()) == [again.source]
        assert await whole(a, "film") == (tmp_path / "film").read_bytes()


async def test_leftovers_are_told_and_deleted_by_command_also_on_another_node(home: Home, tmp_path: Path) -> None:
    (tmp_path / "film").write_bytes(random.Random(5).randbytes(SIZE_BYTES))
    (tmp_path / "book").write_bytes(random.Random(6).randbytes(SIZE_BYTES))
    async with home.node("b") as b, home.node("c") as c:
        await until(lambda: len(b.engine.live()) == 2 == len(c.engine.live()))
        async with b.ingest.unpublished.work():
            added = await b.ingest.add_path(tmp_path / "book", AddOptions(copies=2))
            await b.publish(added.source, added.holding)
        await until(lambda: c.status().health is Health.HEALTHY and len(c.engine.sources()) == 1)
        kept_count = b.storage.usage().block_count
        await b.ingest.add_path(tmp_path / "film", AddOptions())  # never published

        async def ask(**params: object) -> Mapping[str, Any]:
            answer = await dispatch(c, "leftovers", params, "b")
            while answer["state"] in ("counting", "deleting"):
                await asyncio.sleep(0.02)
                answer = await dispatch(c, "leftovers", {}, "b")
            return answer

        counted = await ask(action="count")
        assert counted["block_count"] == counted["other_count"] == b.storage.usage().block_count - kept_count > 10
        with pytest.raises(UsageError, match="10 minutes"):
            await ask(action="delete", before_unix_ms=counted["unix_ms"])
        gone = await ask(action="delete", before_unix_ms=0, everything=True)
        assert (gone["state"], gone["deleted_count"], gone["block_count"]) == ("done", counted["block_count"], 0)
        assert b.storage.usage().block_count == kept_count
        assert b.leftovers_watch.notable_bytes == b.status().leftover_bytes == 0
        assert await whole(b, "book") == (tmp_path / "book").read_bytes()
