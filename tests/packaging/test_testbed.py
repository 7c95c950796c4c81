"""`packaging/testbed` as its user has it: commands from standard input, without root where root can be given up, and what is left."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from ralnode.api import RalnodeError
from ralnode.cli.client import NodeClient
from ralnode.testing.lan.console import Console, WordError, seen_words, words_of
from ralnode.testing.lan.lan import Lan, LanUnavailableError
from ralnode.testing.lan.nodes import LanNodes, Recipe

ROOT = Path(__file__).parents[2]
TESTBED = ROOT / "packaging/testbed"
NOBODY = 65534
SECONDS_MAX = 150

pytestmark = pytest.mark.timeout(180)  # starts real nodes; a quiet machine needs a twentieth


@pytest.fixture(scope="module")
def permitted() -> None:
    try:
        Lan(1).close()
    except LanUnavailableError as reason:
        pytest.skip(f"network namespaces are not permitted here: {reason}")


def without_root() -> tuple[list[str], str]:
    """What to put before a command so that it runs as a plain user, and a Python that this user may run."""
    if os.geteuid() != 0:
        return [], sys.executable
    drop = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    for python in (sys.executable, f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"):
        tried = subprocess.run(
            [*drop, "unshare", "-Urn", python, "-c", "import ralnode.cli.main, numpy"], env=environment(python), cwd="/", check=False,
            capture_output=True,
        )  # fmt: skip
        if tried.returncode == 0:
            return drop, python
    pytest.skip(
        f"a user other than root may not make namespaces, or may not read this checkout: {tried.stderr.decode()}"
    )


def environment(python: str) -> dict[str, str]:
    paths = [str(ROOT), str(ROOT / "plugins"), *(path for path in sys.path if path.endswith("site-packages"))]
    kept = {key: value for key, value in os.environ.items() if not key.startswith("RALNODE_")}
    return {
        **kept, "HOME": "/nonexistent", "PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1",
        "RALNODE_TESTBED_PYTHON": python,
    }  # fmt: skip


def left_in(folder: str) -> list[Path]:
    return list(Path(folder).glob("ralnode-testbed-*"))


@pytest.fixture
def place() -> Iterator[str]:
    """A TMPDIR with a short path that anybody may write into."""
    folder = tempfile.mkdtemp(prefix="tb", dir="/tmp")
    Path(folder).chmod(0o1777)
    yield folder
    shutil.rmtree(folder)


def test_a_plain_user_plays_with_two_nodes_and_nothing_is_left(permitted: None, place: str) -> None:
    drop, python = without_root()
    script = """
        # what a script may hold: comments, empty lines

        status
        exec attic sh -c 'head -c 300000 /dev/urandom > $TMPDIR/film && ralnode add $TMPDIR/film --name film'
        settle
        loss 2 0.05
        delay 2 0.001
        cut cellar
        heal cellar
        kill 2
        start 2
        heal
        settle
        exec 2 ralnode ls
        status
        quit
        status
    """
    done = subprocess.run(
        [*drop, "sh", TESTBED, "2", "--capacity", "200MB"], env={**environment(python), "TMPDIR": place}, input=script, text=True,
        capture_output=True, timeout=SECONDS_MAX, check=False, cwd="/",
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, ""), done
    assert re.search(r"attic +10\.77\.0\.1 +.*cellar +0 +0 of 0 +good", done.stdout)
    assert "added film" in done.stdout
    for told in (
        "cable of cellar: loses 5%",
        "loses 5%; slower by 1 ms",
        "cable of cellar: pulled; loses",
        "cable of cellar: good",
        "all cables are good",
    ):
        assert told in done.stdout
    assert "cellar was killed" in done.stdout
    assert re.search(r"film +300 kB", done.stdout)
    assert done.stdout.count("Your 1 file has 2 copies") == 2
    assert done.stdout.rstrip().endswith("testbed>         quit"), "nothing after quit is done"
    assert left_in(place) == []


def test_the_page_is_reached_from_outside_and_a_killed_testbed_leaves_nothing(permitted: None, place: str) -> None:
    with subprocess.Popen(
        ["sh", TESTBED, "1"], env={**environment(sys.executable), "TMPDIR": place}, text=True, cwd="/",
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as bed:  # fmt: skip
        assert bed.stdin
        assert bed.stdout
        bed.stdin.write("open attic\n")
        bed.stdin.flush()
        address = next(line for line in bed.stdout if line.startswith("http"))
        with urllib.request.urlopen(address.strip(), timeout=20) as page:
            assert page.status == 200
            assert b"ralnode" in page.read()
        (folder,) = left_in(place)
        assert len(processes_of(folder)) >= 2, "the node and the way to its page"
        os.kill(bed.pid, signal.SIGKILL)
    Lan.until(lambda: not processes_of(folder), 10, "the processes to be gone")
    Lan.until(lambda: not folder.exists(), 10, "the folder to be gone")


def processes_of(folder: Path) -> list[str]:
    """Those that have the folder in their arguments or environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            told = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except OSError:
            continue
        if str(folder).encode() in told:
            found.append(process.name)
    return found


