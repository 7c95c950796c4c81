"""Beside Kubo and nginx, in turn in one call: reading a file and single blocks over HTTP, adding, copying to a second node,
memory. Kubo comes from `sh packaging/interop`; without it there are no figures. `--small` uses 256 MiB instead of 1 GiB;
`--only reading,blocks,adding,copying` leaves the other parts out."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from pairs import Figure, report, seconds, speed_ratio

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from interop_kubo import Kubo
from interop_pool import SingleNode, free_port
from interop_tools import TOOLS, until

MIB = 1 << 20
SIZE_BYTES = (256 if "--small" in sys.argv else 1024) * MIB
ONLY = next((word for before, word in zip(sys.argv, sys.argv[1:], strict=False) if before == "--only"), "").split(",")
CONNECTIONS = 16
BLOCK_REQUESTS = 3000
PROFILE = "unixfs-v1-2025"
NGINX = """\
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.err;
events {{ worker_connections 128; }}
http {{ access_log off; sendfile on; client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
uwsgi_temp_path {folder}; scgi_temp_path {folder}; server {{ listen 127.0.0.1:{port}; root {folder}/www; }} }}
"""


def make_file(path: Path, seed: int) -> None:
    dice = random.Random(seed)
    with path.open("wb") as file:
        for _ in range(SIZE_BYTES // MIB):
            file.write(dice.randbytes(MIB))


def fetch(url: str) -> Callable[[], object]:
    return lambda: subprocess.run(["curl", "-sSf", "-o", "/dev/null", url], check=True)


def memory_mib(pid: int, kind: str) -> float:
    """`kind`: VmRSS now, VmHWM at most so far."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith(kind))
    return int(line.split()[1]) / 1024


@contextlib.contextmanager
def nginx(folder: Path) -> Iterator[str]:
    """Serves folder/www."""
    port = free_port()
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port))
    process = subprocess.Popen(["nginx", "-c", str(folder / "nginx.conf"), "-e", str(folder / "nginx.err")])
    try:
        time.sleep(0.5)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def requests_per_second(gateway: str, leaves: Sequence[str]) -> float:
    """Single raw blocks over 16 connections that are kept."""
    host = gateway.removeprefix("http://")
    shares = [leaves[at::CONNECTIONS] for at in range(CONNECTIONS)]

    def work(share: Sequence[str]) -> None:
        connection = http.client.HTTPConnection(host, timeout=30)
        buffer = bytearray(2 * MIB)
        for leaf in share:
            connection.request("GET", f"/ipfs/{leaf}?format=raw", headers={"Accept": "application/vnd.ipld.raw"})
            answer = connection.getresponse()
            if answer.status != 200:
                raise RuntimeError(f"{gateway} answered {answer.status} for {leaf}")
            while answer.readinto(buffer):
                pass
        connection.close()

    threads = [threading.Thread(target=work, args=(share,)) for share in shares]
    spent = seconds(lambda: ([thread.start() for thread in threads], [thread.join() for thread in threads]))
    return len(leaves) / spent


def reading(folder: Path, ours: SingleNode, kubo: Kubo, root: str) -> list[Figure]:
    path = f"/ipfs/{root}"
    with nginx(folder) as server:
        (folder / "www").mkdir()
        (folder / "www" / "film").hardlink_to(folder / "film")
        mine = fetch(ours.gateway + path)
        return [
            speed_ratio("1 GiB from our path gateway ÷ from Kubo's", mine, fetch(kubo.gateway + path), 1.5, pairs=5),
            speed_ratio("1 GiB from our path gateway ÷ from nginx", mine, fetch(f"{server}/film"), 0.4, pairs=5),
        ]


def reading_first(ours: SingleNode, kubo: Kubo, root: str) -> Figure:
    """After a start, when each block is hashed. Kubo never hashes what it reads from its own disk."""
    pairs = []
    for _ in range(3):
        ours.stop()
        ours.start()
        time.sleep(3)
        pairs.append([seconds(fetch(f"{gateway}/ipfs/{root}")) for gateway in (ours.gateway, kubo.gateway)])
    mine, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
    return Figure(
        "the same for the first time, each block hashed", statistics.median(theirs / mine for mine, theirs in pairs), "×",
        None, at_least=True, detail=f"{mine:.2f} s against {theirs:.2f} s",
    )  # fmt: skip


