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
    disk_total_bytes: int = 0
    """Of the disk that its store lies on; 0 when it does not say."""
    disk_free_bytes: int = 0
    started_unix_ms: int = 0
    """By its own clock; 0 when it does not say."""
    away_until_ms: int = 0
    """Wall clock up to which an announced absence moves nothing."""
    planner: str = ""
    read_only_reason: str = ""
    """Of this node only: why its store refuses writes."""


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
class GatewayStatus:
    """Where a gateway of this node listens for IPFS tools; a port is 0 where it does not."""

    host: str
    """The address that it has bound: 0.0.0.0 or :: is all of this machine's."""
    port: int = 0
    tls_port: int = 0
    fingerprint: str = ""
    """SHA-256 of its TLS certificate, as browsers and openssl show it."""


@dataclass(frozen=True, slots=True)
class EventLine:
    unix_ms: int
    level: str
    """info, warning or error."""
    text: str


@dataclass(frozen=True, slots=True)
class PlanChange:
    """One plan that this node took over: what it moves here, and what in the cluster made it necessary."""

    unix_ms: int
    planner: str
    digest: str
    reasons: tuple[str, ...]
    """`node attic came`, `source film was added`; at most a few, the rest counted in the last."""
    gained_count: int
    """Blocks that this node should have from now on, and should not before."""
    gained_bytes: int
    released_count: int
    """Blocks that it need not have any more."""
    wanted_count: int


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
    gateways: tuple[GatewayStatus, ...] = ()
    """Of this node."""
    default_copies: int = 2
    """What `storable_bytes` reckons with, and new sources get."""
    plan_changes: tuple[PlanChange, ...] = ()
    """The newest last."""
    leftover_bytes: int = 0
    """Of this node: blocks of no source, as counted last (`ralnode leftovers`); 0 while they take no notable room."""
