"""What the page, `ralnode status`, `--json` and /api/v1/status all show: one model, made in core/health.py."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ralnode.api.model import Liveness


class Health(StrEnum):
    """From best to worst; FULL means healthy but without room for more."""

    HEALTHY = "healthy"
    FULL = "full"
    REPAIRING = "repairing"
    AT_RISK = "at risk"
    UNAVAILABLE = "data unavailable"


@dataclass(frozen=True, slots=True)
class NodeStatus:
    id: str
    """Shown as a libp2p peer id, 12D3KooW…"""
    name: str
    is_me: bool
    liveness: Liveness
    activity: str
    capacity_bytes: int
    used_bytes: int
    zone: str
    version: str
    address: str
    page_url: str
    wanted_count: int
    stored_count: int
    linked_count: int
    last_seen_seconds: float
    """Since it was last heard of; 0 for this node."""
    repair_in_seconds: float | None
    """For a dead node that is still in the placement view: when its share moves on."""
    receive_bytes_per_second: float = 0.0
    send_bytes_per_second: float = 0.0
    draining: bool = False


@dataclass(frozen=True, slots=True)
class SourceStatus:
    root: str
    """CID as text, in the version it was made with."""
    name: str
    size_bytes: int
    leaf_count: int
    copies: int
    """Wanted."""
    health: Health
    histogram: tuple[int, ...]
    """Leaves with 0, 1, 2 and 3-or-more own copies on live nodes."""
    unreachable_count: int
    """Leaves that no live node can serve, not even by reference."""
    is_directory: bool
    added_unix_ms: int
    stored: dict[str, str]
    """Node id -> its owned leaves as a string of '0'..'9', one per cell of the map (tenths full, 9 = all)."""
    wanted: dict[str, str]
    """Likewise what this node's own plan wants (only this node's id), for the map."""


@dataclass(frozen=True, slots=True)
class EventLine:
    unix_ms: int
    level: str
    """info, warning or error."""
    text: str


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    sentence: str
    """The one sentence of truth."""
    health: Health
    me: str
    group: str
    planner: str
    plan_digest: str
    plan_agreement: bool
    """Whether all live nodes with this planner report the same digest."""
    nodes: tuple[NodeStatus, ...]
    sources: tuple[SourceStatus, ...]
    histogram: tuple[int, ...]
    deficit_bytes: int
    """Bytes still to copy until every block has its copies."""
    storable_bytes: int
    """How much more fits with the default number of copies, over the live nodes."""
    seconds_left: float | None
    events: tuple[EventLine, ...]
    unix_ms: int
    version: str
