"""Real nodes as processes, each with a gateway on loopback; one brings the files and leaves for good."""

from __future__ import annotations

import json
import secrets
import shutil
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from interop_content import FILM_BYTES, Content
from interop_tools import run, until

from ralnode.api import RalnodeError
from ralnode.cli.client import NodeClient
from ralnode.cli.demo.processes import DemoNode, bind_somewhere, free_ports, program
from ralnode.host.joincode import JoinCode

CAPACITY_BYTES = 90_000_000
NAMES = ("attic", "cellar", "closet", "desk")
CONFIG = """\
[node]
name = "{name}"
group = "{group}"
data_dir = "{data}"
{sources}capacity = "{capacity} B"
disk_floor = "64 MiB"
listen_host = "127.0.0.1"
transport_port = {transport}
gossip_port = {gossip}
page_port = {page}
known_peers = [{peers}]
join_code = "{code}"
repair_grace = "4s"
repair_grace_last_copy = "2s"
[use]
discovery = ["static"]
ui = []
{gateway}
"""
GATEWAY = """\
gateway = ["ipfs"]
[gateway.ipfs]
port = {port}
tls_port = {tls_port}
"""


class Pool:
    """`nodes` are those that stay."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.nodes: list[DemoNode] = []
        self._bringer: DemoNode | None = None
        self.gateways: list[str] = []
        self.tls_gateways: list[str] = []
        self.roots: dict[str, str] = {}
        """Name of a source -> its CID."""
        self._code = JoinCode(secrets.token_bytes(32)).encode()
        self._group = f"interop-{secrets.token_hex(4)}"

    def __enter__(self) -> Pool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for node in self.nodes:
            node.ask_to_stop()
        for node in self.nodes:
            node.await_stop()

    def client(self, place: int = 0) -> NodeClient:
        return self.nodes[place].client

    def run(self, *arguments: str | Path, place: int = 0) -> str:
        """A command of ours at one of the nodes."""
        socket_path = self.nodes[place].folder / "node.sock"
        return str(run([*program(), "--socket", socket_path, *arguments]).stdout.decode())

    def status(self, place: int = 0) -> Any:
        return self.client(place).command("status")

    def take_over(self, made: Content) -> None:
        """A fifth node offers `made` by reference; the four copy it; then it is killed and its files are as good as gone."""
        assert CAPACITY_BYTES < FILM_BYTES
        ports = free_ports(len(NAMES) + 1)
        shelf = self.folder / "shelf"
        shelf.mkdir()
        bringer = DemoNode("bringer", self.folder / "bringer", 60_000_000, ports[-1])
        self._bringer = bringer
        known = f'"127.0.0.1:{ports[-1].transport}"'
        self.nodes = [DemoNode(name, self.folder / name, CAPACITY_BYTES, ports[at]) for at, name in enumerate(NAMES)]
        for node in [bringer, *self.nodes]:
            port, tls_port = free_port(), free_port()
            if node is not bringer:
                self.gateways.append(f"http://127.0.0.1:{port}")
                self.tls_gateways.append(f"https://127.0.0.1:{tls_port}")
            node.start(
                CONFIG.format(
                    name=node.name, group=self._group, data=node.folder / "data", capacity=node.capacity_bytes,
                    transport=node.ports.transport, gossip=node.ports.gossip, page=node.ports.page, code=self._code,
                    sources=f'sources_dir = "{shelf}"\n' if node is bringer else "",
                    peers="" if node is bringer else known,
                    gateway="gateway = []" if node is bringer else GATEWAY.format(port=port, tls_port=tls_port),
                )
            )  # fmt: skip
        try:
            self._wait(lambda: len(self.status()["nodes"]) == len(NAMES) + 1, 30, "the nodes find each other")
            for path in made.folder.iterdir():  # its own are links: nothing is there twice
                (shutil.copytree if path.is_dir() else shutil.copy)(path, shelf / path.name)
            count = len(list(shelf.iterdir()))
            self._wait(lambda: self._has_copies(count), 150, "two copies of everything")
        finally:
            bringer.kill()
        self._wait(lambda: self._has_lost_one() and self._has_copies(count), 60, "two copies without the bringer's")
        shutil.rmtree(shelf)
        self.roots = {source["name"]: source["root"] for source in self.status()["sources"]}

    def _has_lost_one(self) -> bool:
        return sum(node["liveness"] == "alive" for node in self.status()["nodes"]) == len(self.nodes)

    def _has_copies(self, count: int) -> bool:
        """Whether live nodes own two copies of every block (what the bringer links to does not count)."""
        sources = self.status()["sources"]
        return len(sources) == count and all(sum(source["histogram"][:2]) == 0 for source in sources)

    def _wait(self, condition: Any, seconds: float, what: str) -> None:
        deadline = time.monotonic() + seconds
        while True:
            try:
                if condition():
                    return
            except OSError:
                pass  # it is still starting
            except Exception as error:  # the client's own errors while the socket is not there
                if time.monotonic() > deadline:
                    raise AssertionError(f"waited in vain: {what}\n{self._last_words()}") from error
            assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain: {what}\n{self._last_words()}"
            time.sleep(0.2)

    def _last_words(self) -> str:
        everybody = [self._bringer, *self.nodes] if self._bringer else self.nodes
        return "\n".join(node.last_words() for node in everybody)


class SingleNode:
    """A node with a gateway, alone or with `friend`; it may be stopped and started again on the same data."""

    def __init__(
        self, folder: Path, capacity_bytes: int = 500_000_000, friend: SingleNode | None = None, pins_from: int = 0
    ) -> None:
        """`pins_from`: the node is a pinning service, too, for a Kubo whose gateway has this port."""
        self._folder = folder
        self._capacity_bytes = capacity_bytes
        self._friend = friend
        self._pins_from = pins_from
        self.pins = ""
        self._node: DemoNode | None = None
        self._code: str = friend._code if friend else JoinCode(secrets.token_bytes(32)).encode()
        self.data_dir = folder / "data"
        self.gateway = ""

    def __enter__(self) -> SingleNode:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        (ports,), port, tls_port = free_ports(1), free_port(), free_port()
        self.gateway = f"http://127.0.0.1:{port}"
        node = DemoNode("alone", self._folder / secrets.token_hex(4), self._capacity_bytes, ports)
        self._node, self._transport_port = node, ports.transport
        peers = f'"127.0.0.1:{self._friend._transport_port}"' if self._friend else ""
        gateway = GATEWAY.format(port=port, tls_port=tls_port)
        if self._pins_from:
            pins_port = free_port()
            self.pins = f"http://127.0.0.1:{pins_port}"
            gateway = gateway.replace('["ipfs"]', '["ipfs", "pinning"]')
            gateway += f"[gateway.pinning]\nport = {pins_port}\nclient_port = {self._pins_from}\n"
        node.start(
            CONFIG.format(
                name="alone", group="alone", data=self.data_dir, sources="", capacity=node.capacity_bytes,
                transport=ports.transport, gossip=ports.gossip, page=ports.page, peers=peers, code=self._code,
                gateway=gateway,
            )
        )  # fmt: skip
        until(self._answers, 30, f"the node: {node.last_words()}")

    def stop(self) -> None:
        if self._node is not None:
            self._node.ask_to_stop()
            self._node.await_stop()

    @property
    def pid(self) -> int:
        assert self._node is not None and self._node.pid is not None
        return self._node.pid

    def run(self, *arguments: str | Path) -> str:
        """A command of ours at this node."""
        assert self._node is not None
        return str(run([*program(), "--socket", self._node.folder / "node.sock", *arguments]).stdout.decode())

    def status(self) -> Any:
        assert self._node is not None
        return self._node.client.command("status")

    def _answers(self) -> bool:
        assert self._node is not None
        try:
            return bool(self._node.client.command("status"))
        except RalnodeError:
            return False


def free_port() -> int:
    with socket.socket() as probe:
        return bind_somewhere(probe)


def our_cids(paths: Sequence[Path], profile: str) -> list[str]:
    """What we call these files and folders; nothing is added anywhere."""
    lines = run([*program(), "--json", "cid", "--hidden", "--profile", profile, *paths]).stdout.splitlines()
    return [json.loads(line)["cid"] for line in lines]
