"""The log of a real node: priorities for the journal and none for a terminal, and nowhere a secret."""

from __future__ import annotations

import base64
import json
import os
import pty
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from ralnode.host.joincode import JoinCode

OPTIONS = ["--listen", "127.0.0.1", "--port", "0", "--gossip-port", "0", "--page-port", "0", "--capacity", "50MB"]
SECONDS = 100


def log_of(cli, data: Path, read_end: int, write_end: int) -> list[str]:
    """What a node writes to stderr from its start to its end, `write_end` being named as the journal's stream."""
    found = os.fstat(write_end)
    cli.env["JOURNAL_STREAM"] = f"{found.st_dev}:{found.st_ino}" if not os.isatty(write_end) else "8:1"
    arguments = ["run", "--data", data, "--log-level", "debug", *OPTIONS, "--peer", "127.0.0.1:1"]
    with (cli.home / "out").open("wb") as out:
        process = subprocess.Popen(
            [*cli.program, *map(str, arguments)], cwd=cli.home, env=cli.environment(), stdin=subprocess.DEVNULL,
            stdout=out, stderr=write_end,
        )  # fmt: skip
    os.close(write_end)
    deadline = time.monotonic() + SECONDS
    while "/dashboard" not in (cli.home / "out").read_text():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    pieces = []
    while True:
        try:
            piece = os.read(read_end, 65536)
        except OSError:  # a terminal without its program
            break
        if not piece:
            break
        pieces.append(piece)
    os.close(read_end)
    assert process.wait(SECONDS) == 0
    return [line for line in b"".join(pieces).decode().splitlines() if line.strip()]


def test_the_journal_gets_priorities_and_a_terminal_the_time(cli, tmp_path: Path) -> None:
    journal = log_of(cli, tmp_path / "a", *os.pipe())
    assert journal and all(re.match(r"<[2-7]>", line) for line in journal), journal
    terminal = log_of(cli, tmp_path / "b", *pty.openpty())
    assert terminal and not any(re.match(r"<[2-7]>", line) for line in terminal), terminal
    assert re.match(r"\d\d:\d\d:\d\d ", terminal[0]), "later lines may be a traceback's"


def test_no_secret_is_ever_logged(new_node: Callable[..., object], tmp_path: Path) -> None:
    node = new_node("--name", "talker", "--log-level", "debug", "--capacity", "60MB")
    code = json.loads(node.cli.ok("invite", "--json").out)["code"]
    node.cli.ok("backup", "-o", tmp_path / "b.tar")
    other = new_node("--name", "listener", "--log-level", "debug", "--join", code, "--capacity", "60MB")
    other.wait_for(lambda: len(other.ask("nodes")["nodes"]) == 2)
    time.sleep(0.5)
    secret, key = JoinCode.decode(code).secret, (other.folder / "data" / "identity.key").read_bytes()
    for each in (node, other):
        log = each.log.read_text()
        assert len(log) > 200, "it was a talkative log"
        for hidden in (secret, key):
            texts = (
                hidden.hex(),
                base64.b64encode(hidden).decode()[:40],
                base64.b32encode(hidden).decode()[:48],
                repr(hidden),
            )
            assert not any(text in log or text.lower() in log for text in texts)
        assert code not in log and "ral1" not in log
