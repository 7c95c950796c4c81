"""Runs ipfs/gateway-conformance against one real node and reads its report."""

from __future__ import annotations

import json
import logging
import os
import random
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interop_tools import TOOLS

from ralnode.api import Block, Context, Settings
from ralnode.dag.car import CarReader
from ralnode.dag.cid import parse_peer_id
from ralnode.testing.fake_identity import FakeIdentity
from ralnode_storage_sqlite.options import SqliteOptions
from ralnode_storage_sqlite.store import SqliteStorage

HOME = TOOLS / "gateway-conformance"
"""Its source: the program runs `go test` in there."""


@dataclass(frozen=True)
class Report:
    passed: tuple[str, ...]
    failed: tuple[str, ...]
    skipped: tuple[str, ...]

    def line(self, name: str) -> str:
        return f"{name}: {len(self.passed)} passed, {len(self.failed)} failed, {len(self.skipped)} skipped"


class OwnerOf(FakeIdentity):
    """Opens a store in the name of the node that made it."""

    def __init__(self, owner: bytes) -> None:
        super().__init__("owner")
        self._id = owner


def car_files() -> list[Path]:
    return sorted((HOME / "fixtures").rglob("*.car"))


async def put_fixtures(data_dir: Path) -> int:
    """Writes every block of every CAR into the store of a node that has run and is not running. No source is made of them: one DAG
    of the suite must stay incomplete. Returns how many."""
    settings = Settings("fixtures", "", "", data_dir, "", 0, 0, 0, 1 << 32, 0, ())
    owner = parse_peer_id((data_dir / "segments" / "NODE").read_text().split()[-1])
    identity = OwnerOf(owner)
    context = Context(settings, identity, None, logging.getLogger("fixtures"), random.Random(1), 1)  # type: ignore[arg-type]
    store = SqliteStorage(context, SqliteOptions())
    blocks = {block.key: block for path in car_files() for block in CarReader().feed(path.read_bytes())}
    await store.open(lambda keys: None)
    try:
        await store.put([Block(key, block.data) for key, block in blocks.items()])
    finally:
        await store.close()
    return len(blocks)


def run_suite(program: Path, gateway: str, spec: str, report: Path, skip: str = "", seconds: float = 240) -> Report:
    """`spec` as in `--specs`, e.g. path-unixfs-gateway; `skip` is a regular expression of test names."""
    extra = ["-skip", skip] if skip else []
    arguments = [
        str(program),
        "test",
        "--gateway-url",
        gateway,
        "--specs",
        spec,
        "--json",
        str(report),
        "--",
        "-timeout",
        "5m",
        *extra,
    ]
    environment = {**os.environ, "GATEWAY_CONFORMANCE_HOME": str(HOME), "GOFLAGS": "-buildvcs=false"}
    subprocess.run(arguments, env=environment, capture_output=True, timeout=seconds, check=False, cwd=HOME)
    assert report.exists(), "the suite wrote no report"
    return _read(report)


def _read(report: Path) -> Report:
    """Leaves of the tree of tests only: a parent fails with its children."""
    ended: dict[str, str] = {}
    for line in report.read_text().splitlines():
        event: dict[str, Any] = json.loads(line)
        if event.get("Test") and event.get("Action") in {"pass", "fail", "skip"}:
            ended[event["Test"]] = event["Action"]
    parents = {name.rsplit("/", count)[0] for name in ended for count in range(1, name.count("/") + 1)}
    kinds: dict[str, list[str]] = {"pass": [], "fail": [], "skip": []}
    for name, action in sorted(ended.items()):
        if name not in parents:
            kinds[action].append(name)
    return Report(tuple(kinds["pass"]), tuple(kinds["fail"]), tuple(kinds["skip"]))