@pytest.mark.parametrize("ending", [signal.SIGINT, None])
def test_interrupt_and_end_of_input_end_everything(permitted: None, place: str, ending: signal.Signals | None) -> None:
    """SIGINT goes to the whole process group, as from a terminal."""
    with subprocess.Popen(
        ["sh", TESTBED, "1"], env={**environment(sys.executable), "TMPDIR": place}, text=True, cwd="/", process_group=0,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as bed:  # fmt: skip
        assert bed.stdin
        assert bed.stdout
        assert any("found each other" in line for line in bed.stdout)
        (folder,) = left_in(place)
        if ending is None:
            bed.stdin.close()
        else:
            os.killpg(bed.pid, ending)
        assert bed.wait(20) in (0, 128)
    Lan.until(lambda: not processes_of(folder), 10, "the processes to be gone")
    assert left_in(place) == []


def test_where_namespaces_are_not_permitted_the_reason_is_told(place: str) -> None:
    fake = Path(place) / "unshare"
    fake.write_text("#!/bin/sh\necho unshare: Operation not permitted >&2\nexit 1\n")
    fake.chmod(0o755)
    path = {"PATH": f"{place}:{os.environ['PATH']}", "TMPDIR": place}
    done = subprocess.run(
        ["sh", TESTBED, "2"], env={**environment(sys.executable), **path}, input="status\n", text=True, capture_output=True,
        timeout=SECONDS_MAX, check=False, cwd="/",
    )  # fmt: skip
    assert done.returncode == 69
    assert "not permitted here: unshare: Operation not permitted" in done.stderr
    assert left_in(place) == []


@pytest.mark.parametrize(
    ("others", "everybody", "text"),
    [
        ("", "abc", "nobody"), ("bc", "abc", "b, c"), ("abcd", "abcd", "a, b, c, d"), ("abcde", "abcde", "all others"),
        ("abcde", "abcdefg", "all but f, g"), ("abcde", "abcdefghijklm", "a, b, c, d, e"),
    ],
)  # fmt: skip
def test_whom_a_node_sees_is_said_in_few_words(others: str, everybody: str, text: str) -> None:
    assert seen_words(set(others), set(everybody)) == text


@pytest.fixture(scope="module")
def console(permitted: None) -> Iterator[tuple[Console, list[str]]]:
    """Of two machines on which nothing runs yet."""
    folder = Path(tempfile.mkdtemp(prefix="tb", dir="/tmp"))
    said: list[str] = []
    with Lan(2, folder=folder) as lan:
        nodes = LanNodes(lan, 2, folder, Recipe(lambda path: NodeClient([path]), (RalnodeError,)))
        yield Console(nodes, said.append, said.append), said


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("frob", "no command 'frob'"),
        ("loss", "write: loss NODE 0.3"),
        ("loss 1", "write: loss NODE 0.3"),
        ("loss 1 2", "not from 0 to 1"),
        ("loss 1 much", "'much' is no number"),
        ("loss 3 0.1", "no node '3'; there are: attic, cellar"),
        ("loss 1 nan", "not from"),
        ("kill attic", "attic does not run; start attic"),
        ("open attic", "does not run"),
        ("exec 1", "write: exec NODE COMMAND..."),
        ("exec 1 false", "false on attic ended with 1"),
        ("exec 1 'oops", "take"),
        ("exec 1 /no/such/program", "ended with 127"),
        ("wait -1", "not from"),
        ("quit now please", ""),
    ],
)
def test_a_line_that_cannot_be_carried_out_says_why(console: tuple[Console, list[str]], line: str, says: str) -> None:
    if not says:
        assert console[0].do(line) is False
        return
    with pytest.raises(WordError) as refused:
        console[0].do(line)
    assert says in str(refused.value)


def test_help_lists_every_word_with_its_meaning(console: tuple[Console, list[str]]) -> None:
    console[1].clear()
    assert console[0].do("help")
    for word in (*words_of(Console), "quit"):
        assert any(re.match(rf"  {word}\b.{{5,}}", line) for line in console[1]), word


def test_what_a_command_writes_is_shown_whole(console: tuple[Console, list[str]]) -> None:
    console[1].clear()
    console[0].do("exec cellar sh -c 'hostname -I 2>/dev/null; ip -4 -br addr show eth0; printf end'")
    assert "10.77.0.2" in "".join(console[1])
    assert "".join(console[1]).endswith("end\n")
