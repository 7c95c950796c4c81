"""What the control commands answer: the dataclasses behind both `--json` and the human output of the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ralnode.api import EventLine, NodeStatus, SourceStatus


@dataclass(frozen=True, slots=True)
class NodesAnswer:
    nodes: tuple[NodeStatus, ...]


@dataclass(frozen=True, slots=True)
class SourcesAnswer:
    sources: tuple[SourceStatus, ...]


@dataclass(frozen=True, slots=True)
class HolderLine:
    """How much one node has of a source."""

    node: str
    name: str
    is_live: bool
    has_metadata: bool
    owned_count: int
    linked_count: int


@dataclass(frozen=True, slots=True)
class SourceAnswer:
    """One source in full."""

    status: SourceStatus
    leaf_bytes: int
    interior_count: int
    interior_bytes: int
    priority: int
    holders: tuple[HolderLine, ...]


@dataclass(frozen=True, slots=True)
class RemovedAnswer:
    root: str
    name: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class CapacityAnswer:
    node: str
    capacity_bytes: int
    used_bytes: int
    reserved_bytes: int
    linked_bytes: int
    block_count: int
    disk_free_bytes: int
    disk_total_bytes: int
    read_only_reason: str
    before_bytes: int | None = None
    """The capacity until this command changed it; None when it only asked."""


@dataclass(frozen=True, slots=True)
class StopAnswer:
    node: str
    away_seconds: float | None
    pid: int = 0
    """Of its process, for whoever waits for its end on the same machine."""


@dataclass(frozen=True, slots=True)
class PlanLine:
    """One source as this node's plan has it."""

    root: str
    name: str
    leaf_count: int
    copies: int
    wanted_count: int
    wanted_bytes: int
    stored_count: int
    """Of the wanted ones."""
    missing_count: int
    extra_count: int
    """Own copies that the plan no longer gives this node; kept until they can be given up safely."""
    linked_count: int
    why: str


@dataclass(frozen=True, slots=True)
class PlanAnswer:
    node: str
    planner: str
    digest: str
    agreement: bool
    share: float
    """This node's part of the capacity that the plan reckons with, 0 to 1."""
    node_count: int
    sources: tuple[PlanLine, ...]


@dataclass(frozen=True, slots=True)
class WhyAnswer:
    """Why one block is where it is."""

    node: str
    root: str
    name: str
    index: int
    leaf_count: int
    planner: str
    lines: tuple[str, ...]
    """The planner's own words; empty when it cannot explain."""
    wanted_here: bool
    stored_here: bool
    holders: tuple[str, ...]
    """Names of live nodes with an own copy."""
    linked_at: tuple[str, ...]
    """Names of live nodes that can serve it from a user's file."""


@dataclass(frozen=True, slots=True)
class ViewNodeLine:
    id: str
    """Of 32 bytes, in hex: planners mix it in, so that simulations need the very same."""
    name: str
    capacity_bytes: int
    zone: str


@dataclass(frozen=True, slots=True)
class ViewSourceLine:
    root: str
    """The binary CID in hex."""
    name: str
    size_bytes: int
    leaf_count: int
    leaf_bytes: int
    interior_count: int
    interior_bytes: int
    copies: int
    priority: int


@dataclass(frozen=True, slots=True)
class ViewAnswer:
    """What the plan in force was made from, the same on every node that agrees with it; for `ralnode plan simulate`."""

    planner: str
    nodes: tuple[ViewNodeLine, ...]
    sources: tuple[ViewSourceLine, ...]


@dataclass(frozen=True, slots=True)
class PluginLine:
    name: str
    origin: str
    version: str
    role: str
    providers: tuple[str, ...]
    active: bool
    summary: str = ""


@dataclass(frozen=True, slots=True)
class RefusedLine:
    name: str
    origin: str
    reason: str


@dataclass(frozen=True, slots=True)
class PluginsAnswer:
    plugins: tuple[PluginLine, ...]
    refused: tuple[RefusedLine, ...]


@dataclass(frozen=True, slots=True)
class ConfigRow:
    key: str
    value: str
    origin: str
    """The file, `environment X`, `flag --x`, or `default`."""


