"""From a ClusterStatus to what the templates show. Pure: text and numbers in, text and numbers out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import zip_longest
from typing import Final

from ralnode.api import ClusterStatus, EventLine, Health, Liveness, NodeStatus, SourceStatus

_WORST_FIRST: Final = (Health.UNAVAILABLE, Health.AT_RISK, Health.REPAIRING, Health.FULL, Health.HEALTHY)
_EVENTS_SHOWN: Final = 50
_DIGITS: Final = "0123456789"


@dataclass(frozen=True, slots=True)
class NodeRow:
    name: str
    is_me: bool
    state: str
    is_up: bool
    detail: str
    used_percent: int
    used: str
    capacity: str
    wanted: str
    stored: str
    linked: str
    rate: str
    page_url: str


@dataclass(frozen=True, slots=True)
class MapRow:
    node: str
    is_me: bool
    cells: tuple[str, ...]
    """Class names: `c0` (nothing) to `c9` (all), with ` w` where this node's own plan wants something."""


@dataclass(frozen=True, slots=True)
class SourceRow:
    name: str
    root: str
    size: str
    blocks: str
    copies: str
    health: str
    css: str
    map: tuple[MapRow, ...]


@dataclass(frozen=True, slots=True)
class EventRow:
    time: str
    level: str
    text: str


@dataclass(frozen=True, slots=True)
class Page:
    sentence: str
    css: str
    health: str
    group: str
    planner: str
    digest: str
    agreement: bool
    nodes: tuple[NodeRow, ...]
    histogram: tuple[tuple[str, str, int], ...]
    """(label, count, percent)"""
    deficit: str
    storable: str
    sources: tuple[SourceRow, ...]
    sources_left_out: int
    events: tuple[EventRow, ...]
    version: str


def make_page(status: ClusterStatus, sources_shown: int) -> Page:
    ordered = sorted(status.sources, key=lambda s: (_WORST_FIRST.index(s.health), s.name))
    names = {node.id: node.name for node in status.nodes}
    return Page(
        sentence=status.sentence,
        css=_css(status.health),
        health=status.health.value,
        group=status.group,
        planner=status.planner,
        digest=status.plan_digest[:12],
        agreement=status.plan_agreement,
        nodes=tuple(_node(node) for node in status.nodes),
        histogram=_histogram(status.histogram),
        deficit=size(status.deficit_bytes) if status.deficit_bytes else "",
        storable=size(status.storable_bytes),
        sources=tuple(_source(s, names, status.me) for s in ordered[:sources_shown]),
        sources_left_out=max(0, len(ordered) - sources_shown),
        events=tuple(_event(line) for line in reversed(status.events[-_EVENTS_SHOWN:])),
        version=status.version,
    )


def size(size_bytes: float) -> str:
    """Decimal units, as disks are sold."""
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size_bytes >= factor:
            return f"{size_bytes / factor:.1f} {unit}"
    return f"{size_bytes:.0f} B"


def _css(health: Health) -> str:
    return health.value.replace(" ", "-")


def _node(node: NodeStatus) -> NodeRow:
    is_up = node.liveness in (Liveness.ALIVE, Liveness.SUSPECT)
    percent = 100 * node.used_bytes // node.capacity_bytes if node.capacity_bytes else 0
    return NodeRow(
        name=node.name,
        is_me=node.is_me,
        state=node.activity if node.liveness is Liveness.ALIVE else node.liveness.value,
        is_up=is_up,
        detail=_absence(node) if not is_up else " · ".join(filter(None, (node.zone, node.version, node.address))),
        used_percent=min(100, percent),
        used=size(node.used_bytes),
        capacity=size(node.capacity_bytes),
        wanted=f"{node.wanted_count:,}",
        stored=f"{node.stored_count:,}",
        linked=f"{node.linked_count:,}" if node.linked_count else "",
        rate=_rate(node),
        page_url=node.page_url if node.page_url.startswith(("http://", "https://")) else "",
    )


def _absence(node: NodeStatus) -> str:
    if node.liveness is Liveness.LEFT:
        return "has left the cluster"
    ago = (
        f"last seen {_span(node.last_seen_seconds)} ago"
        if node.last_seen_seconds >= 1
        else "not seen since this node started"
    )
    if node.repair_in_seconds is None:
        return ago
    if node.repair_in_seconds > 0:
        return f"{ago}, its share moves on in {_span(node.repair_in_seconds)}"
    return f"{ago}, its share has moved on"


def _span(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.0f} h"


def _rate(node: NodeStatus) -> str:
    parts = []
    if node.receive_bytes_per_second >= 1000:
        parts.append(f"↓ {size(node.receive_bytes_per_second)}/s")
    if node.send_bytes_per_second >= 1000:
        parts.append(f"↑ {size(node.send_bytes_per_second)}/s")
    return " ".join(parts)


def _histogram(counts: tuple[int, ...]) -> tuple[tuple[str, str, int], ...]:
    labels = ("no copy", "1 copy", "2 copies", "3 or more")
    total = sum(counts) or 1
    return tuple((label, f"{n:,}", round(100 * n / total)) for label, n in zip(labels, counts, strict=False))


def _source(source: SourceStatus, names: dict[str, str], me: str) -> SourceRow:
    nodes = sorted(set(source.stored) | set(source.wanted), key=lambda node: names.get(node, node))
    return SourceRow(
        name=source.name,
        root=source.root,
        size=size(source.size_bytes),
        blocks=f"{source.leaf_count:,}",
        copies=_copies(source),
        health=source.health.value,
        css=_css(source.health),
        map=tuple(
            MapRow(
                names.get(node, node[:12]), node == me, _cells(source.stored.get(node, ""), source.wanted.get(node, ""))
            )
            for node in nodes
        ),
    )


def _cells(stored: str, wanted: str) -> tuple[str, ...]:
    return tuple(
        f"c{have if have in _DIGITS else 0}{' w' if want not in ' 0' else ''}"
        for have, want in zip_longest(stored, wanted, fillvalue="0")
    )


def _copies(source: SourceStatus) -> str:
    if source.unreachable_count:
        return f"{source.unreachable_count:,} of {source.leaf_count:,} blocks out of reach"
    lowest = next((level for level, count in enumerate(source.histogram) if count), source.copies)
    if lowest >= source.copies:
        return f"{source.copies} of {source.copies} copies"
    short = sum(source.histogram[: min(source.copies, len(source.histogram))])
    return f"at least {lowest} of {source.copies} copies, {short:,} blocks short"


def _event(line: EventLine) -> EventRow:
    when = datetime.fromtimestamp(line.unix_ms / 1000, UTC).astimezone()
    return EventRow(
        when.strftime("%Y-%m-%d %H:%M:%S"), line.level if line.level in ("warning", "error") else "info", line.text
    )
