"""The command line: how soon it answers, and what streaming a file to the node and back costs.

python tests/bench/bench_cli.py [--pairs 7] [--mib 512] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import pty
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from pairs import Figure, report, seconds

RALNODE = [sys.executable, "-m", "ralnode"]
MIB = 1 << 20


def quiet(arguments: list[str], **options: object) -> None:
    subprocess.run(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False, **options)  # type: ignore[call-overload]


def on_terminal(arguments: list[str]) -> None:
    """As `quiet`, but the program believes that somebody watches, and is as colourful as it gets."""
    child, descriptor = pty.fork()
    if child == 0:
        os.execv(arguments[0], arguments)
    try:
        while os.read(descriptor, 65536):
            pass
    except OSError:  # how a pseudo-terminal says that the other side has closed
        pass
    os.close(descriptor)
    os.waitpid(child, 0)


def startup(pairs: int) -> list[Figure]:
    """Each against the interpreter alone, in turn."""
    nothing = [sys.executable, "-c", "pass"]
    lines: dict[str, tuple[Callable[[], None], float | None]] = {
        "ralnode --help, printed": (lambda: quiet([*RALNODE, "--help"]), 0.5),
        "ralnode --help, on a terminal": (lambda: on_terminal([*RALNODE, "--help"]), 0.5),
        "ralnode add --help": (lambda: quiet([*RALNODE, "add", "--help"]), None),
        "ralnode ls without a node": (lambda: quiet([*RALNODE, "ls", "--socket", "/nowhere"]), None),
    }
    figures = []
    for what, (line, bar) in lines.items():
        line(), quiet(nothing)
        timed = [(seconds(line), seconds(lambda: quiet(nothing))) for _ in range(pairs)]
        ratio = statistics.median(ours / bare for ours, bare in timed)
        value = statistics.median(ours for ours, _ in timed)
        figures.append(Figure(what, value, "s", bar, at_least=False, detail=f"{ratio:.1f} × `python -c pass`"))
    return figures


class Node:
    """One `ralnode run` with nobody else."""

    def __init__(self, folder: Path) -> None:
        self.env = os.environ | {"RALNODE_SOCKET": str(folder / "s"), "RALNODE_CONFIG": ""}
        arguments = ["run", "--data", str(folder / "d"), "--capacity", "60GB", "--listen", "127.0.0.1"]
        ports = ["--port", "0", "--gossip-port", "0", "--page-port", "0"]
        self.process = subprocess.Popen(
            [*RALNODE, *arguments, *ports], env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while not (folder / "s").exists():
            time.sleep(0.05)

    def do(self, *arguments: str) -> dict[str, object]:
        done = subprocess.run(
            [*RALNODE, *arguments, "--json"], env=self.env, capture_output=True, text=True, check=True
        )
        return dict(json.loads(done.stdout or "{}"))

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()


def streaming(mib: int, pairs: int) -> list[Figure]:
    """A file to the node (durable) against `cp` and `sync`; and back against `cp`."""
    folder = Path(tempfile.mkdtemp(prefix="ral-", dir="/tmp"))
    node = Node(folder)
    adds, gets = [], []
    try:
        for number in range(pairs + 1):
            file, copy, back = folder / f"f{number}", folder / "copy", folder / "back"
            with file.open("wb") as out:
                for _ in range(mib):
                    out.write(os.urandom(MIB))
            os.sync()
            ours = seconds(lambda file=file: node.do("add", str(file)))  # type: ignore[misc]
            theirs = seconds(lambda file=file, copy=copy: quiet(["sh", "-c", f"cp {file} {copy} && sync {copy}"]))  # type: ignore[misc]
            got = seconds(lambda file=file, back=back: node.do("get", file.name, "-o", str(back)))  # type: ignore[misc]
            copied = seconds(lambda file=file, copy=copy: quiet(["cp", str(file), str(copy)]))  # type: ignore[misc]
            if number:  # the first pair is the warm-up
                adds.append((theirs / ours, mib / ours))
                gets.append((copied / got, mib / got))
            node.do("rm", "--yes", file.name)
            for path in (file, copy, back):
                path.unlink(missing_ok=True)
    finally:
        node.close()
        shutil.rmtree(folder, ignore_errors=True)
    made = []
    for what, rows in ((f"ralnode add, {mib} MiB, durable ÷ cp + sync", adds), (f"ralnode get, {mib} MiB ÷ cp", gets)):
        ratio, speed = (statistics.median(column) for column in zip(*rows, strict=True))
        made.append(Figure(what, ratio, "×", None, at_least=True, detail=f"{speed:.0f} MiB/s"))
    return made


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--mib", type=int, default=512)
    arguments, _rest = parser.parse_known_args()
    return report([*startup(arguments.pairs), *streaming(arguments.mib, 5)])


if __name__ == "__main__":
    raise SystemExit(main())
