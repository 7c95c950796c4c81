"""The planner: which one, whether all nodes agree, and what its last plans moved and why. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ralnode.api import ClusterStatus, PlanChange
from ralnode_ui_web.words import clock, counted, iso, size

SHOWN: Final = 8


@dataclass(frozen=True, slots=True)
class PlanMove:
    time: str
    iso: str
    moved: str
    why: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PlanView:
    planner: str
    digest: str
    agreement: bool
    wanted: str
    last_time: str
    moves: tuple[PlanMove, ...]


def plan_view(status: ClusterStatus) -> PlanView:
    changes = status.plan_changes
    me = next((node for node in status.nodes if node.is_me), None)
    return PlanView(
        planner=status.planner,
        digest=status.plan_digest[:12],
        agreement=status.plan_agreement,
        wanted=counted(me.wanted_count, "block", "blocks") if me else "",
        last_time=clock(changes[-1].unix_ms) if changes else "",
        moves=tuple(_move(change) for change in reversed(changes[-SHOWN:])),
    )


def _move(change: PlanChange) -> PlanMove:
    parts = []
    if change.gained_count:
        parts.append(
            f"{counted(change.gained_count, 'block', 'blocks')} ({size(change.gained_bytes)}) more to keep here"
        )
    if change.released_count:
        parts.append(f"{counted(change.released_count, 'block', 'blocks')} no longer needed here")
    moved = "; ".join(parts) or "moves nothing on this node"
    return PlanMove(clock(change.unix_ms), iso(change.unix_ms), moved, change.reasons)
