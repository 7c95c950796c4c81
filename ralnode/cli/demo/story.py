"""The course of the demo, and the proof: every step ends by what was really seen on the nodes, or the demo fails."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ralnode.api import RalnodeError, UnavailableError
from ralnode.cli.demo.comparing import compare
from ralnode.cli.demo.files import make_files, walk_files
from ralnode.cli.demo.processes import DemoCluster, DemoNode
from ralnode.cli.demo.sizing import COPIES, capacities
from ralnode.cli.demo.stage import Stage
from ralnode.cli.demo.watching import Scene, Watcher
from ralnode.cli.text import count, size

LOOK_SECONDS: Final = 0.4
START_SECONDS_MAX: Final = 60.0
NOTICE_SECONDS_MAX: Final = 60.0
"""A death is known everywhere after 6 s with 6 nodes; a slow machine gets more."""

SPREAD_SECONDS_MAX: Final = 120.0
SPREAD_BYTES_PER_SECOND_MIN: Final = 2_000_000
"""Besides: a Raspberry Pi hashing, encrypting and syncing for six nodes at once."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was proved. The demo returns one only if all of it was seen."""

    nodes: int
    files: int
    size_bytes: int
    blocks: int
    killed: str
    spread_seconds: float
    notice_seconds: float
    repair_seconds: float
    repaired_bytes: int
    compared_bytes: int
    page: str


class Story:
    """Tells it on a stage, with the nodes of a cluster."""

    def __init__(self, stage: Stage, cluster: DemoCluster, node_count: int, size_bytes: int) -> None:
        self._stage = stage
        self._cluster = cluster
        self._node_count = node_count
        self._size_bytes = size_bytes

    def tell(self) -> Outcome:
        """Raises RalnodeError when something was not seen in its time, DifferenceError when bytes differ."""
        stage, cluster = self._stage, self._cluster
        cluster.check_room(self._size_bytes, COPIES)
        data_bytes = make_files(cluster.files, self._size_bytes)
        sources = sorted(path.name for path in cluster.files.iterdir())
        file_count = sum(1 for _ in walk_files(cluster.files))
        stage.say(
            f"▸ {count(file_count, 'file')}, {size(data_bytes)}, in {count(len(sources), 'source')}: {cluster.files}"
        )
        cluster.start(capacities(self._node_count, data_bytes))
        watcher = Watcher(cluster.nodes, len(sources))
        try:
            return self._acts(watcher, sources, file_count, data_bytes)
        finally:
            watcher.close()

    def _acts(self, watcher: Watcher, sources: list[str], file_count: int, data_bytes: int) -> Outcome:
        cluster, stage = self._cluster, self._stage
        formed, scene = self._until(watcher, _is_formed, START_SECONDS_MAX, "start and find each other")
        page = next((look.me.page_url for look in scene.looks if look.me), "")
        stage.say(f"▸ {len(cluster.nodes)} nodes found each other after {formed:.1f} s. Status page: {page}", "bold")
        cluster.seed()
        stage.say(f"▸ {cluster.seeder.name} is given the files; the others shall find, plan, fetch and serve them")
        patience = SPREAD_SECONDS_MAX + data_bytes * COPIES / SPREAD_BYTES_PER_SECOND_MIN
        spread, scene = self._until(watcher, lambda s: s.is_whole, patience, "spread every block to its copies")
        blocks = sum(source.leaf_count for source in scene.running[0].status.sources) if scene.running[0].status else 0
        stage.say(f"▸ all {blocks:,} blocks have {COPIES} copies after {spread:.1f} s", "bold")
        compared = self._compare(sources)
        victim, notice, repair, repaired = self._kill(watcher, scene, patience)
        compared += self._compare(sources)
        return Outcome(
            nodes=len(cluster.nodes), files=file_count, size_bytes=data_bytes, blocks=blocks, killed=victim.name,
            spread_seconds=spread, notice_seconds=notice, repair_seconds=repair, repaired_bytes=repaired,
            compared_bytes=compared, page=page,
        )  # fmt: skip

    def _compare(self, sources: list[str]) -> int:
        """Every source through a node that did not seed it, each of those in turn."""
        readers = [node for node in self._cluster.running if node is not self._cluster.seeder]
        began, compared = time.monotonic(), 0
        for place, name in enumerate(sources):
            reader = readers[place % len(readers)]
            compared += compare(reader.client.frames("/v1/read", {"ref": name}), self._cluster.seeded / name)
        seconds = max(1e-3, time.monotonic() - began)
        through = ", ".join(node.name for node in readers)
        self._stage.say(
            f"▸ read all of it through {through} and compared every byte: {size(compared)} equal, {size(compared / seconds)}/s",
            "green",
        )
        return compared

    def _kill(self, watcher: Watcher, scene: Scene, patience: float) -> tuple[DemoNode, float, float, int]:
        """(who, seconds until all knew, seconds until all copies were there again, bytes that lacked a copy)."""
        victim = max(
            (look for look in scene.running if look.node is not self._cluster.seeder),
            key=lambda look: look.me.stored_count if look.me else 0,
        )
        stored = victim.me.stored_count if victim.me else 0
        victim.node.kill()
        self._stage.say(f"▸ killed {victim.node.name} (SIGKILL), with {stored:,} blocks", "bold red")
        lost = self._until(watcher, _loss_is_known, NOTICE_SECONDS_MAX, f"notice that {victim.node.name} is gone")
        repaired = lost[1].lacking_bytes
        self._stage.say(f"▸ noticed after {lost[0]:.1f} s: {size(repaired)} have too few copies; making them again")
        repair, _ = self._until(watcher, lambda s: s.is_whole, patience, "make the lost copies again")
        self._stage.say(f"▸ every block has {COPIES} copies again after {lost[0] + repair:.1f} s", "bold")
        return victim.node, lost[0], repair, repaired

    def _until(
        self, watcher: Watcher, reached: Callable[[Scene], bool], seconds_max: float, what: str
    ) -> tuple[float, Scene]:
        """(seconds it took, the scene in which it was so). Raises when a node ends by itself, or time is up."""
        began = time.monotonic()
        while True:
            scene = watcher.look()
            self._stage.show(scene)
            passed = time.monotonic() - began
            if reached(scene):
                return passed, scene
            for node in self._cluster.running:
                if not node.is_running:
                    raise RalnodeError(f"node {node.name} ended by itself; its last words:\n{node.last_words()}")
            if passed > seconds_max:
                words = "\n".join(node.last_words(3) for node in self._cluster.running)
                raise UnavailableError(
                    f"the nodes did not {what} within {seconds_max:.0f} s. Their last words:\n{words}"
                )
            time.sleep(LOOK_SECONDS)


def _is_formed(scene: Scene) -> bool:
    """Everybody answers, and knows everybody."""
    return all(look.me for look in scene.running) and scene.everybody_knows_who_lives


def _loss_is_known(scene: Scene) -> bool:
    """All running nodes have noticed who is gone, and see blocks that lack a copy."""
    return scene.everybody_knows_who_lives and all(look.status and look.status.deficit_bytes for look in scene.running)
