"""Adding content against plain tools, in the block store that nodes really use.

    python tests/bench/bench_ingest.py [--mib 1024] [--big-mib 4096] [--pairs 5] [--dir FOLDER] [--json]

Each pair runs in turn in the same call, every store is new, and what was written before is on the disk when a run begins.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import logging
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pairs import Figure, report, seconds

from ralnode.api import Context, Settings
from ralnode.host.dagindex import DagIndex
from ralnode.host.ingest import AddOptions
from ralnode.host.ingest.ingest import Ingest
from ralnode.host.memory import keep_buffers
from ralnode.testing.content import key_stream
from ralnode.testing.fake_identity import FakeIdentity
from ralnode_storage_sqlite.options import SqliteOptions
from ralnode_storage_sqlite.store import SqliteStorage

MIB = 1 << 20


def make_store(data_dir: Path) -> SqliteStorage:
    settings = Settings("bench", "bench", "", data_dir, "", 0, 0, 0, 1 << 42, 0, ())
    nobody: Any = None
    context = Context(settings, FakeIdentity("bench"), nobody, logging.getLogger("bench"), random.Random(1), 1)
    return SqliteStorage(context, SqliteOptions())


class Watch:
    """The longest hold-up of the event loop while it is open."""

    def __init__(self) -> None:
        self.seconds_max = 0.0

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            before = loop.time()
            await asyncio.sleep(0.002)
            self.seconds_max = max(self.seconds_max, loop.time() - before - 0.002)


async def add(
    source: Path, folder: Path, *, link: bool, watch: Watch, between: Callable[[], None] = lambda: None
) -> None:
    store = make_store(folder / "store")
    await store.open(lambda keys: None)
    ingest = Ingest(store, DagIndex(store))
    between()
    watching = asyncio.create_task(watch.run())
    try:
        added = await ingest.add_path(source, AddOptions(link=link))
    finally:
        watching.cancel()
        ingest.close()
        await store.close()
    assert len(added.holding.linked if link else added.holding.owned) == added.source.leaf_count


def clean(folder: Path) -> None:
    """So that neither side pays for the other's writes."""
    shutil.rmtree(folder / "store", ignore_errors=True)
    (folder / "copy").unlink(missing_ok=True)
    os.sync()


def figures(folder: Path, mib: int, pairs: int) -> list[Figure]:
    source, watch, linking = folder / "source", Watch(), Watch()
    make_file(source, mib)

    def keep() -> None:
        asyncio.run(add(source, folder, link=False, watch=watch))

    def link() -> None:
        asyncio.run(add(source, folder, link=True, watch=linking))

    def copy() -> None:
        subprocess.run(["sh", "-c", f"cp '{source}' '{folder}/copy' && sync"], check=True)

    def read_and_hash() -> None:
        digest = hashlib.sha256()
        with source.open("rb", buffering=0) as file:
            while piece := file.read(MIB):
                digest.update(piece)

    size = f"{mib} MiB"
    return [
        compared(f"durable ingest of {size} against cp + sync", keep, copy, 0.9, pairs, folder),
        compared(
            f"seeding {size} by reference against reading and hashing it", link, read_and_hash, 1.0, pairs, folder
        ),
        Figure("longest hold-up of the event loop while ingesting", watch.seconds_max * 1000, "ms", 50, at_least=False),
        Figure("longest hold-up of the event loop while linking", linking.seconds_max * 1000, "ms", 50, at_least=False),
    ]


def compared(
    what: str, ours: Callable[[], None], theirs: Callable[[], None], bar: float, pairs: int, folder: Path
) -> Figure:
    """As `pairs.speed_ratio`; what a run has written is removed before the next, and that is not timed."""

    def timed(action: Callable[[], None]) -> float:
        clean(folder)
        return seconds(action)

    timed(ours), timed(theirs)
    both = [(timed(ours), timed(theirs)) for _ in range(pairs)]
    clean(folder)
    ratios = sorted(their / our for our, their in both)
    median_ours, median_theirs = (statistics.median(column) for column in zip(*both, strict=True))
    detail = f"{median_ours:.2f} s against {median_theirs:.2f} s; ratios {ratios[0]:.2f} to {ratios[-1]:.2f}"
    return Figure(what, statistics.median(ratios), "×", bar, at_least=True, detail=detail)


def memory(folder: Path, mib: int) -> Figure:
    """Peak above idle, in a process of its own."""
    source = folder / "big"
    make_file(source, mib)
    clean(folder)
    command = [sys.executable, __file__, "--peak", str(source), "--dir", str(folder)]
    peak = int(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return Figure(f"peak memory while adding {mib} MiB, above idle", peak / MIB, "MiB", 64, at_least=False)


def print_peak(source: Path, folder: Path) -> None:
    idle = 0

    def note_idle() -> None:
        nonlocal idle
        idle = status_bytes("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")

    asyncio.run(add(source, folder, link=False, watch=Watch(), between=note_idle))
    print(status_bytes("VmHWM") - idle)


def status_bytes(name: str) -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


def make_file(path: Path, mib: int) -> None:
    with path.open("wb") as file:
        for chunk in key_stream("bench", mib * MIB):
            file.write(chunk)
    os.sync()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--big-mib", type=int, default=4096)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--dir", type=Path, default=None)
    parser.add_argument("--peak", type=Path, default=None, help=argparse.SUPPRESS)
    wanted, rest = parser.parse_known_args()
    keep_buffers()  # as a node does
    if wanted.peak is not None:
        print_peak(wanted.peak, wanted.dir)
        return 0
    with tempfile.TemporaryDirectory(dir=wanted.dir) as name:
        folder = Path(name)
        found = figures(folder, wanted.mib, wanted.pairs)
        if wanted.big_mib:
            found.append(memory(folder, wanted.big_mib))
    return report(found, rest)


if __name__ == "__main__":
    raise SystemExit(main())
