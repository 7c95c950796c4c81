"""The demo as a user runs it: it proves what it says, fails when it must, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Cli
else:
    Cli = Any

pytestmark = pytest.mark.timeout(150)
SMALL = ("demo", "--nodes", "3", "--size", "4MB")


@pytest.fixture
def place(cli: Cli) -> Iterator[Path]:
    """Where the demo makes its folder; with a short path, for the sockets."""
    folder = Path(tempfile.mkdtemp(prefix="ral-demo-test-", dir="/tmp"))
    yield folder
    deadline = time.monotonic() + 100  # a node whose demo was interrupted while it started it may still be ending
    while (left := processes(folder)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left == {}
    assert list(folder.iterdir()) == []
    folder.rmdir()


def processes(folder: Path) -> dict[int, str]:
    """Every process whose command line names the folder, but the demo itself."""
    found = {}
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = each.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if f"--config {folder}" in line:
            found[int(each.parent.name)] = line
    return found


def wait_for_nodes(demo: subprocess.Popen[str], folder: Path) -> dict[int, str]:
    deadline = time.monotonic() + 120
    while len(found := processes(folder)) < 3:
        assert demo.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    return found


def test_the_demo_shows_that_nothing_is_lost(cli: Cli, place: Path) -> None:
    demo = cli.start(*SMALL, "--folder", place, "--json")
    out, err = demo.communicate(timeout=140)
    assert demo.returncode == 0, err
    outcome = json.loads(out)
    assert outcome["compared_bytes"] == 2 * outcome["size_bytes"]
    assert outcome["killed"] in ("cellar", "closet")
    assert outcome["repaired_bytes"] > 0
    assert all(f"killed {outcome['killed']}" not in line or "SIGKILL" in line for line in err.splitlines())
    assert "compared every byte" in err
    assert outcome["page"].startswith("http://127.0.0.1:")


def test_ctrl_c_ends_the_demo_with_all_its_nodes(cli: Cli, place: Path) -> None:
    demo = cli.start(*SMALL, "--folder", place)
    wait_for_nodes(demo, place)
    demo.send_signal(signal.SIGINT)
    demo.send_signal(signal.SIGTERM)
    demo.communicate(timeout=140)
    assert demo.returncode == 130


def test_a_node_that_dies_by_itself_fails_the_demo(cli: Cli, place: Path) -> None:
    demo = cli.start(*SMALL, "--folder", place)
    nodes = wait_for_nodes(demo, place)
    victim = next(pid for pid, line in nodes.items() if "closet" in line)
    os.kill(victim, signal.SIGKILL)
    out, err = demo.communicate(timeout=140)
    assert demo.returncode not in (0, 130)
    assert "closet ended by itself" in out
    assert "the demo has failed" in err


def test_the_nodes_end_even_when_the_demo_is_killed(cli: Cli, place: Path) -> None:
    demo = cli.start(*SMALL, "--folder", place)
    nodes = wait_for_nodes(demo, place)
    demo.kill()
    demo.communicate()
    deadline = time.monotonic() + 100
    while processes(place):
        assert time.monotonic() < deadline, nodes
        time.sleep(0.05)
    subprocess.run(["rm", "-r", *place.iterdir()], check=True)


def test_a_disk_that_is_too_small_is_told_before_anything_is_written(cli: Cli, place: Path) -> None:
    result = cli("demo", "--size", "900TB", "--folder", place)
    assert result.code == 74
    assert "--size" in result.err and result.err.count("\n") == 1