def shown(value: Any) -> str:
    """A value of the configuration for people: nothing for None, lists without their brackets."""
    if value is None:
        return ""
    return ", ".join(map(str, value)) if isinstance(value, tuple) and not hasattr(value, "_fields") else str(value)


@dataclass(frozen=True, slots=True)
class ConfigAnswer:
    rows: tuple[ConfigRow, ...]
    path: str = ""
    """The file that was read; empty when there was none."""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class InviteAnswer:
    code: str
    group: str


@dataclass(frozen=True, slots=True)
class HintAnswer:
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EventsAnswer:
    events: tuple[EventLine, ...]


@dataclass(frozen=True, slots=True)
class MetricLine:
    name: str
    kind: str
    help: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MetricsAnswer:
    metrics: tuple[MetricLine, ...]


@dataclass(frozen=True, slots=True)
class VerifyAnswer:
    node: str
    state: str
    """idle (never run since the start), running, done, stopped or failed."""
    checked_count: int
    total_count: int
    checked_bytes: int
    bad: tuple[str, ...] = ()
    """CIDs found bad, at most 100 of them; they are quarantined and fetched again."""
    bad_count: int = 0
    reason: str = ""
    """Why it failed."""


@dataclass(frozen=True, slots=True)
class CommandLine:
    """A row of `help`: what can be asked."""

    name: str
    summary: str
    params: Mapping[str, Any]
    from_peer: bool
    from_page: bool
    is_dangerous: bool


@dataclass(frozen=True, slots=True)
class HelpAnswer:
    commands: tuple[CommandLine, ...]


@dataclass(frozen=True, slots=True)
class ListingLine:
    """An entry of a folder. `kind` is empty where only its own block would tell."""

    path: str
    cid: str
    size_bytes: int = 0
    kind: str = ""
    target: str = ""


@dataclass(frozen=True, slots=True)
class ListingAnswer:
    top: ListingLine
    entries: tuple[ListingLine, ...] = ()


@dataclass(frozen=True, slots=True)
class AddProgress:
    """Durable bytes of content, what an earlier attempt left here included. `bytes_total` is 0 while it is unknown."""

    bytes_done: int
    bytes_total: int = 0
    files_done: int = 0


@dataclass(frozen=True, slots=True)
class AddedAnswer:
    """A source that is in the catalogue now."""

    root: str
    name: str
    size_bytes: int
    leaf_count: int
    copies: int
    is_directory: bool
    is_linked: bool
    reused_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Foresight:
    """What a change would do; nothing was changed. `target` is the name to be typed by whoever means it."""

    action: str
    target: str
    lines: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    refusal: str = ""
    """Why it would be refused; empty when it would not."""
    moved_bytes: int = 0
    """Newly copied to some node because of it."""
    is_moved_least: bool = False
    """There was no time to plan for all nodes: `moved_bytes` is a lower bound."""
    copies_min: int = 0
    """The lowest count of copies of any block on live nodes while it is done."""
    unreachable_count: int = 0
    """Blocks that no live node could serve afterwards, and some node can now."""


@dataclass(frozen=True, slots=True)
class DrainAnswer:
    """How far a node's draining is. It serves what it has until it is stopped."""

    node: str
    draining: bool
    waiting_count: int
    """Blocks here that lack copies on nodes that stay."""
    waiting_bytes: int

    @property
    def is_done(self) -> bool:
        return self.draining and not self.waiting_count


@dataclass(frozen=True, slots=True)
class TokenLine:
    """A token for programs, without its secret."""

    id: str
    name: str
    scopes: tuple[str, ...]
    expires_unix_ms: int


@dataclass(frozen=True, slots=True)
class PageAnswer:
    """What came of telling the status page who may sign in. Secrets are shown once, here."""

    page_url: str
    link: str = ""
    """A one-time link."""
    link_seconds: int = 0
    token: str = ""
    accounts: tuple[str, ...] = ()
    """Roles that have a password."""
    tokens: tuple[TokenLine, ...] = ()
