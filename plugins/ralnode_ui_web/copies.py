"""The histogram of copies, what is still to copy, the queue of every node, and the time left. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ralnode.api import ClusterStatus, Liveness
from ralnode_ui_web.history import History, Spark
from ralnode_ui_web.nodecards import UP
from ralnode_ui_web.words import counted, percent, size, span

_LABELS: Final = ("no copy", "1 copy", "2 copies", "3 or more")


@dataclass(frozen=True, slots=True)
class Bar:
    label: str
    count: str
    percent: int
    width: int
    """Thousandths of the longest."""
    css: str


@dataclass(frozen=True, slots=True)
class Queue:
    node: str
    blocks: str
    percent: int
    """How much of what it wants is there."""


@dataclass(frozen=True, slots=True)
class Copies:
    bars: tuple[Bar, ...]
    deficit: str
    short: str
    """Blocks that lack a copy or more, or nothing."""
    time_left: str
    queues: tuple[Queue, ...]
    waiting: str
    """What the queue waits for, when it is empty."""
    deficit_spark: Spark | None
    traffic_spark: Spark | None


def copies(status: ClusterStatus, history: History) -> Copies:
    short = sum(sum(s.histogram[: s.copies]) for s in status.sources if s.health.value not in ("healthy", "full"))
    return Copies(
        bars=_bars(status),
        deficit=size(status.deficit_bytes) if status.deficit_bytes else "",
        short=counted(short, "block", "blocks") if short else "",
        time_left=span(status.seconds_left) if status.seconds_left is not None else "",
        queues=_queues(status),
        waiting=_waiting(status),
        deficit_spark=history.deficit(status.unix_ms),
        traffic_spark=history.traffic(status.unix_ms),
    )


def _bars(status: ClusterStatus) -> tuple[Bar, ...]:
    total, longest = sum(status.histogram), max((*status.histogram, 1))
    return tuple(
        Bar(
            label=label,
            count=f"{count:,}",
            percent=percent(count, total),
            width=max(4, 1000 * count // longest) if count else 0,
            css="none" if not level else "enough" if level >= status.default_copies else "few",
        )
        for level, (label, count) in enumerate(zip(_LABELS, status.histogram, strict=False))
    )


def _waiting(status: ClusterStatus) -> str:
    if not status.deficit_bytes:
        return "The repair queue is empty: every node has what its plan wants."
    away = [n for n in status.nodes if n.liveness is Liveness.DEAD and n.repair_in_seconds]
    if away:
        first = min(away, key=lambda node: node.repair_in_seconds or 0.0)
        left = span(first.repair_in_seconds or 0.0)
        return f"Repair begins in {left}, when the share of {first.name} moves on."
    return "No node has anything in its queue: the plan has no room for these copies, or is being made."


def _queues(status: ClusterStatus) -> tuple[Queue, ...]:
    """Nodes that still lack blocks of their plan, the longest queue first."""
    lacking = [n for n in status.nodes if n.liveness in UP and n.wanted_count > n.stored_count]
    lacking.sort(key=lambda node: (node.stored_count - node.wanted_count, node.name))
    return tuple(
        Queue(
            n.name,
            counted(n.wanted_count - n.stored_count, "block", "blocks"),
            percent(n.stored_count, n.wanted_count),
        )
        for n in lacking
    )
