"""Figures of whole nodes, real processes on loopback: memory and processor at rest, memory while 4 GiB are added and
fetched, hold-ups of the event loop, start to ready. `--small` uses 512 MiB instead of 4 GiB."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from pairs import Figure, report

MIB = 1024 * 1024
SIZE_BYTES = 512 * MIB if "--small" in sys.argv else 4096 * MIB
REST_SECONDS = 30
RALNODE = [sys.executable, "-m", "ralnode"]


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


class Node:
    """One `ralnode run`."""

    def __init__(self, folder: Path, name: str, code: str = "") -> None:
        self.data, self.socket = folder / name, folder / f"{name}.sock"
        port, gossip, self.page = free_ports(3)
        arguments = [
            "run", "--data", str(self.data), "--name", name, "--capacity", "12GB", "--listen", "127.0.0.1",
            "--port", str(port), "--gossip-port", str(gossip), "--page-port", str(self.page),
        ]  # fmt: skip
        self.env = os.environ | {"RALNODE_SOCKET": str(self.socket), "RALNODE_CONFIG": ""}
        begin = time.perf_counter()
        self.process = subprocess.Popen(
            [*RALNODE, *arguments, *(["--join", code] if code else [])],
            env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT,
        )  # fmt: skip
        while not self.is_ready():
            time.sleep(0.02)
        self.start_seconds = time.perf_counter() - begin

    def is_ready(self) -> bool:
        with contextlib.suppress(OSError):
            return bool(urllib.request.urlopen(f"http://127.0.0.1:{self.page}/readyz", timeout=5).status == 200)
        return False

    def tell(self, *arguments: str) -> dict[str, object]:
        done = subprocess.run(
            [*RALNODE, "--json", *arguments], env=self.env, capture_output=True, text=True, check=True
        )
        return dict(json.loads(done.stdout.splitlines()[-1] if "\n{" in done.stdout else done.stdout))

    def memory_bytes(self, field: str) -> int:
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith(field + ":"))

    def forget_peak(self) -> None:
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def processor_seconds(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def metric(self, name: str) -> float:
        text = urllib.request.urlopen(f"http://127.0.0.1:{self.page}/metrics", timeout=10).read().decode()
        return next(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name + " "))

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextlib.contextmanager
def two_nodes() -> Iterator[tuple[Node, Node, Path]]:
    folder = Path(tempfile.mkdtemp(prefix="ralnode-bench-"))
    nodes: list[Node] = []
    try:
        nodes.append(Node(folder, "a"))
        code = str(nodes[0].tell("invite")["code"])
        nodes.append(Node(folder, "b", code))
        yield nodes[0], nodes[1], folder
    finally:
        for node in nodes:
            node.stop()
        shutil.rmtree(folder, ignore_errors=True)


def at_rest(nodes: tuple[Node, ...]) -> list[Figure]:
    time.sleep(10)
    before = [node.processor_seconds() for node in nodes]
    time.sleep(REST_SECONDS)
    used = [(node.processor_seconds() - was) / REST_SECONDS for node, was in zip(nodes, before, strict=True)]
    memory = max(node.memory_bytes("VmRSS") for node in nodes)
    return [
        Figure("idle memory of a node (RSS)", memory / MIB, "MiB", 110, at_least=False),
        Figure("idle processor, of one core", 100 * max(used), "%", 1, at_least=False),
    ]


def loaded(a: Node, b: Node, folder: Path) -> list[Figure]:
    """Adds one large file to `a` by streaming, lets `b` fetch its copy, reads it back through `b`."""
    path = folder / "large"
    with path.open("wb") as out:
        for _ in range(SIZE_BYTES // (8 * MIB)):
            out.write(os.urandom(8 * MIB))
    idle = {node: node.memory_bytes("VmRSS") for node in (a, b)}
    a.forget_peak(), b.forget_peak()
    a.tell("add", str(path))
    adding = a.memory_bytes("VmHWM") - idle[a]
    count = -(-SIZE_BYTES // MIB)
    while int(next(n["stored_count"] for n in b.tell("status")["nodes"] if n["is_me"])) < count:  # type: ignore[attr-defined]
        time.sleep(0.5)
    fetching = b.memory_bytes("VmHWM") - idle[b]
    lag = max(node.metric("ralnode_loop_lag_seconds_max") for node in (a, b))
    on_disk = sum(f.stat().st_blocks * 512 for f in b.data.rglob("*") if f.is_file())
    return [
        Figure(
            f"peak memory while adding {SIZE_BYTES // MIB} MiB, above idle", adding / MIB, "MiB", 64, at_least=False
        ),
        Figure(
            f"peak memory while fetching {SIZE_BYTES // MIB} MiB, above idle", fetching / MIB, "MiB", 64, at_least=False
        ),
        Figure("longest hold-up of the event loop meanwhile", 1000 * lag, "ms", 50, at_least=False),
        Figure("bytes on disk ÷ bytes of data, fetched", on_disk / SIZE_BYTES, "×", 1.01, at_least=False),
    ]


def main() -> int:
    with two_nodes() as (a, b, folder):
        started = statistics.median([a.start_seconds, b.start_seconds])
        figures = [
            Figure("start to ready", started, "s", None, at_least=False),
            *at_rest((a, b)),
            *loaded(a, b, folder),
        ]
    return report(figures)


if __name__ == "__main__":
    raise SystemExit(main())
