"""What can happen to the engine (past tense) and what it asks the shell to do (imperative).

The shell (host, or the simulator) feeds events with the time and carries out the effects in their order. An effect
never waits for a peer inside the engine; its outcome comes back as an event.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from ralnode.api.blockset import BlockSet
from ralnode.api.model import Address, Holding, NodeId, Peer, Plan, Root, Source, Usage, View
from ralnode.api.roles import SendDatagram

# --- events ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ticked:
    """`Engine.wake_at` has come."""


@dataclass(frozen=True, slots=True)
class DatagramReceived:
    data: bytes
    sender: Address


@dataclass(frozen=True, slots=True)
class PeerHinted:
    """Discovery or the user names an address where somebody may listen."""

    address: Address
    origin: str


@dataclass(frozen=True, slots=True)
class SyncRequested:
    """A peer POSTed a sync body; answer with `ReplySync(request, …)`."""

    request: int
    peer: NodeId
    seen_at: Address
    body: bytes


@dataclass(frozen=True, slots=True)
class SyncAnswered:
    """Outcome of `SyncWith`."""

    asked: Peer
    peer: NodeId
    seen_at: Address
    body: bytes


@dataclass(frozen=True, slots=True)
class SyncFailed:
    asked: Peer
    reason: str


@dataclass(frozen=True, slots=True)
class SourcePublished:
    """A local add has ended: every block is durable here. `origin` is a path for linked sources, else empty."""

    source: Source
    holding: Holding


@dataclass(frozen=True, slots=True)
class SourceWithdrawn:
    """The user removes a source from the cluster."""

    root: Root


@dataclass(frozen=True, slots=True)
class InteriorStored:
    """Outcome of `FetchInterior`: all interior nodes are durable here; `LocateBlocks` follows."""

    root: Root


@dataclass(frozen=True, slots=True)
class InteriorFailed:
    root: Root
    peer: NodeId
    reason: str
    peer_fault: bool
    """The bytes were wrong (not merely unavailable)."""


@dataclass(frozen=True, slots=True)
class HoldingFound:
    """What the store has of a source, counted afresh: outcome of `LocateBlocks`, or something was lost."""

    root: Root
    holding: Holding


@dataclass(frozen=True, slots=True)
class BlocksStored:
    """Part of a `FetchBlocks` or `CopyLinked` is verified and durable."""

    task: int
    root: Root
    blocks: BlockSet
    size_bytes: int


@dataclass(frozen=True, slots=True)
class FetchEnded:
    """A `FetchBlocks` or `CopyLinked` is over; `reason` is empty when all that the peer had has come."""

    task: int
    reason: str = ""
    peer_fault: bool = False
    full: bool = False


@dataclass(frozen=True, slots=True)
class PlanComputed:
    """Outcome of `ComputePlan`; `plan` is None when the planner failed, `reason` says how."""

    epoch: int
    plan: Plan | None
    seconds: float
    reason: str = ""


@dataclass(frozen=True, slots=True)
class UsageMeasured:
    usage: Usage


@dataclass(frozen=True, slots=True)
class NodeChanged:
    """The owner changed something about this node; None leaves a field as it is."""

    capacity_bytes: int | None = None
    addresses: tuple[Address, ...] | None = None
    page_url: str | None = None
    away_until_ms: int | None = None
    draining: bool | None = None
    gateway_port: int | None = None
    gateway_tls_port: int | None = None


@dataclass(frozen=True, slots=True)
class Stopping:
    """The node goes down now. `for_good`: it leaves the cluster."""

    for_good: bool = False


Event: TypeAlias = (
    Ticked
    | DatagramReceived
    | PeerHinted
    | SyncRequested
    | SyncAnswered
    | SyncFailed
    | SourcePublished
    | SourceWithdrawn
    | InteriorStored
    | InteriorFailed
    | HoldingFound
    | BlocksStored
    | FetchEnded
    | PlanComputed
    | UsageMeasured
    | NodeChanged
    | Stopping
)

# --- effects --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SyncWith:
    """POST this body to the peer; `SyncAnswered` or `SyncFailed` follows."""

    peer: Peer
    body: bytes


@dataclass(frozen=True, slots=True)
class ReplySync:
    """`refusal` is not empty when the request was malformed: close it and count it against the peer."""

    request: int
    body: bytes
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class SaveState:
    """Make these documents durable (None deletes), then carry out `then` in order."""

    items: Mapping[bytes, bytes | None]
    then: tuple[Effect, ...] = ()


@dataclass(frozen=True, slots=True)
class SourceSettled:
    """A `SourcePublished` or `SourceWithdrawn` is durable: tell whoever waits. `refusal` not empty: it was refused."""

    root: Root
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class ComputePlan:
    """Call the planner in a thread; `PlanComputed` follows."""

    epoch: int
    view: View


@dataclass(frozen=True, slots=True)
class FetchInterior:
    source: Source
    peer: Peer


@dataclass(frozen=True, slots=True)
class LocateBlocks:
    """Walk the interior nodes in the store, ask it which leaves it has; `HoldingFound` follows."""

    source: Source


@dataclass(frozen=True, slots=True)
class FetchBlocks:
    """One request to one holder. `BlocksStored` follow as groups become durable, then one `FetchEnded`."""

    task: int
    peer: Peer
    source: Source
    blocks: BlockSet


@dataclass(frozen=True, slots=True)
class CopyLinked:
    """Make own copies of blocks that lie in a user's file here. Events as for `FetchBlocks`."""

    task: int
    source: Source
    blocks: BlockSet


@dataclass(frozen=True, slots=True)
class CancelFetch:
    task: int


@dataclass(frozen=True, slots=True)
class DropSource:
    """The source was removed by a user: delete its blocks here, except those that `kept` sources also use."""

    source: Source
    kept: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """A line for the event log; `level` is info, warning or error."""

    level: str
    text: str


Effect: TypeAlias = (
    SendDatagram
    | SyncWith
    | ReplySync
    | SaveState
    | SourceSettled
    | ComputePlan
    | FetchInterior
    | LocateBlocks
    | FetchBlocks
    | CopyLinked
    | CancelFetch
    | DropSource
    | Report
)
