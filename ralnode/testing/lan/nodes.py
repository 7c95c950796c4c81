"""`LanNodes`: a ralnode on each machine of a `Lan`, which find each other by mDNS alone. Starts, stops, kills and asks them; how
they are asked is handed in, since nothing here imports the command line.
"""

from __future__ import annotations

import os
import secrets
import shlex
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from ralnode.testing.lan.lan import Lan
from ralnode.testing.lan.relay import Outside

NAMES: Final = ("attic", "cellar", "closet", "desk", "garage", "shed")
PAGE_PORT: Final = 9080
SECRET_BYTES: Final = 32
STOP_SECONDS: Final = 15.0

CONFIG: Final = """\
[node]
name = "{name}"
group = "testbed"
data_dir = "{folder}/data"
capacity = "{capacity} B"
disk_floor = "64 MiB"
secret_file = "{secret}"
page_port = {page}
repair_grace = "3s"                # minutes in real life: nobody wants to wait so long for a repair
repair_grace_last_copy = "1s"
[use]
discovery = ["mdns"]
gateway = []
[discovery.mdns]
announce_seconds = 2.0
[gossip.swim]
probe_interval_seconds = 0.4
probe_timeout_seconds = 0.2
suspicion_max_factor = 2           # when half of the nodes is cut off, few are left to confirm who is gone
"""


class Client(Protocol):
    """The control socket of a node."""

    def command(self, name: str, params: Mapping[str, Any] | None = None) -> Any: ...


@dataclass(frozen=True, slots=True)
class Recipe:
    """How nodes are made. `connect` makes the client of a socket; `refusals` is what its `command` raises when no node
    answers. `program` starts ralnode; `more` is added to the configuration."""

    connect: Callable[[Path], Client]
    refusals: tuple[type[Exception], ...]
    program: tuple[str, ...] = (sys.executable, "-m", "ralnode")
    capacity_bytes: int = 500_000_000
    more: str = ""


class LanNode:
    """One machine with its node; everything of it lies in `folder`."""

    def __init__(self, lan: Lan, number: int, folder: Path, recipe: Recipe) -> None:
        self.number = number
        self.name = NAMES[number - 1] if number <= len(NAMES) else f"node-{number}"
        self.address = lan.address(number)
        self.folder = folder / self.name
        self.socket = self.folder / "s"
        self.config = self.folder / "ralnode.toml"
        self.log = self.folder / "log"
        self.pid: int | None = None
        self.client = recipe.connect(self.socket)
        self._lan = lan
        self._recipe = recipe
        self._page: Outside | None = None

    @property
    def running(self) -> bool:
        return self.pid is not None and self._lan.running(self.pid)

    @property
    def program(self) -> tuple[str, ...]:
        """How ralnode is started there."""
        return self._recipe.program

    @property
    def environment(self) -> dict[str, str]:
        """For commands on that machine: `ralnode` is the one that runs there, and talks to its node."""
        path = f"{self.folder.parent / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"
        return {"RALNODE_SOCKET": str(self.socket), "RALNODE_CONFIG": str(self.config), "PATH": path}

    def start(self, secret: Path) -> None:
        """Raises RuntimeError when it runs already."""
        if self.running:
            raise RuntimeError(f"{self.name} runs already, as process {self.pid}")
        self.folder.mkdir(exist_ok=True)
        self.socket.unlink(missing_ok=True)
        text = CONFIG.format(
            name=self.name, folder=self.folder, capacity=self._recipe.capacity_bytes, secret=secret, page=PAGE_PORT
        )
        self.config.write_text(text + self._recipe.more, encoding="utf-8")
        self.pid = self._lan.spawn(
            self.number, [*self._recipe.program, "run"], {**_quiet_environment(), **self.environment}, self.log
        )

    def kill(self) -> None:
        """As a power cut would: no goodbye."""
        assert self.pid is not None
        self._lan.kill(self.pid, signal.SIGKILL)
        self._lan.wait(self.pid)

    def stop(self) -> int:
        """SIGTERM; its exit code."""
        assert self.pid is not None
        self._lan.kill(self.pid, signal.SIGTERM)
        return self._lan.wait(self.pid, STOP_SECONDS)

    def status(self) -> dict[str, Any] | None:
        """What it says of the cluster; None while it does not answer."""
        try:
            return dict(self.client.command("status")) if self.running else None
        except self._recipe.refusals:
            return None

    def run(self, argv: Sequence[str], out: Path) -> int:
        """Starts a command on that machine; returns its pid."""
        return self._lan.spawn(self.number, argv, self.environment, out)

    def wait(self, pid: int, seconds_max: float = 30.0) -> int:
        """The exit code of such a command. Raises TimeoutError."""
        return self._lan.wait(pid, seconds_max)

    def page(self) -> str:
        """An address outside that leads to its status page, for as long as the LAN lives."""
        if self._page is None:
            path = self.folder / "page"
            argv = [sys.executable, "-m", "ralnode.testing.lan.relay", str(path), str(PAGE_PORT)]
            self._lan.spawn(self.number, argv, {}, self.log)
            self._lan.until(path.exists, 15, f"the way to the page of {self.name}")
            self._page = Outside(path)
        return f"http://127.0.0.1:{self._page.port}/dashboard"

    def last_words(self, lines: int = 8) -> str:
        """The end of its log."""
        text = self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""
        return "\n".join(f"  {self.name}: {line}" for line in text.splitlines()[-lines:])