def single_blocks(ours: SingleNode, kubo: Kubo, root: str) -> Figure:
    leaves = [line for line in kubo("refs", "--recursive", root).split() if line.startswith("bafkrei")]
    dice = random.Random(3)
    asked = [dice.choice(leaves) for _ in range(BLOCK_REQUESTS)]
    pairs = [(requests_per_second(ours.gateway, asked), requests_per_second(kubo.gateway, asked)) for _ in range(5)]
    ratio = statistics.median(mine / theirs for mine, theirs in pairs)
    mine, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
    return Figure(
        "raw blocks of 1 MiB, 16 connections: requests/s ÷ Kubo's", ratio, "×", 0.7, at_least=True,
        detail=f"{mine:.0f}/s against {theirs:.0f}/s",
    )  # fmt: skip


def adding(folder: Path, ours: SingleNode, program: Path) -> list[Figure]:
    """A new file each time, so that nothing is known already. They take turns in being first, and what was written before is
    on the disk when a run begins."""
    figures = []
    for is_durable, what in ((False, "as installed"), (True, "both durable")):
        place = folder / f"kubo-add-{is_durable}"
        place.mkdir()
        spec = json.dumps(_datastore(is_sync=True)) if is_durable else None
        with Kubo(program, place, [], PROFILE, more={"Datastore.Spec": json.loads(spec)} if spec else None) as kubo:
            times = []
            for turn in range(4):
                new = folder / "new"
                make_file(new, 100 * is_durable + turn)
                name = f"new {is_durable} {turn}"
                adds = [
                    partial(ours.run, "add", new, "--name", name),
                    partial(kubo, "add", "--quieter", "--pin=true", new),
                ]
                both = [_settled_seconds(add) for add in (reversed(adds) if turn % 2 else adds)]
                mine, theirs = reversed(both) if turn % 2 else both
                times.append((mine, theirs))
                ours.run("rm", name, "--yes")
        ratios = sorted(theirs / mine for mine, theirs in times[1:])
        mine, theirs = (statistics.median(column) for column in zip(*times[1:], strict=True))
        figures.append(
            Figure(
                f"adding 1 GiB, {what} (ours always is durable) ÷ ipfs add", statistics.median(ratios), "×",
                1.5 if is_durable else None, at_least=True,
                detail=f"{mine:.2f} s against {theirs:.2f} s; ratios {ratios[0]:.2f} to {ratios[-1]:.2f}",
            )
        )  # fmt: skip
    return figures


def _settled_seconds(action: Callable[[], object]) -> float:
    os.sync()
    return seconds(action)


def _datastore(*, is_sync: bool) -> dict[str, object]:
    """Kubo's default one, with every block on the disk before it is acknowledged."""
    mounts = [
        {
            "mountpoint": "/blocks", "prefix": "flatfs.datastore", "type": "measure",
            "child": {"type": "flatfs", "path": "blocks", "sync": is_sync, "shardFunc": "/repo/flatfs/shard/v1/next-to-last/2"},
        },
        {
            "mountpoint": "/", "prefix": "leveldb.datastore", "type": "measure",
            "child": {"type": "levelds", "path": "datastore", "compression": "none"},
        },
    ]  # fmt: skip
    return {"type": "mount", "mounts": mounts}


def copying(folder: Path, program: Path) -> list[Figure]:
    """Cold: the second node has nothing and knows the first one. Both first nodes have made their own copy before, and have
    written it out: added by reference, ours would only make it now."""
    film, times = folder / "film", []
    for turn in range(3):
        mine = _our_copy(folder / f"ours-{turn}", film)
        theirs = [_their_copy(folder / f"theirs-{turn}", program, film, is_durable=each) for each in (False, True)]
        times.append((mine, *theirs))
    figures = []
    for place, what, bar in ((1, "as installed", 2.0), (2, "both durable", None)):
        figures.append(
            Figure(
                f"1 GiB to a second, empty node, {what} (ours always is durable) ÷ Kubo over Bitswap",
                statistics.median(each[place] / each[0] for each in times), "×", bar, at_least=True,
                detail=", ".join(f"{each[0]:.2f} s against {each[place]:.2f} s" for each in times),
            )
        )  # fmt: skip
    return figures


