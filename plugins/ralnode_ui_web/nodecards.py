"""A node as the page shows it: its bar of the disk, its state, when it was last seen, what flows. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ralnode.api import ClusterStatus, Liveness, NodeStatus
from ralnode_ui_web.words import counted, key, percent, size, span

UP: Final = (Liveness.ALIVE, Liveness.SUSPECT)
_ZOOM_BELOW: Final = 0.1
"""A pool that may use less of its disk than this is drawn by itself; on the scale of the disk it would be a hair."""
_BEYOND: Final = 0.12
"""Part of such a bar that stands for the rest of the disk."""
_SUNNY: Final = frozenset({"seeding"})
_BUSY: Final = frozenset({"downloading", "fetching metadata", "picking blocks", "looking for peers", "draining"})
_SHOWN_RATE_BYTES: Final = 1000
SCALE: Final = 1000
"""Width of a bar in its own units."""


@dataclass(frozen=True, slots=True)
class DiskBar:
    """Widths in thousandths. Pool from the left, other data from the right, free between them."""

    pool: int
    other: int
    mark: int
    """Where the capacity ends."""
    is_zoomed: bool
    """The bar is the capacity alone; what lies right of the mark is the rest of the disk, not to scale."""
    label: str


@dataclass(frozen=True, slots=True)
class NodeCard:
    key: str
    id: str
    name: str
    is_me: bool
    is_up: bool
    is_draining: bool
    state: str
    tone: str
    """good, busy, warn or down: a colour."""
    bar: DiskBar
    used: str
    capacity: str
    used_percent: int
    other: str
    free: str
    stored: str
    wanted: str
    linked: str
    queue: str
    """How many wanted blocks are still to come, or nothing."""
    absence: str
    countdown_percent: int | None
    """How much of the wait until repair is over, for a node that is away."""
    rate_in: str
    rate_out: str
    facts: tuple[tuple[str, str], ...]
    """Zone, version, address, uptime …: (label, value)."""
    page_url: str


def cards(status: ClusterStatus) -> tuple[NodeCard, ...]:
    """This node first, then those that are up, then the others; by name."""
    ordered = sorted(status.nodes, key=lambda node: (not node.is_me, node.liveness not in UP, node.name, node.id))
    return tuple(_card(node, status) for node in ordered)


def _card(node: NodeStatus, status: ClusterStatus) -> NodeCard:
    now_ms = status.unix_ms
    is_up = node.liveness in UP
    missing = node.wanted_count - node.stored_count
    return NodeCard(
        key=key(node.id),
        id=node.id,
        name=node.name,
        is_me=node.is_me,
        is_up=is_up,
        is_draining=node.draining,
        state=_state(node),
        tone=_tone(node),
        bar=disk_bar(node),
        used=size(node.used_bytes),
        capacity=size(node.capacity_bytes),
        used_percent=percent(node.used_bytes, node.capacity_bytes),
        other=size(other_bytes(node)) if node.disk_total_bytes else "",
        free=size(node.disk_free_bytes) if node.disk_total_bytes else "",
        stored=f"{node.stored_count:,}",
        wanted=f"{node.wanted_count:,}",
        linked=f"{node.linked_count:,}" if node.linked_count else "",
        queue=counted(missing, "block", "blocks") if is_up and missing > 0 else "",
        absence=_absence(node, now_ms),
        countdown_percent=_countdown(node) if not is_up else None,
        rate_in=_rate(node.receive_bytes_per_second),
        rate_out=_rate(node.send_bytes_per_second),
        facts=_facts(node, status),
        page_url=node.page_url if node.page_url.startswith(("http://", "https://")) else "",
    )


def disk_bar(node: NodeStatus) -> DiskBar:
    """On the scale of the disk, or of the capacity where that is a small part of it or the disk is not known."""
    total, capacity, used = node.disk_total_bytes, node.capacity_bytes, node.used_bytes
    label = f"{size(used)} of {size(capacity)} used by the pool"
    if total:
        label += (
            f"; other data {size(other_bytes(node))}, free {size(node.disk_free_bytes)} of the disk's {size(total)}"
        )
    if total and capacity >= _ZOOM_BELOW * total:
        return DiskBar(
            _part(used, total), _part(other_bytes(node), total), _part(min(capacity, total), total), False, label
        )
    mark = round(SCALE * (1 - _BEYOND))
    return DiskBar(round(_part(used, capacity) * (1 - _BEYOND)), 0, mark, True, label)


def other_bytes(node: NodeStatus) -> int:
    """What on that disk is not the pool's."""
    return max(0, node.disk_total_bytes - node.disk_free_bytes - node.used_bytes)


def _part(size_bytes: int, whole: int) -> int:
    """Never nothing of something: four thousandths can be seen."""
    if size_bytes <= 0 or whole <= 0:
        return 0
    return min(SCALE, max(4, round(SCALE * size_bytes / whole)))


def _state(node: NodeStatus) -> str:
    if node.liveness is Liveness.ALIVE:
        return "draining" if node.draining else node.activity or "here"
    return {Liveness.SUSPECT: "not answering", Liveness.DEAD: "offline", Liveness.LEFT: "left"}[node.liveness]


def _tone(node: NodeStatus) -> str:
    if node.liveness not in UP:
        return "down"
    if node.liveness is Liveness.SUSPECT or node.read_only_reason or node.activity == "full":
        return "warn"
    if node.draining or node.activity in _BUSY:
        return "busy"
    return "good" if node.activity in _SUNNY else "busy"


def _absence(node: NodeStatus, now_ms: int) -> str:
    if node.liveness in UP:
        return ""
    if node.liveness is Liveness.LEFT:
        return "has left the cluster"
    ago = (
        f"last seen {span(node.last_seen_seconds)} ago"
        if node.last_seen_seconds >= 1
        else "not seen since this node started"
    )
    if node.away_until_ms > now_ms:
        ago += f", said it would be back in {span((node.away_until_ms - now_ms) / 1000)}"
    if node.repair_in_seconds is None:
        return ago
    if node.repair_in_seconds > 0:
        return f"{ago}, its share moves on in {span(node.repair_in_seconds)}"
    return f"{ago}, its share has moved on"


def _countdown(node: NodeStatus) -> int | None:
    if node.repair_in_seconds is None:
        return None
    return percent(node.last_seen_seconds, node.last_seen_seconds + node.repair_in_seconds)


def _rate(bytes_per_second: float) -> str:
    return f"{size(bytes_per_second)}/s" if bytes_per_second >= _SHOWN_RATE_BYTES else ""


def _facts(node: NodeStatus, status: ClusterStatus) -> tuple[tuple[str, str], ...]:
    """The planner only where it is another one than this node's."""
    up_seconds = (status.unix_ms - node.started_unix_ms) / 1000 if node.started_unix_ms else 0
    is_up = node.liveness in UP
    found = (
        ("zone", node.zone),
        ("version", node.version),
        ("planner", node.planner if node.planner != status.planner else ""),
        ("address", node.address),
        ("up for", span(up_seconds) if is_up and up_seconds > 0 else ""),
        ("seen", "now" if is_up and node.last_seen_seconds < 5 else f"{span(node.last_seen_seconds)} ago"),
    )
    return tuple((label, value) for label, value in found if value)


def up_names(nodes: Sequence[NodeStatus]) -> list[str]:
    return sorted(node.name for node in nodes if node.liveness in UP)
