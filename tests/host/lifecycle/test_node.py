"""The life of a node in this process: what ends its start, what ends it later, what does not end it."""

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from ralnode.api import (
    ConfigError,
    LocalError,
    PluginError,
    RalnodeError,
    RefusedError,
    StorageError,
    UnavailableError,
)
from ralnode.host.config import load as load_config
from ralnode.host.node import Node
from ralnode.host.operations import Operations
from ralnode.host.plugin_find import Where
from ralnode.host.plugins import PluginSet, load

FAKES = Path(__file__).with_name("ralnode_t_fakes.py")
USE = '[use]\nstorage = "fake"\ntransport = "fake"\ngossip = "fake"\nplanner = "fake"\n'
LISTS = 'discovery = ["fake"]\ngateway = ["fake"]\nui = ["fake"]\n'


class Lab:
    """A machine: `node` makes one from TOML tables, `running` runs it until the test is over."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.plugins = path / "plugins"
        self.plugins.mkdir(mode=0o755)
        shutil.copy(FAKES, self.plugins)
        (self.plugins / FAKES.name).chmod(0o644)

    def load(self, only: str = "t_fakes") -> PluginSet:
        return load(Where({"HOME": str(self.path), "RALNODE_PLUGINS": only}, (self.plugins,)))

    def node(self, text: str = "", extras: Callable[..., Awaitable[None]] | None = None, **flags: str) -> Node:
        path = self.path / "ralnode.toml"
        path.write_text(USE + LISTS + text)
        given = {
            "data_dir": str(self.path / "data"),
            "listen_host": "127.0.0.1",
            "gossip_port": "0",
            "capacity": "1 GB",
            "name": "lab",
            **flags,
        }
        config = load_config({}, {f"node.{name}": value for name, value in given.items()}, path)
        return Node(config, self.load(), {}, extras)

    @asynccontextmanager
    async def running(self, text: str = "", **flags: str) -> AsyncIterator[Operations]:
        opened: asyncio.Future[Operations] = asyncio.get_running_loop().create_future()

        async def extras(operations: Operations, _stack: AsyncExitStack) -> None:
            opened.set_result(operations)

        node = self.node(text, extras, **flags)
        task = asyncio.create_task(node.run())
        await asyncio.wait([task, opened], timeout=100, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        try:
            yield opened.result()
        finally:
            node.request_stop()
            await asyncio.wait_for(task, 30)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    before = list(sys.path)
    yield Lab(tmp_path)
    sys.path[:] = before
    sys.modules.pop("ralnode_t_fakes", None)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


ENDS: list[tuple[str, type[RalnodeError], str]] = [
    ('[storage.fake]\nfail = "start"\nerror = "storage"', StorageError, "storage fails at start"),
    ('[storage.fake]\nfail = "start"\nerror = "odd"', LocalError, "cannot start the block store: ZeroDivisionError"),
    ('[storage.fake]\nfail = "start"\nerror = "config"', ConfigError, "storage fails at start"),
    ('[storage.fake]\nfail = "build"\nerror = "odd"', PluginError, "cannot build the storage 'fake' of plugin t_fakes"),
    ('[storage.fake]\nfail = "build"\nerror = "local"', LocalError, "storage fails at build"),
    ('[transport.fake]\nfail = "start"', LocalError, "transport fails at start"),
    ('[ui.fake]\nfail = "start"', LocalError, "ui fails at start"),
    ('[gateway.fake]\nfail = "start"\nerror = "odd"', LocalError, "cannot start the gateway fake: ZeroDivisionError"),
    ('[storage.fake]\ntimes = "often"', ConfigError, "[storage.fake] in "),
]


@pytest.mark.parametrize(("text", "kind", "message"), ENDS)
async def test_a_failure_while_opening_ends_the_start_and_closes_what_was_open(
    lab: Lab, capsys: pytest.CaptureFixture[str], text: str, kind: type[RalnodeError], message: str
) -> None:
    with pytest.raises(kind) as caught:
        await asyncio.wait_for(lab.node(text).run(), 20)
    assert message in str(caught.value)
    said = capsys.readouterr().out
    assert said.count("storage closes") == ("at start" in message or "cannot start" in message)
    assert said.count("transport starts") == said.count("transport stops") or "transport fails" in message
    with pytest.raises(kind):  # the data directory is free again
        await asyncio.wait_for(lab.node(text).run(), 20)


RUNNING: list[tuple[str, type[RalnodeError], str]] = [
    ('[transport.fake]\nfail = "wait"', LocalError, "transport fails at wait"),
    ('[transport.fake]\nfail = "wait"\nerror = "odd"', LocalError, "transport failed: ZeroDivisionError"),
    ('[storage.fake]\nfail = "save"\nerror = "storage"', StorageError, "storage fails at save"),
]


@pytest.mark.parametrize(("text", "kind", "message"), RUNNING)
async def test_an_essential_part_that_fails_ends_the_node(
    lab: Lab, capsys: pytest.CaptureFixture[str], text: str, kind: type[RalnodeError], message: str
) -> None:
    with pytest.raises(kind, match=message):
        await asyncio.wait_for(lab.node(text).run(), 20)
    assert capsys.readouterr().out.endswith("transport stops\nstorage closes\n")


async def test_optional_parts_that_fail_are_started_again_and_counted(lab: Lab) -> None:
    fails = "".join(
        f'[{role}.fake]\nfail = "wait"\ntimes = 1\nerror = "odd"\n' for role in ("discovery", "ui", "gateway")
    )
    async with lab.running(fails + '[planner.fake]\nfail = "plan"\nerror = "odd"\n') as node:
        await until(lambda: sum(state.restart_count for state in node._services) == 3)
        await until(lambda: all(state.is_running for state in node._services))
        await until(lambda: any("planner fake/1 failed" in line.text for line in node.engine.events))
        restarts = {m.labels["service"]: m.value for m in node.metrics() if m.name == "ralnode_service_restarts_total"}
        assert restarts == {"discovery fake": 1, "gateway fake": 1, "ui fake": 1}


async def test_a_discovery_that_cannot_start_does_not_keep_the_node_from_starting(lab: Lab) -> None:
    async with lab.running('[discovery.fake]\nfail = "start"') as node:
        await until(lambda: node._services[0].restart_count == 1)
        assert (node._services[0].is_running, node._services[0].reason) == (False, "discovery fails at start")


async def test_an_open_node_answers_what_it_is_asked(lab: Lab) -> None:
    async with lab.running("", group="attic", zone="cellar") as node:
        status = node.control.status()
        assert (status.group, status.nodes[0].name, status.nodes[0].zone) == ("attic", "lab", "cellar")
        assert status.nodes[0].page_url == "http://127.0.0.1:1/page"
        assert status.nodes[0].address == "127.0.0.1:4242"
        assert node.engine.me.capacity_bytes == 10**9
        assert (await node.control.command("nodes", {}))["nodes"][0]["name"] == "lab"
        with pytest.raises(RefusedError, match="not taken from the status page"):
            await node.control.command("config", {})
        assert {metric.name for metric in node.metrics()} >= {"ralnode_health", "ralnode_loop_lag_seconds_max"}
        assert await node.control.block(b"\x01\x55\x12\x20" + bytes(32)) is None
        assert [row.active for row in node.plugin_rows().plugins] == [True] * 7
        assert ("node.name", "lab", "flag --name") in [(r.key, r.value, r.origin) for r in node.config_rows().rows]
        assert node.join_code().startswith("ral1")
        with pytest.raises(RalnodeError, match="nothing"):
            await node.control.open("nothing")


async def test_the_control_socket_may_set_the_capacity_and_it_is_kept(lab: Lab) -> None:
    async with lab.running() as node:
        await node.set_capacity(5 * 10**8)
        await until(lambda: node.engine.me.capacity_bytes == 5 * 10**8)
    async with lab.running() as node:
        assert node.engine.me.capacity_bytes == 5 * 10**8


async def test_changes_are_told_at_most_twice_a_second(lab: Lab) -> None:
    async with lab.running() as node:
        loop, times = asyncio.get_running_loop(), []
        async for _ in node.control.changes():
            times.append(loop.time())
            if len(times) == 3:
                break
            await node.set_capacity(10**8 + len(times))
            await node.set_capacity(10**9 + len(times))
        assert all(later - earlier >= 0.45 for earlier, later in pairwise(times))


async def test_hints_are_remembered_and_given_again(lab: Lab) -> None:
    async with lab.running() as node:
        await node.control.command("status", {})
        node.hint([node.engine.me.addresses[0]._replace(port=7)])
    async with lab.running() as node:
        assert node._setup.data.hints() == [node.engine.me.addresses[0]._replace(port=7)]


async def test_what_is_asked_too_early_is_refused_politely(lab: Lab) -> None:
    node = lab.node()
    with pytest.raises(UnavailableError, match="still starting"):
        node.facade.status()


async def test_a_refused_publication_is_told_to_whoever_waits(lab: Lab) -> None:
    async with lab.running() as node:
        with pytest.raises(RalnodeError, match="no such source in the catalogue"):
            await node.withdraw(bytes(36))


async def test_a_lacking_role_ends_the_start(lab: Lab) -> None:
    path = lab.plugins / FAKES.name
    path.write_text(path.read_text().replace("@hookimpl\ndef provide_planner", "def provide_planner"))
    with pytest.raises(PluginError, match="there is no such planner; there are none"):
        await lab.node().run()


async def test_a_provider_whose_object_cannot_play_its_role_is_refused(lab: Lab) -> None:
    path = lab.plugins / FAKES.name
    path.write_text(path.read_text().replace("    async def fetch_block(", "    async def fetch_a_block("))
    with pytest.raises(PluginError, match=r"the transport 'fake' of plugin t_fakes \(.*\) lacks fetch_block. Nothing"):
        await lab.node().run()


def test_what_is_loaded_is_what_was_named(lab: Lab) -> None:
    assert [plugin.name for plugin in lab.load().plugins] == ["t_fakes"]
    assert lab.load("").plugins == []


async def test_two_nodes_in_one_process_share_nothing(lab: Lab, tmp_path: Path) -> None:
    async with lab.running() as one, lab.running(data_dir=str(tmp_path / "other"), name="other") as two:
        assert one.engine.me.id != two.engine.me.id
        assert (one.status().nodes[0].name, two.status().nodes[0].name) == ("lab", "other")