class LanNodes:
    """All of them, numbered from 1 as the machines are."""

    def __init__(self, lan: Lan, count: int, folder: Path, recipe: Recipe) -> None:
        self.lan = lan
        self.folder = folder
        self.secret = folder / "secret"
        self.secret.touch(mode=0o600)
        self.secret.write_bytes(secrets.token_bytes(SECRET_BYTES))
        _write_word(folder / "bin", recipe.program)
        self.all = tuple(LanNode(lan, number, folder, recipe) for number in range(1, count + 1))

    def __getitem__(self, number: int) -> LanNode:
        return self.all[number - 1]

    @property
    def running(self) -> list[LanNode]:
        return [node for node in self.all if node.running]

    def start(self, *numbers: int) -> None:
        """These, or all; those that run already are left alone."""
        for number in numbers or range(1, len(self.all) + 1):
            if not self[number].running:
                self[number].start(self.secret)

    def await_whole(self, seconds_max: float, source_count: int | None = None) -> None:
        """Until all that run know each other, agree on the plan, and see every block with all its copies (of so many
        sources). Raises TimeoutError that says what each of them sees."""
        try:
            self.lan.until(lambda: self.is_whole(source_count), seconds_max, "the cluster to be whole")
        except TimeoutError as error:
            seen = "\n".join(f"  {node.name}: {_seen(node.status())}" for node in self.running)
            words = "\n".join(node.last_words(4) for node in self.running)
            raise TimeoutError(f"{error}. What the nodes see:\n{seen}\n{words}") from error

    def is_whole(self, source_count: int | None = None) -> bool:
        """At this moment."""
        running = self.running
        names = {node.name for node in running}
        statuses = [node.status() for node in running]
        return all(status is not None and _is_whole(status, names, source_count) for status in statuses) and (
            len({status["plan_digest"] for status in statuses if status}) == 1
        )


def live_names(status: Mapping[str, Any]) -> set[str]:
    """Whom the node believes alive, itself among them."""
    return {node["name"] for node in status["nodes"] if node["liveness"] in ("alive", "suspect")}


def _is_whole(status: Mapping[str, Any], names: set[str], source_count: int | None) -> bool:
    return (
        live_names(status) == names
        and bool(status["plan_digest"])
        and status["plan_agreement"]
        and status["deficit_bytes"] == 0
        and not any(source["unreachable_count"] for source in status["sources"])
        and source_count in (None, len(status["sources"]))
    )


def _seen(status: Mapping[str, Any] | None) -> str:
    if status is None:
        return "does not answer"
    sources = len(status["sources"])
    return f"{', '.join(sorted(live_names(status)))}; {sources} sources; plan {status['plan_digest'][:8]}; {status['sentence']}"


def _write_word(folder: Path, program: Sequence[str]) -> None:
    """`ralnode`, for commands on the machines, whatever the PATH says."""
    folder.mkdir()
    file = folder / "ralnode"
    file.write_text(f'#!/bin/sh\nexec {shlex.join(program)} "$@"\n', encoding="utf-8")
    file.chmod(0o755)


def _quiet_environment() -> dict[str, str]:
    """What the user has configured must not reach these nodes. (Variables are added to ours, so these are emptied.)"""
    return {key: "" for key in os.environ if key.startswith(("RALNODE_", "XNODE_")) and "PLUGINS" not in key}
