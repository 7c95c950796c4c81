"""The first minute at two terminals: run prints the way in, the code joins the second machine and starts it."""

from __future__ import annotations

import http.client
import os
import pty
import re
import select
import signal
import subprocess
import tempfile
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from ralnode.cli.client import NodeClient

if TYPE_CHECKING:
    from tests.cli.conftest import Cli
else:
    Cli = Any

SECONDS_MAX = 120
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
CONFIG = """[node]
name = "{name}"
data_dir = "{folder}/d"
listen_host = "127.0.0.1"
transport_port = 0
gossip_port = 0
page_port = 0
capacity = "100 MB"
[use]
gateway = []
discovery = ["static"]
"""


class Terminal:
    """A `ralnode` command as a person sees it."""

    def __init__(self, cli: Cli, folder: Path, *arguments: str) -> None:
        self.socket = folder / "s"
        self._text = ""
        self._reading, writing = pty.openpty()
        termios.tcsetwinsize(writing, (60, 120))
        environment = {**cli.environment(), "HOME": str(folder), "RALNODE_SOCKET": str(self.socket)}
        environment["RALNODE_CONFIG"] = str(folder / "ralnode.toml")
        self.process = subprocess.Popen(
            [*cli.program, *arguments], env=environment, stdin=writing, stdout=writing, stderr=writing, cwd=folder,
            start_new_session=True,
        )  # fmt: skip
        os.close(writing)

    def until(self, pattern: str) -> re.Match[str]:
        deadline = time.monotonic() + SECONDS_MAX
        while (found := re.search(pattern, self.text)) is None:
            assert time.monotonic() < deadline, self.text
            if select.select([self._reading], [], [], 0.2)[0]:
                try:
                    self._text += os.read(self._reading, 65536).decode("utf-8", "replace")
                except OSError as error:
                    raise AssertionError(f"it ended: {self.text}") from error
        return found

    @property
    def text(self) -> str:
        return COLOURS.sub("", self._text).replace("\r\n", "\n")

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(60)
            finally:
                self.process.kill()
        os.close(self._reading)


@pytest.fixture
def machines() -> Iterator[list[Path]]:
    with tempfile.TemporaryDirectory(prefix="ral-", dir="/tmp") as base:
        folders = []
        for name in ("attic", "cellar"):
            folder = Path(base) / name
            folder.mkdir()
            (folder / "ralnode.toml").write_text(CONFIG.format(name=name, folder=folder))
            folders.append(folder)
        yield folders


def test_what_the_first_run_prints_is_enough_to_sign_in_and_to_join_a_second_machine(
    cli: Cli, machines: list[Path]
) -> None:
    one = Terminal(cli, machines[0], "run")
    try:
        link = one.until(r"sign in to it, once, within 15 minutes: (http://\S+)\n")[1]
        code = one.until(r"on another machine: ralnode join (ral1[a-z2-7]+)\n")[1]
        one.until("attic is running and gives 100 MB")
        one.until("█▀▀▀▀▀█")
        assert urlsplit(link).path == "/sign-in/link"
        assert _get(link) == 200
        two = Terminal(cli, machines[1], "join", code)
        try:
            two.until("cellar is running and gives 100 MB")
            _until_two_nodes(one.socket)
        finally:
            two.close()
        assert two.process.returncode == 0
    finally:
        one.close()
    assert one.process.returncode == 0


def test_the_code_is_shown_as_a_picture_where_it_fits(cli: Cli, machines: list[Path]) -> None:
    one = Terminal(cli, machines[0], "run")
    try:
        one.until("attic is running")
        picture = cli_with(cli, one.socket).ok("invite", "--qr").out
    finally:
        one.close()
    code, *rows = COLOURS.sub("", picture).rstrip("\n").split("\n")
    assert code.startswith("ral1")
    assert len({len(row) for row in rows}) == 1 and set("".join(rows)) <= set(" ▀▄█")
    assert len(rows) * 2 >= len(rows[0]) >= 25


def test_nothing_secret_is_printed_where_no_terminal_is(cli: Cli, machines: list[Path]) -> None:
    log = machines[0] / "log"
    environment = {**cli.environment(), "HOME": str(machines[0]), "RALNODE_CONFIG": str(machines[0] / "ralnode.toml")}
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*cli.program, "run", "--socket", str(machines[0] / "s")], env=environment, stdout=out, stderr=out
        )
    try:
        deadline = time.monotonic() + SECONDS_MAX
        while "this is a new cluster" not in log.read_text():
            assert time.monotonic() < deadline and process.poll() is None, log.read_text()
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    assert "code=" not in log.read_text() and "ral1" not in log.read_text()


def cli_with(cli: Cli, socket: Path) -> Cli:
    cli.socket = socket
    return cli


def _get(url: str) -> int:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    connection.request("GET", f"{parts.path}?{parts.query}")
    status = connection.getresponse().status
    connection.close()
    return status


def _until_two_nodes(socket: Path) -> None:
    deadline = time.monotonic() + SECONDS_MAX
    while len(NodeClient([socket]).command("nodes")["nodes"]) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.1)
