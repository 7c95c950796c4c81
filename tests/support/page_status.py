"""Statuses of clusters that are too large to run, and a node that says what it is told to, for the status page."""

from __future__ import annotations

import asyncio
import logging
import random
import threading
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from ralnode.api import (
    ClusterStatus,
    Context,
    EventLine,
    Health,
    Liveness,
    Metric,
    NodeStatus,
    PlanChange,
    Settings,
    SourceStatus,
    UnavailableError,
)
from ralnode.testing.fake_identity import FakeIdentity
from ralnode_ui_web.options import WebOptions
from ralnode_ui_web.server import WebUi

NOW_MS = 1_790_000_000_000
NAMES = ("attic", "cellar", "closet", "desk", "garage", "shed")


def node(name: str, **changes: Any) -> NodeStatus:
    made = NodeStatus(
        id=f"12D3KooW{name}", name=name, is_me=name == "attic", liveness=Liveness.ALIVE, activity="seeding",
        capacity_bytes=10**12, used_bytes=4 * 10**11, zone="house", version="0.1.0", address="10.0.0.2:10090",
        page_url="", wanted_count=120, stored_count=118, linked_count=3, last_seen_seconds=0.0, repair_in_seconds=None,
        disk_total_bytes=2 * 10**12, disk_free_bytes=12 * 10**11, started_unix_ms=NOW_MS - 86_400_000,
        planner="rendezvous/1",
    )  # fmt: skip
    return replace(made, **changes)


def source(number: int, nodes: Sequence[str], **changes: Any) -> SourceStatus:
    """Each stretch on two nodes, as a real plan spreads it; what is stored is ragged."""
    dice = random.Random(number)
    stored = {each: "".join(dice.choice("0019555") for _ in range(32)) for each in nodes}
    made = SourceStatus(
        root=f"bafybeig{number:052d}", name=f"file-{number:05}.bin", size_bytes=5 * 10**6 * (number % 97 + 1),
        leaf_count=1200, copies=2, health=Health.HEALTHY, histogram=(0, 0, 1200, 0), unreachable_count=0,
        is_directory=False, added_unix_ms=NOW_MS - number * 1000, stored=stored, wanted={nodes[0]: stored[nodes[0]]},
    )  # fmt: skip
    return replace(made, **changes)


@lru_cache(maxsize=4)
def status(source_count: int, node_count: int = 6) -> ClusterStatus:
    """Every 500th source lacks copies."""
    names = [NAMES[n] if n < len(NAMES) else f"node-{n}" for n in range(node_count)]
    ids = [f"12D3KooW{name}" for name in names]
    short = {"health": Health.REPAIRING, "histogram": (0, 200, 1000, 0)}
    sources = tuple(source(n, ids, **(short if n % 500 == 499 else {})) for n in range(source_count))
    lacking = sum(s.health is Health.REPAIRING for s in sources)
    return ClusterStatus(
        sentence=f"{lacking} of {source_count:,} files have too few copies: 1.0 GB to copy, about 3 min left.",
        health=Health.REPAIRING if lacking else Health.HEALTHY, me=ids[0], group="home", planner="rendezvous/1",
        plan_digest="ab" * 16, plan_agreement=True, nodes=tuple(node(name) for name in names), sources=sources,
        histogram=(0, 200 * lacking, 1200 * source_count - 200 * lacking, 0), deficit_bytes=10**9 if lacking else 0,
        storable_bytes=10**12, seconds_left=180.0 if lacking else None,
        events=tuple(EventLine(NOW_MS - 1000 * (1000 - n), "info", f"event number {n}") for n in range(1000)),
        unix_ms=NOW_MS, version="0.1.0",
        plan_changes=(PlanChange(NOW_MS, "rendezvous/1", "ab" * 16, ("node shed counts from now on",), 5, 5000, 2, 120),),
    )  # fmt: skip


class ToldNode:
    """A `NodeControl` for looking; `tell` may be called from any thread."""

    def __init__(self, now: ClusterStatus | None) -> None:
        self.now = now
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed = asyncio.Event()

    def tell(self, now: ClusterStatus) -> None:
        self.now = now
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._changed.set)

    def status(self) -> ClusterStatus:
        if self.now is None:
            raise UnavailableError("it has not started yet")
        return self.now

    async def changes(self) -> AsyncIterator[None]:
        self._loop = asyncio.get_running_loop()
        while True:
            await self._changed.wait()
            self._changed.clear()
            yield

    def metrics(self) -> Sequence[Metric]:
        return ()

    def note(self, level: str, text: str) -> None:
        return


def page_of(told: ToldNode, folder: Path, **options: Any) -> WebUi:
    """Not started; on any free port, open to look at."""
    settings = Settings("attic", "home", "", folder, "127.0.0.1", 0, 0, 0, 0, 0, ())
    context = Context(settings, FakeIdentity("attic"), told, logging.getLogger("test"), random.Random(1), 1)  # type: ignore[arg-type]
    return WebUi(context, WebOptions(view_without_sign_in="always", **options))


class ServedPage:
    """The page in a thread of its own, for a browser that needs this one. A context manager."""

    def __init__(self, told: ToldNode, folder: Path) -> None:
        self.told = told
        self.address = ""
        self._folder = folder
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> ServedPage:
        self._thread.start()
        assert self._ready.wait(20), "the page did not start"
        return self

    def __exit__(self, *_error: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(20)

    def _serve(self) -> None:
        try:
            self._loop.run_until_complete(self._run())
        finally:
            self._loop.close()

    async def _run(self) -> None:
        self._end = asyncio.Event()
        page = page_of(self.told, self._folder)
        await page.start()
        self.address = page.url.removesuffix("/dashboard")
        self._ready.set()
        await self._end.wait()
        await page.stop()
