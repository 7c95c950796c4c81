"""The command line as users have it: a process, from source and, when RALNODE_FROZEN names one, as the frozen executable."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ralnode.api import RalnodeError
from ralnode.cli.client import NodeClient

SECONDS_MAX = 120
OURS = ("RALNODE_", "XNODE_", "XDG_", "JOURNAL_")


@dataclass
class Result:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class Cli:
    """Runs `ralnode …` in a folder of its own, with nothing of the user's configuration."""

    program: list[str]
    home: Path
    socket: Path | None = None
    env: dict[str, str] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        base = {key: value for key, value in os.environ.items() if not key.startswith(OURS)}
        if self.socket:
            base["RALNODE_SOCKET"] = str(self.socket)
        # No colours, and lines that do not depend on the terminal of whoever runs the tests.
        return {**base, "HOME": str(self.home), "COLUMNS": "100", "TERM": "dumb", "NO_COLOR": "1", **self.env}

    def start(self, *arguments: str | Path, **options: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*self.program, *map(str, arguments)], cwd=self.home, env=self.environment(), text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options,
        )  # fmt: skip

    def __call__(self, *arguments: str | Path, stdin: str | None = None) -> Result:
        done = subprocess.run(
            [*self.program, *map(str, arguments)], cwd=self.home, env=self.environment(), text=True, input=stdin or "",
            capture_output=True, timeout=SECONDS_MAX, check=False,
        )  # fmt: skip
        return Result(done.returncode, done.stdout, done.stderr)

    def ok(self, *arguments: str | Path) -> Result:
        """As a call, and it must succeed."""
        result = self(*arguments)
        assert result.code == 0, f"ralnode {' '.join(map(str, arguments))}: {result}"
        return result


SOURCE = [sys.executable, "-m", "ralnode"]
FROZEN = [str(Path(os.environ["RALNODE_FROZEN"]).absolute())] if os.environ.get("RALNODE_FROZEN") else None
PROGRAMS = {"source": SOURCE, **({"frozen": FROZEN} if FROZEN else {})}


@pytest.fixture(scope="session", params=list(PROGRAMS))
def program(request: pytest.FixtureRequest) -> list[str]:
    return PROGRAMS[request.param]


@pytest.fixture
def cli(program: list[str], tmp_path: Path) -> Cli:
    return Cli(program, tmp_path)


class NodeProcess:
    """`ralnode run` with its data in a folder with a short path (unix sockets)."""

    def __init__(self, program: list[str], folder: Path, *options: str) -> None:
        self.folder = folder
        self.socket = folder / "s"
        self.log = folder / "log"
        self.cli = Cli(program, folder, self.socket)
        self._options = options
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> NodeProcess:
        arguments = [
            "run", "--data", str(self.folder / "data"), "--listen", "127.0.0.1", "--port", "0", "--gossip-port", "0",
            "--page-port", "0", *self._options,
        ]  # fmt: skip
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.cli.program, *arguments], env=self.cli.environment(), cwd=self.folder, stdout=log, stderr=log
            )
        self.wait_for(self._answers)
        return self

    def wait_for(self, reached: Callable[[], bool], seconds: float = 100) -> None:
        deadline = time.monotonic() + seconds
        while not reached():
            assert self.process and self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)

    def ask(self, command: str) -> Any:
        """A command without the price of a process, for waiting."""
        return NodeClient([self.socket]).command(command)

    def _answers(self) -> bool:
        try:
            return bool(self.ask("capacity"))
        except RalnodeError:
            return False

    def end(self) -> int:
        """SIGTERM, or nothing if it has ended; returns the exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(60)
        finally:
            self.process.kill()


@pytest.fixture(scope="session")
def new_node(program: list[str]) -> Iterator[Callable[..., NodeProcess]]:
    """Makes nodes; each has ended when the tests end."""
    made: list[NodeProcess] = []
    with tempfile.TemporaryDirectory(prefix="ral-", dir="/tmp") as folder:

        def make(*options: str) -> NodeProcess:
            place = Path(folder) / str(len(made))
            place.mkdir()
            made.append(NodeProcess(program, place, *options))
            return made[-1].start()

        yield make
        for node in made:
            node.end()


@pytest.fixture(scope="module")
def node(new_node: Callable[..., NodeProcess]) -> NodeProcess:
    """One for all tests of a file that do not get in each other's way."""
    return new_node("--name", "attic", "--capacity", "900MB")
