"""The nodes of the demo as processes: configuration, start, kill, and an end in every case."""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final

from ralnode.api import LocalError
from ralnode.cli.client import NodeClient
from ralnode.cli.demo.sizing import OWN_BYTES
from ralnode.host.joincode import JoinCode

NAMES: Final = ("attic", "cellar", "closet", "desk", "garage", "shed")
STOP_SECONDS_MAX: Final = 10.0
_PORTS: Final = range(20_000, 32_000)
_PR_SET_PDEATHSIG: Final = 1
_KEPT_VARIABLES: Final = frozenset({"RALNODE_PLUGINS", "RALNODE_PLUGINS_DIR"})

CONFIG: Final = """\
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
repair_grace = "4s"                # minutes in real life: the demo cannot wait so long
repair_grace_last_copy = "2s"
[use]
gateway = []                       # they would all want port 8080
"""


@dataclass(frozen=True, slots=True)
class Ports:
    transport: int
    gossip: int
    page: int


class DemoNode:
    """One process. Its log and data lie in `folder`."""

    def __init__(self, name: str, folder: Path, capacity_bytes: int, ports: Ports) -> None:
        self.name = name
        self.folder = folder
        self.capacity_bytes = capacity_bytes
        self.ports = ports
        self.killed = False
        self.client = NodeClient([folder / "node.sock"])
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    def start(self, config: str) -> None:
        self.folder.mkdir(parents=True)
        file = self.folder / "ralnode.toml"
        file.touch(mode=0o600)
        file.write_text(config, encoding="utf-8")
        with (self.folder / "log").open("wb") as log:
            arguments = [*program(), "--config", str(file), "--socket", str(self.folder / "node.sock"), "run"]
            self._process = subprocess.Popen(
                arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=_environment(self.folder), start_new_session=True,
                preexec_fn=_die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509 - see there
            )  # fmt: skip

    def kill(self) -> None:
        """As a power cut would: no goodbye."""
        assert self._process is not None
        self.killed = True
        self._process.kill()
        self._process.wait()

    def ask_to_stop(self) -> None:
        if self._process is not None and self.is_running:
            self._process.send_signal(signal.SIGTERM)

    def await_stop(self) -> None:
        if self._process is None:
            return
        try:
            self._process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def last_words(self, lines: int = 8) -> str:
        """The end of its log, for when something went wrong."""
        with contextlib.suppress(OSError):
            text = (self.folder / "log").read_text(encoding="utf-8", errors="replace")
            return "\n".join(f"  {self.name}: {line}" for line in text.splitlines()[-lines:])
        return ""


class DemoCluster:
    """A context manager: whatever happens, no process and no file is left behind."""

    def __init__(self, parent: Path | None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ralnode-demo-", dir=parent))
        self.nodes: list[DemoNode] = []

    @property
    def files(self) -> Path:
        """Where the files are made."""
        return self.folder / "made"

    @property
    def seeded(self) -> Path:
        """What the seeder watches; empty until `seed`."""
        return self.folder / "files"

    @property
    def running(self) -> list[DemoNode]:
        return [node for node in self.nodes if not node.killed]

    @property
    def seeder(self) -> DemoNode:
        return self.nodes[0]

    def __enter__(self) -> DemoCluster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(each, signal.SIG_IGN)  # an impatient second Ctrl-C must not leave processes behind
        for node in self.nodes:
            node.ask_to_stop()
        for node in self.nodes:
            node.await_stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, capacities: Sequence[int]) -> None:
        """The first node watches `seeded`; every node is told where the first one listens, and mDNS may find more."""
        self.seeded.mkdir()
        ports = free_ports(len(capacities))
        code, group = JoinCode(secrets.token_bytes(32)).encode(), f"demo-{secrets.token_hex(4)}"
        for place, capacity in enumerate(capacities):
            name = NAMES[place] if place < len(NAMES) else f"node-{place + 1}"
            self.nodes.append(DemoNode(name, self.folder / name, capacity, ports[place]))
        for node in self.nodes:
            is_seeder = node is self.seeder
            node.start(
                CONFIG.format(
                    name=node.name, group=group, data=node.folder / "data", capacity=node.capacity_bytes, code=code,
                    transport=node.ports.transport, gossip=node.ports.gossip, page=node.ports.page,
                    sources=f'sources_dir = "{self.seeded}"\n' if is_seeder else "",
                    peers="" if is_seeder else f'"127.0.0.1:{self.seeder.ports.transport}"',
                )
            )  # fmt: skip

    def seed(self) -> None:
        """Hands the files to the node that watches for them."""
        for path in self.files.iterdir():
            path.rename(self.seeded / path.name)

    def check_room(self, size_bytes: int, copies: int) -> None:
        """Raises LocalError when the disk of the demo's folder is too small, before anything is written."""
        needed = size_bytes * (2 + copies) * 11 // 10 + 6 * OWN_BYTES + (256 << 20)
        free = shutil.disk_usage(self.folder).free
        if free < needed:
            raise LocalError(
                f"the demo needs about {needed >> 20:,} MiB in {self.folder.parent}, {free >> 20:,} MiB are free. Choose a "
                "smaller --size, or another place with --folder"
            )


def program() -> list[str]:
    """How to start this very ralnode again: from a virtual environment or as the single executable."""
    return [sys.executable] if getattr(sys, "frozen", False) else [sys.executable, "-m", "ralnode"]


def free_ports(count: int) -> list[Ports]:
    """Ports that nobody uses now; held all at once, so that they differ."""
    with contextlib.ExitStack() as stack:

        def free(kind: int) -> int:
            held = stack.enter_context(socket.socket(socket.AF_INET, kind))
            return bind_somewhere(held)

        tcp, udp = socket.SOCK_STREAM, socket.SOCK_DGRAM
        return [Ports(free(tcp), free(udp), free(tcp)) for _ in range(count)]


def bind_somewhere(to_bind: socket.socket) -> int:
    """Below the ports that systems give to outgoing connections, so that none takes it before its node has it."""
    for port in random.sample(_PORTS, 50):
        with contextlib.suppress(OSError):
            to_bind.bind(("127.0.0.1", port))
            return port
    to_bind.bind(("127.0.0.1", 0))
    return int(to_bind.getsockname()[1])


def _environment(folder: Path) -> dict[str, str]:
    """The user's own configuration must not reach the demo's nodes; plugins may, they are worth showing. Nothing is noted
    outside of the folder."""
    ours = {key for key in os.environ if key.startswith(("RALNODE_", "XNODE_"))} - _KEPT_VARIABLES
    ours.add("STATE_DIRECTORY")
    return {**{key: value for key, value in os.environ.items() if key not in ours}, "XDG_STATE_HOME": str(folder)}


def _die_with_parent() -> None:
    """Runs in the child: even when the demo is killed without a chance to clean up, its nodes end (prctl(2))."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
