"""Which nodes the planner reckons with: membership in minutes, beside gossip's liveness in seconds.

A node leaves the placement view by draining or leaving, or some time after it died: `grace_seconds` while every block
it held has two live copies, `grace_last_copy_seconds` when one has only one. An announced absence moves nothing. A
reboot shorter than the grace therefore moves no byte. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from ralnode.api import Instant, Liveness, NodeId, NodeInfo, PlanNode

_KEPT_BITS: Final = 7
"""Capacities are rounded down to 7 significant bits (at most 1.6 % lost): small corrections of the declared figure
must not move blocks."""


def quantised(capacity_bytes: int) -> int:
    shift = max(0, capacity_bytes.bit_length() - _KEPT_BITS)
    return capacity_bytes >> shift << shift


@dataclass(slots=True)
class _Absence:
    since: float


class Placement:
    """Knows since when each node is dead and decides who is in."""

    def __init__(self, me: NodeId, grace_seconds: float, grace_last_copy_seconds: float) -> None:
        self.me = me
        self.grace_seconds = grace_seconds
        self.grace_last_copy_seconds = min(grace_last_copy_seconds, grace_seconds)
        self._absent: dict[NodeId, _Absence] = {}

    def observe(self, node: NodeId, liveness: Liveness, now: Instant) -> None:
        """Suspicion is not absence; a node not heard of since our own start counts as absent from then on."""
        if liveness in (Liveness.ALIVE, Liveness.SUSPECT):
            self._absent.pop(node, None)
        elif node != self.me:
            self._absent.setdefault(node, _Absence(now.seconds))

    def repair_at(self, info: NodeInfo, only_copy_at_risk: bool, now: Instant) -> float | None:
        """Monotonic seconds at which a dead node's share moves on; None while it is alive."""
        absence = self._absent.get(info.id)
        if absence is None:
            return None
        grace = self.grace_last_copy_seconds if only_copy_at_risk else self.grace_seconds
        announced = max(0, info.away_until_ms - now.unix_ms) / 1000
        return max(absence.since + grace, now.seconds + announced if announced else 0.0)

    def is_absent(self, node: NodeId) -> bool:
        return node in self._absent

    def nodes(
        self,
        infos: Iterable[NodeInfo],
        has_left: Callable[[NodeId], bool],
        only_copy_at_risk: Callable[[NodeId], bool],
        now: Instant,
    ) -> tuple[tuple[PlanNode, ...], float]:
        """The planner's nodes sorted by id, and the monotonic time at which the next of them will drop out (inf: none)."""
        chosen, next_change = [], float("inf")
        for info in infos:
            if info.draining or has_left(info.id):
                continue
            leaves_at = None
            if self.is_absent(info.id):
                leaves_at = self.repair_at(info, only_copy_at_risk(info.id), now)
            if leaves_at is not None and leaves_at <= now.seconds:
                continue
            next_change = min(next_change, leaves_at if leaves_at is not None else next_change)
            chosen.append(PlanNode(info.id, quantised(info.capacity_bytes), info.zone))
        return tuple(sorted(chosen, key=lambda node: node.id)), next_change