def _our_copy(folder: Path, film: Path) -> float:
    folder.mkdir()
    with SingleNode(folder / "a", 3 * SIZE_BYTES) as a, SingleNode(folder / "b", 3 * SIZE_BYTES, a) as b:
        until(lambda: len(b.status()["nodes"]) == 2 == len(a.status()["nodes"]), 30, "two nodes")
        os.sync()
        a.run("add", film)
        before = time.perf_counter()
        until(lambda: _is_whole(b), 120, "the copy")
        spent = time.perf_counter() - before
    shutil.rmtree(folder)
    return spent


def _is_whole(node: SingleNode) -> bool:
    status = node.status()
    me = next(each for each in status["nodes"] if each["is_me"])
    return bool(status["sources"]) and me["stored_count"] == sum(source["leaf_count"] for source in status["sources"])


def _their_copy(folder: Path, program: Path, film: Path, *, is_durable: bool) -> float:
    def swarm(port: int) -> dict[str, object]:
        store = {"Datastore.Spec": _datastore(is_sync=True)} if is_durable else {}
        return {"Addresses.Swarm": [f"/ip4/127.0.0.1/tcp/{port}"], **store}

    for name in "ab":
        (folder / name).mkdir(parents=True)
    port = free_port()
    with (
        Kubo(program, folder / "a", [], PROFILE, more=swarm(port)) as a,
        Kubo(program, folder / "b", [], PROFILE, more=swarm(free_port())) as b,
    ):
        root = a("add", "--quieter", film).strip()
        b("swarm", "connect", f"/ip4/127.0.0.1/tcp/{port}/p2p/{a('id', '-f', '<id>').strip()}")
        os.sync()
        spent = seconds(lambda: b("pin", "add", "--progress=false", root))
    shutil.rmtree(folder)
    return spent


def memory(ours: SingleNode, kubo: Kubo, rest: tuple[float, float]) -> list[Figure]:
    peaks = memory_mib(ours.pid, "VmHWM"), memory_mib(kubo.pid, "VmHWM")
    return [
        Figure("memory at rest, ours", rest[0], "MiB", None, at_least=False, detail=f"Kubo {rest[1]:.0f} MiB"),
        Figure("memory at its peak, ours", peaks[0], "MiB", None, at_least=False, detail=f"Kubo {peaks[1]:.0f} MiB"),
    ]


def is_asked_for(*parts: str) -> bool:
    return ONLY == [""] or any(part in ONLY for part in parts)


def measure(folder: Path, program: Path) -> list[Figure]:
    make_file(folder / "film", 1)
    figures = beside_one_node(folder, program) if is_asked_for("reading", "blocks", "adding") else []
    return [*figures, *copying(folder, program)] if is_asked_for("copying") else figures


def beside_one_node(folder: Path, program: Path) -> list[Figure]:
    for name in ("node", "kubo"):
        (folder / name).mkdir()
    figures: list[Figure] = []
    with (
        SingleNode(folder / "node", 8 * SIZE_BYTES) as ours,
        Kubo(program, folder / "kubo", [], PROFILE) as kubo,
    ):
        if is_asked_for("reading", "blocks"):
            time.sleep(10)
            rest = memory_mib(ours.pid, "VmRSS"), memory_mib(kubo.pid, "VmRSS")
            ours.run("add", folder / "film")
            root = kubo("add", "--quieter", folder / "film").strip()
            figures += reading(folder, ours, kubo, root) if is_asked_for("reading") else []
            figures += [single_blocks(ours, kubo, root)] if is_asked_for("blocks") else []
            figures += memory(ours, kubo, rest)
            figures += [reading_first(ours, kubo, root)] if is_asked_for("reading") else []
        if is_asked_for("adding"):
            figures += adding(folder, ours, program)
    return figures


def main() -> int:
    program = TOOLS / "bin" / "ipfs"
    if not program.exists() or not all(map(shutil.which, ("curl", "nginx"))):
        print("left out: Kubo, curl or nginx is not here; `sh packaging/interop` fetches Kubo", file=sys.stderr)
        return report([])
    with tempfile.TemporaryDirectory(prefix="ral-") as folder:
        return report(measure(Path(folder), program))


if __name__ == "__main__":
    raise SystemExit(main())
