"""What the nodes say of themselves, asked of all at once; and when it is what the demo waits for."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from ralnode.api import ClusterStatus, Liveness, NodeStatus, RalnodeError
from ralnode.cli.demo.processes import DemoNode
from ralnode.host.jsonable import from_jsonable

LIVE: Final = (Liveness.ALIVE, Liveness.SUSPECT)


@dataclass(frozen=True, slots=True)
class Look:
    """One node at one moment. `status` is None while it does not answer."""

    node: DemoNode
    status: ClusterStatus | None

    @property
    def me(self) -> NodeStatus | None:
        return next((each for each in self.status.nodes if each.is_me), None) if self.status else None

    @property
    def live_names(self) -> set[str]:
        """Whom it believes alive, itself among them."""
        return {each.name for each in self.status.nodes if each.liveness in LIVE} if self.status else set()

    @property
    def peer_count(self) -> int:
        return max(0, len(self.live_names) - 1)


@dataclass(frozen=True, slots=True)
class Scene:
    """All nodes at about one moment."""

    looks: tuple[Look, ...]
    source_count: int
    """How many sources there must be."""

    @property
    def running(self) -> list[Look]:
        return [look for look in self.looks if not look.node.killed]

    @property
    def everybody_knows_who_lives(self) -> bool:
        names = {look.node.name for look in self.running}
        return all(look.live_names == names for look in self.running)

    @property
    def is_whole(self) -> bool:
        """Every running node: knows all sources and who lives, has the same plan, and sees all blocks with their copies."""
        if not self.everybody_knows_who_lives:
            return False
        statuses = [look.status for look in self.running if look.status]
        digests = {status.plan_digest for status in statuses}
        return (
            len(statuses) == len(self.running)
            and len(digests) == 1
            and "" not in digests
            and all(len(status.sources) == self.source_count and is_healthy(status) for status in statuses)
        )

    @property
    def lacking_bytes(self) -> int:
        """The most that any running node sees as still to be copied."""
        return max((look.status.deficit_bytes for look in self.running if look.status), default=0)

    @property
    def stored_count(self) -> int:
        return sum(look.me.stored_count for look in self.running if look.me)

    @property
    def wanted_count(self) -> int:
        return sum(look.me.wanted_count for look in self.running if look.me)

    @property
    def rate(self) -> float:
        return sum(look.me.receive_bytes_per_second for look in self.running if look.me)


def is_healthy(status: ClusterStatus) -> bool:
    """No block below the copies of its source, none out of reach."""
    return status.deficit_bytes == 0 and not any(source.unreachable_count for source in status.sources)


class Watcher:
    """Asks every node in a thread of its own; a node that does not answer holds up nobody."""

    def __init__(self, nodes: Sequence[DemoNode], source_count: int) -> None:
        self._nodes = tuple(nodes)
        self._source_count = source_count
        self._pool = ThreadPoolExecutor(len(nodes), thread_name_prefix="look")

    def look(self) -> Scene:
        return Scene(tuple(self._pool.map(_look, self._nodes)), self._source_count)

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


def _look(node: DemoNode) -> Look:
    if node.killed:
        return Look(node, None)
    try:
        return Look(node, from_jsonable(ClusterStatus, node.client.command("status")))
    except RalnodeError:
        return Look(node, None)
