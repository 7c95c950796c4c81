"""The frozen executable as a user has it. Its tests are skipped where it has not been built."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SECONDS_MAX = 50
NO_PLAN_YET = 69
BUILT = ROOT / "dist/ralnode-dir/ralnode"
ONE_FILE = ROOT / "dist/ralnode"


@dataclass
class Frozen:
    """Runs the executable with a home of its own and none of this environment's Python."""

    executable: Path
    home: Path
    options: list[str] = field(default_factory=list)

    def environment(self) -> dict[str, str]:
        return {"HOME": str(self.home), "PATH": "/usr/bin:/bin", "COLUMNS": "120", "NO_COLOR": "1", "LANG": "C.UTF-8"}

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.executable, *self.options, *map(str, arguments)], env=self.environment(), cwd=self.home, text=True,
            stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS_MAX, check=False,
        )  # fmt: skip

    def ok(self, *arguments: str | Path) -> str:
        done = self.run(*arguments)
        assert done.returncode == 0, f"{arguments}: {done}"
        return done.stdout

    def plan(self) -> Any:
        """The node's first plan comes a second after its first file."""
        deadline = time.monotonic() + SECONDS_MAX
        while self.run("--json", "plan").returncode == NO_PLAN_YET and time.monotonic() < deadline:
            time.sleep(0.1)
        return self.json("plan")

    def json(self, *arguments: str | Path) -> Any:
        return json.loads(self.ok("--json", *arguments))


@dataclass
class FrozenNode:
    """`ralnode run` of the executable, all in one folder with a short path (unix sockets)."""

    cli: Frozen
    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def end(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(15)
        finally:
            self.process.kill()


@pytest.fixture(scope="session")
def executable() -> Path:
    named = os.environ.get("RALNODE_FROZEN")
    path = Path(named or BUILT).absolute()
    if not path.exists():
        pytest.skip("no frozen executable: `sh packaging/build onedir` makes one, RALNODE_FROZEN names another")
    if not named and path.stat().st_mtime < newest_source():
        pytest.skip(
            "dist/ralnode-dir is older than the sources: `sh packaging/build onedir`, or RALNODE_FROZEN names it"
        )
    return path


def newest_source() -> float:
    files = [ROOT / "pyproject.toml", *(ROOT / "ralnode").rglob("*.py"), *(ROOT / "plugins").rglob("*.py")]
    return max(file.stat().st_mtime for file in files)


@pytest.fixture(scope="session")
def one_file() -> Path:
    """RALNODE_FROZEN_FILE names another."""
    named = os.environ.get("RALNODE_FROZEN_FILE")
    path = Path(named or ONE_FILE).absolute()
    if not path.exists() or (not named and path.stat().st_mtime < newest_source()):
        pytest.skip("no executable in one file that is newer than the sources: `sh packaging/build onefile` makes one")
    return path


@pytest.fixture
def frozen(executable: Path, tmp_path: Path) -> Frozen:
    return Frozen(executable, tmp_path)


@pytest.fixture
def run_node(executable: Path) -> Iterator[Callable[..., FrozenNode]]:
    """Starts nodes and waits until they answer; each has ended when the test ends."""
    nodes: list[FrozenNode] = []
    with tempfile.TemporaryDirectory(prefix="ral-", dir="/tmp") as base:

        def start(*options: str | Path) -> FrozenNode:
            folder = Path(base) / str(len(nodes))
            folder.mkdir()
            nodes.append(_start(executable, folder, options))
            return nodes[-1]

        yield start
        for node in nodes:
            node.end()


def _start(executable: Path, folder: Path, options: tuple[str | Path, ...]) -> FrozenNode:
    cli = Frozen(executable, folder, ["--socket", str(folder / "s")])
    words = ["run", "--data", "data", "--listen", "127.0.0.1", "--capacity", "500MB"]
    words += [part for kind in ("--port", "--gossip-port", "--page-port") for part in (kind, "0")]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [executable, *cli.options, *words, *map(str, options)],
            env=cli.environment(),
            cwd=folder,
            stdout=log,
            stderr=log,
        )
    node = FrozenNode(cli, folder, process)
    deadline = time.monotonic() + 30
    while cli.run("capacity").returncode != 0:  # itself the pause between two looks
        assert process.poll() is None, node.log
        assert time.monotonic() < deadline, node.log
    return node
