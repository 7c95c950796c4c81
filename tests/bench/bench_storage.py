"""The block store against plain tools: paired ratios, run in turn in the same call.

    python tests/bench/bench_storage.py [--mib 1024] [--pairs 5] [--dir FOLDER] [--json]

Blocks are made and hashed beforehand: this measures the store, not the ingest.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import logging
import os
import random
import shutil
import signal
import statistics
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pairs import Figure, report

from ralnode.api import Block, Context, FileSlice, Settings
from ralnode.dag import cid
from ralnode.testing.fake_identity import FakeIdentity
from ralnode_storage_sqlite.options import SqliteOptions
from ralnode_storage_sqlite.store import SqliteStorage

MIB = 1 << 20
PUT_BYTES = 8 * MIB
"""limits.PUT_BATCH_BYTES: how ingest and fetching hand blocks over."""


def make_store(data_dir: Path, **options: Any) -> SqliteStorage:
    settings = Settings("bench", "bench", "", data_dir, "", 0, 0, 0, 1 << 40, 0, ())
    nobody: Any = None
    context = Context(settings, FakeIdentity("bench"), nobody, logging.getLogger("bench"), random.Random(1), 1)
    return SqliteStorage(context, SqliteOptions(**options))


def make_blocks(mib: int) -> list[Block]:
    datas = (os.urandom(MIB) for _ in range(mib))
    return [Block(cid.make(cid.RAW, data), data) for data in datas]


async def stalls(worst: list[float]) -> None:
    """How long the event loop was away at most."""
    while True:
        start = time.perf_counter()
        await asyncio.sleep(0.001)
        worst.append(time.perf_counter() - start - 0.001)


def disk_usage(path: Path) -> int:
    return sum(entry.lstat().st_blocks * 512 for entry in [path, *path.rglob("*")])


async def put_all(store: SqliteStorage, blocks: Sequence[Block], batch_blocks: int, at_once: int) -> float:
    batches = [blocks[start : start + batch_blocks] for start in range(0, len(blocks), batch_blocks)]
    start = time.perf_counter()

    async def worker() -> None:
        while batches:
            await store.put(batches.pop(0))

    await asyncio.gather(*(worker() for _ in range(at_once)))
    return time.perf_counter() - start


async def measure_put(blocks: Sequence[Block], folder: Path, at_once: int) -> dict[str, float]:
    store = make_store(folder / "store")
    await store.open(lambda keys: None)
    worst: list[float] = []
    watcher = asyncio.create_task(stalls(worst))
    seconds = await put_all(store, blocks, PUT_BYTES // len(blocks[0].data), at_once)
    watcher.cancel()
    await store.close()
    data_bytes = sum(len(block.data) for block in blocks)
    ratio = disk_usage(folder / "store") / data_bytes
    shutil.rmtree(folder / "store")
    return {"seconds": seconds, "stall_seconds": max(worst), "disk_ratio": ratio}


def measure_copy(source: Path, folder: Path) -> float:
    start = time.perf_counter()
    subprocess.run(["cp", source, folder / "copy"], check=True)
    subprocess.run(["sync", folder / "copy"], check=True)
    seconds = time.perf_counter() - start
    (folder / "copy").unlink()
    return seconds


async def measure_read(blocks: Sequence[Block], folder: Path) -> dict[str, float]:
    """Reading everything back in batches, against one thread that reads and hashes a file of it."""
    store = make_store(folder / "store")
    await store.open(lambda keys: None)
    await put_all(store, blocks, 32, 4)
    start = time.perf_counter()
    for at in range(0, len(blocks), 8):
        await store.get_many([block.key for block in blocks[at : at + 8]])
    seconds = time.perf_counter() - start
    await store.close()
    shutil.rmtree(folder / "store")
    return {"read_seconds": seconds}


def measure_hash(source: Path) -> float:
    start = time.perf_counter()
    with source.open("rb") as file:
        while data := file.read(MIB):
            hashlib.sha256(data).digest()
    return time.perf_counter() - start


async def measure_links(source: Path, blocks: Sequence[Block], folder: Path) -> dict[str, float]:
    store = make_store(folder / "store")
    await store.open(lambda keys: None)
    slices = [FileSlice(block.key, index * MIB, MIB) for index, block in enumerate(blocks)]
    start = time.perf_counter()
    await store.link(source, slices)
    seconds = time.perf_counter() - start
    await store.close()
    ratio = disk_usage(folder / "store") / (len(blocks) * MIB)
    shutil.rmtree(folder / "store")
    return {"link_seconds": seconds, "link_disk_ratio": ratio}


async def measure_many(folder: Path, count: int = 100_000) -> dict[str, float]:
    """Many small blocks: puts, look-ups, and how long it takes to be ready after kill -9."""
    datas = (index.to_bytes(8, "big") * 512 for index in range(count))
    blocks = [Block(cid.make(cid.RAW, data), data) for data in datas]
    child = os.fork()
    if child == 0:
        asyncio.run(_fill_and_die(folder / "store", blocks))
    os.waitpid(child, 0)
    start = time.perf_counter()
    store = make_store(folder / "store")
    await store.open(lambda keys: None)
    ready = time.perf_counter() - start
    assert store.usage().block_count == count
    start = time.perf_counter()
    await store.held([block.key for block in blocks] * 3)
    held = time.perf_counter() - start
    ratio = disk_usage(folder / "store") / (count * 4096)
    await store.close()
    shutil.rmtree(folder / "store")
    return {"ready_seconds": ready, "held_300k_seconds": held, "disk_ratio_4k": ratio}


async def _fill_and_die(data_dir: Path, blocks: Sequence[Block]) -> None:
    store = make_store(data_dir)
    await store.open(lambda keys: None)
    await put_all(store, blocks, 1000, 2)
    os.kill(os.getpid(), signal.SIGKILL)


async def bench(mib: int, pairs: int, folder: Path) -> list[Figure]:
    blocks = make_blocks(mib)
    source = folder / "source"
    source.write_bytes(b"".join(block.data for block in blocks))
    os.sync()
    rows: list[dict[str, float]] = []
    for _ in range(pairs):
        row = {"copy": measure_copy(source, folder), "hash": measure_hash(source)}
        for at_once in (4, 1):
            row |= {f"{name}_{at_once}": value for name, value in (await measure_put(blocks, folder, at_once)).items()}
        rows.append(row | await measure_read(blocks, folder) | await measure_links(source, blocks, folder))
    many = await measure_many(folder)

    def median(name: str) -> float:
        return statistics.median(row[name] for row in rows)

    def ratio(what: str, ours: str, theirs: str, bar: float | None) -> Figure:
        ratios = sorted(row[theirs] / row[ours] for row in rows)
        shown = f"{median(ours):.2f} s against {median(theirs):.2f} s; ratios {ratios[0]:.2f} to {ratios[-1]:.2f}"
        return Figure(what, statistics.median(ratios), "×", bar, at_least=True, detail=shown)

    stall_ms = 1000 * max(row[f"stall_seconds_{at_once}"] for row in rows for at_once in (4, 1))
    return [
        ratio(f"durable put of {mib} MiB, four puts at once, ÷ cp + sync", "seconds_4", "copy", 1.2),
        ratio("the same, one put at a time", "seconds_1", "copy", None),
        ratio("verified reads, 8 MiB at a time, ÷ read and hash in one thread", "read_seconds", "hash", None),
        Figure("on disk ÷ data: segments", max(median("disk_ratio_4"), median("disk_ratio_1")), "×", 1.01, False),
        Figure("on disk ÷ data: references", median("link_disk_ratio"), "×", 0.01, False),
        Figure("on disk ÷ data: blocks of 4 KiB", many["disk_ratio_4k"], "×", None, False),
        Figure("longest block of the event loop while storing", stall_ms, "ms", 50, False),
        Figure("ready after kill -9 with 100,000 blocks", many["ready_seconds"], "s", 5, False),
        Figure("looking up 300,000 keys", many["held_300k_seconds"], "s", None, False),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--dir", type=Path, default=None)
    wanted, _rest = parser.parse_known_args()
    with tempfile.TemporaryDirectory(dir=wanted.dir) as name:
        figures = asyncio.run(bench(wanted.mib, wanted.pairs, Path(name)))
    return report(figures)


if __name__ == "__main__":
    raise SystemExit(main())
