"""The frozen executables: how large, how soon they answer, how soon a node is READY, against this environment's Python.

python tests/bench/bench_frozen.py [--pairs 7] [--json]; RALNODE_DIST names another folder than dist/. All runs are warm.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from pairs import Figure, report

DIST = Path(os.environ.get("RALNODE_DIST", Path(__file__).parents[2] / "dist"))
FOLDER, ONE_FILE = DIST / "ralnode-dir", DIST / "ralnode"
SOURCE = [sys.executable, "-m", "ralnode"]
MB = 1_000_000
READY_SECONDS_MAX = 60

Timed = Callable[[list[str]], tuple[float, float]]
"""Seconds on the clock, and of processor time."""


def processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def version(program: list[str]) -> tuple[float, float]:
    used, begun = processor_seconds(), time.perf_counter()
    subprocess.run([*program, "--version"], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begun, processor_seconds() - used


def ready(program: list[str]) -> tuple[float, float]:
    """A first start with a new data folder. The processor time is that of the whole run, with its end."""
    folder = Path(tempfile.mkdtemp(prefix="ral-", dir="/tmp"))
    ports = ["--port", "0", "--gossip-port", "0", "--page-port", "0", "--listen", "127.0.0.1"]
    (folder / "c.toml").write_text("[gateway.ipfs]\nport = 0\ntls_port = 0\n")
    environ = {"HOME": str(folder), "PATH": os.environ["PATH"], "NOTIFY_SOCKET": str(folder / "n")}
    line = [*program, "--socket", str(folder / "s"), "--config", str(folder / "c.toml"), "run", *ports]
    used = processor_seconds()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(folder / "n"))
        told.settimeout(READY_SECONDS_MAX)
        begun = time.perf_counter()
        node = subprocess.Popen(
            [*line, "--data", str(folder / "d"), "--capacity", "500MB"],
            env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            while b"READY=1" not in told.recv(4096):
                pass
            seconds = time.perf_counter() - begun
        finally:
            node.terminate()
            node.wait()
            shutil.rmtree(folder, ignore_errors=True)
    return seconds, processor_seconds() - used


def figures(timed: Timed, what: str, bars: dict[str, float], pairs: int) -> list[Figure]:
    """Each kind of executable in turn with the source, after one warm-up."""
    programs = {"onedir": [str(FOLDER / "ralnode")], "onefile": [str(ONE_FILE)]}
    made = []
    for kind, bar in bars.items():
        timed(programs[kind]), timed(SOURCE)
        rows = [(timed(programs[kind]), timed(SOURCE)) for _ in range(pairs)]
        seconds = statistics.median(ours[0] for ours, _ in rows)
        ratio = statistics.median(ours[0] / theirs[0] for ours, theirs in rows)
        processor = statistics.median(ours[1] for ours, _ in rows)
        best = min(ours[0] for ours, _ in rows)
        detail = f"{ratio:.2f} × the source; least {best:.2f} s; {processor:.2f} s of processor"
        made.append(Figure(f"{what}, {kind}", seconds, "s", bar, at_least=False, detail=detail))
    return made


def sizes() -> list[Figure]:
    folder = sum(path.lstat().st_size for path in FOLDER.rglob("*") if not path.is_dir())
    return [
        Figure("size, onedir", folder / MB, "MB", 90, at_least=False),
        Figure("size, onefile", ONE_FILE.stat().st_size / MB, "MB", 45, at_least=False),
    ]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=7)
    arguments, _rest = parser.parse_known_args()
    if not (FOLDER.exists() and ONE_FILE.exists()):
        print("nothing frozen to measure: sh packaging/build", file=sys.stderr)
        return report([])
    return report(
        [
            *sizes(),
            *figures(version, "--version, warm", {"onedir": 0.3, "onefile": 0.9}, arguments.pairs),
            *figures(ready, "first `run` to READY", {"onedir": 1.5, "onefile": 1.5}, arguments.pairs),
        ]
    )


if __name__ == "__main__":
    raise SystemExit(main())
