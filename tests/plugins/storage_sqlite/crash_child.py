"""Run by test_crash.py as its own process: forks, for each line `folder seed` on stdin, a child that works on a store and
says on stdout what it begins (`?`) and what has been acknowledged (`!`). It is killed at any instant; then `END` follows.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import sys
from pathlib import Path
from typing import Any

from ralnode.api import Block, Context, Settings
from ralnode.dag import cid
from ralnode.testing.fake_identity import FakeIdentity
from ralnode_storage_sqlite.options import SqliteOptions
from ralnode_storage_sqlite.store import SqliteStorage

PUT_BLOCKS_MAX = 12
BLOCK_BYTES_MAX = 40_000
NUMBERS = 10_000
"""Blocks are numbered; few enough that the same one is put, deleted and put again."""


def make_block(number: int) -> Block:
    data = random.Random(number).randbytes(number * 37 % BLOCK_BYTES_MAX)
    return Block(cid.make(cid.RAW, data), data)


def make_store(folder: Path) -> SqliteStorage:
    settings = Settings("crash", "test", "", folder, "", 0, 0, 0, 1 << 30, 0, ())
    nobody: Any = None
    context = Context(settings, FakeIdentity("crash"), nobody, logging.getLogger("crash"), random.Random(1), 1)
    return SqliteStorage(context, SqliteOptions(segment_bytes=4 << 20, group_bytes=1 << 20))


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


async def work(folder: Path, seed: int) -> None:
    """Four at once put, delete and save for ever, each its own numbers (so that the order of acknowledgements is plain)."""
    store = make_store(folder)
    await store.open(lambda keys: say("lost", len(keys)))
    say("ready")
    await asyncio.gather(*(_worker(store, random.Random(seed * 4 + lane), lane) for lane in range(4)))


async def _worker(store: SqliteStorage, dice: random.Random, lane: int) -> None:
    counter = 0
    while True:
        numbers = sorted({dice.randrange(NUMBERS) * 4 + lane for _ in range(dice.randint(1, PUT_BLOCKS_MAX))})
        what = dice.choice(("put", "put", "put", "put", "delete", "save"))
        counter += 1
        words = (lane, counter) if what == "save" else numbers
        say("?", what, *words)
        if what == "put":
            await store.put([make_block(number) for number in numbers])
        elif what == "delete":
            await store.delete([make_block(number).key for number in numbers])
        else:
            await store.save_state({b"lane/%d" % lane: b"%d" % counter})
        say("!", what, *words)


def main() -> None:
    for line in sys.stdin:
        folder, seed = line.rsplit(" ", 1)
        child = os.fork()
        if child == 0:
            asyncio.run(work(Path(folder), int(seed)))
        say("child", child)
        os.waitpid(child, 0)
        say("END")


if __name__ == "__main__":
    main()
