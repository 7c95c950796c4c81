"""The roles a plugin can play, as protocols. One rule for all: calls are typed methods, hooks are for wiring only.

IO services (storage, transport, discovery, gateway, ui) may await and must never block the event loop for more than
50 ms: hashing and disk work go to threads. Pure objects (gossip, planner) do no IO, read no clock, roll no dice of
their own: time is an argument and randomness comes seeded in the `Context`.
"""

from __future__ import annotations

import logging
import random
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

from ralnode.api.blockset import BlockSet
from ralnode.api.model import (
    Address,
    Block,
    BlockKey,
    FileSlice,
    Held,
    Instant,
    Liveness,
    NodeId,
    Peer,
    Plan,
    Root,
    Source,
    Usage,
    View,
)
from ralnode.api.status import ClusterStatus

# --- what every plugin is given -------------------------------------------------------------------------------------


class Identity(Protocol):
    """This node's key and the cluster's secret, without showing either."""

    @property
    def id(self) -> NodeId: ...

    def sign(self, data: bytes) -> bytes:
        """64-byte Ed25519 signature by this node."""
        ...

    def verify(self, author: NodeId, signature: bytes, data: bytes) -> bool:
        """Whether `signature` over `data` is the author's. Never raises on bad input."""
        ...

    def derive(self, label: str, salt: bytes = b"", length: int = 32) -> bytes:
        """HKDF-SHA256 of the cluster secret; `label` names the use, e.g. `gossip-v1`."""
        ...

    def server_tls(self) -> ssl.SSLContext:
        """TLS 1.3 only, client certificate of this cluster required."""
        ...

    def client_tls(self) -> ssl.SSLContext:
        """TLS 1.3 only, presents this node's certificate, checks the cluster's CA, no host names."""
        ...

    def node_of_certificate(self, der: bytes) -> NodeId:
        """The node id (subject key) of a peer's certificate. Raises PeerError if the key is not Ed25519."""
        ...


@dataclass(frozen=True, slots=True)
class Settings:
    """The `[node]` facts that plugins need."""

    name: str
    group: str
    zone: str
    data_dir: Path
    listen_host: str
    """Address the transport and gossip bind, `0.0.0.0` by default."""
    transport_port: int
    gossip_port: int
    page_port: int
    capacity_bytes: int
    disk_floor_bytes: int
    known_peers: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class Context:
    """Handed to `Provider.build`. Building does no IO."""

    settings: Settings
    identity: Identity
    node: NodeControl
    log: logging.Logger
    random: random.Random
    """Seeded by the host; the only dice a pure object may roll."""
    boot_nonce: int
    """Grows with every start of this node (stored), below 2**64."""


# --- storage --------------------------------------------------------------------------------------------------------


class Reservation(Protocol):
    """Bytes set aside under the quota before they are written."""

    @property
    def remaining_bytes(self) -> int: ...

    async def release(self) -> None:
        """Give back what was not used. May be called twice."""
        ...


@dataclass(frozen=True, slots=True)
class VerifyProgress:
    checked_count: int
    total_count: int
    checked_bytes: int
    bad: tuple[BlockKey, ...] = ()
    """Found bad since the last report; already quarantined and no longer held."""


class Storage(Protocol):
    """Blocks by key, durable when acknowledged, under a hard quota. The contract suite is `ralnode.testing.StorageContract`."""

    async def open(self, on_lost: Callable[[Sequence[BlockKey]], None]) -> None:
        """Opens or creates. `on_lost` is called on the event loop when blocks turn out bad or a linked file changed;
        they are then no longer held. Raises StorageError (a disk that is missing, a schema too new, …)."""
        ...

    async def close(self) -> None: ...

    async def reserve(self, size_bytes: int) -> Reservation:
        """Sets bytes aside. Raises StorageFullError, nothing changed."""
        ...

    async def put(self, blocks: Sequence[Block], reservation: Reservation | None = None) -> None:
        """Stores blocks that the caller has verified; on return they are durable. All or nothing; a block already owned
        is skipped, a linked one becomes owned. Raises StorageFullError before anything is written."""
        ...

    async def link(self, path: Path, slices: Sequence[FileSlice]) -> None:
        """Holds blocks by reference into `path`. Durable on return. Blocks already held are skipped."""
        ...

    async def get(self, key: BlockKey) -> bytes | None:
        """The verified bytes, or None if not held (or found bad: then `on_lost` has been called)."""
        ...

    async def get_many(self, keys: Sequence[BlockKey]) -> list[bytes | None]:
        """As `get`, in the order of the keys; reads are coalesced where blocks lie side by side."""
        ...

    async def held(self, keys: Sequence[BlockKey]) -> list[Held]:
        """An index look-up, no data is read. Fast for hundreds of thousands of keys."""
        ...

    async def delete(self, keys: Sequence[BlockKey]) -> int:
        """Forgets owned and linked blocks; returns how many were held. A user's file is never touched."""
        ...

    def usage(self) -> Usage:
        """As of the last change; no IO."""
        ...

    async def set_capacity(self, capacity_bytes: int) -> None:
        """A hard limit from now on. Raises StorageFullError if more is used already; nothing changed."""
        ...

    async def save_state(self, items: Mapping[bytes, bytes | None]) -> None:
        """Small durable documents beside the blocks (catalogue, counters); None deletes. One transaction."""
        ...

    async def load_state(self, prefix: bytes) -> dict[bytes, bytes]:
        """All documents whose name starts with `prefix`."""
        ...

    def verify(self, *, bytes_per_second: int | None = None) -> AsyncIterator[VerifyProgress]:
        """Re-hashes everything held, at a limited pace if asked."""
        ...

    async def rebuild_index(self, progress: Callable[[int, int], None]) -> int:
        """Makes the index anew from the segments; `progress(done_bytes, total_bytes)`; returns the count of blocks."""
        ...


# --- transport ------------------------------------------------------------------------------------------------------


class PeerService(Protocol):
    """What the node answers to authenticated peers. The transport calls these; it never looks inside a body."""

    async def answer_sync(self, peer: NodeId, seen_at: Address, body: bytes) -> bytes: ...

    async def answer_command(self, peer: NodeId, body: bytes) -> bytes: ...

    async def has_block(self, key: BlockKey) -> bool:
        """An index look-up, nothing more."""
        ...

    async def block(self, key: BlockKey) -> bytes | None: ...

    def blocks(self, root: Root, wanted: BlockSet) -> AsyncIterator[Sequence[Block]]:
        """The leaves asked for, ascending by index, those not held left out. Raises NotFoundError for a root unknown here."""
        ...

    def interior(self, root: Root) -> AsyncIterator[Sequence[Block]]:
        """All interior nodes of the source, depth first, each once. Raises NotFoundError if they are not all here."""
        ...


class Transport(Protocol):
    """Requests between authenticated peers. Every failure of the other side is a PeerError or UnavailableError."""

    async def start(self, service: PeerService) -> None:
        """Binds the listener. Raises LocalError when the port is taken."""
        ...

    async def wait(self) -> None:
        """Returns never; raises when the listener fails. Cancelled to stop."""
        ...

    async def stop(self) -> None: ...

    @property
    def port(self) -> int:
        """The port really bound (useful when 0 was asked for)."""
        ...

    async def sync(self, peer: Peer, body: bytes) -> tuple[NodeId, Address, bytes]:
        """POSTs a sync body; returns who answered, at which address, and the answer (at most limits.SYNC_BYTES_MAX)."""
        ...

    async def command(self, peer: Peer, body: bytes) -> bytes: ...

    def fetch_blocks(
        self, peer: Peer, root: Root, keys: Sequence[tuple[int, BlockKey]]
    ) -> AsyncIterator[Sequence[Block]]:
        """Asks one peer, in one request, for leaves (index, expected key), ascending; yields batches of *verified* blocks as
        they come. Blocks the peer does not have are left out. Raises BadBlockError on a wrong or unasked block."""
        ...

    def fetch_interior(self, peer: Peer, root: Root) -> AsyncIterator[Sequence[Block]]:
        """All interior nodes, depth first, each verified against its CID and linked from one that came before it."""
        ...

    async def fetch_block(self, peer: Peer, key: BlockKey) -> bytes | None:
        """One verified block, or None if the peer does not have it."""
        ...

    def traffic(self) -> Mapping[NodeId, tuple[int, int]]:
        """Bytes (received from, sent to) each peer since the start."""
        ...


# --- discovery ------------------------------------------------------------------------------------------------------


class Hint(NamedTuple):
    """Somebody may listen here. Never trusted: only a TLS dial tells."""

    address: Address
    origin: str
    """Plugin name, for the status."""


class Discovery(Protocol):
    async def start(self, report: Callable[[Hint], None], transport_port: int) -> None:
        """Begins to look and to announce; `report` is called on the event loop, as often as it likes."""
        ...

    async def wait(self) -> None: ...

    async def stop(self) -> None: ...


# --- gossip (pure) --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Member:
    """A node as membership knows it. `address` is its UDP address; `transport_port` is on the same host."""

    id: NodeId
    name: str
    address: Address
    transport_port: int
    liveness: Liveness = Liveness.ALIVE
    incarnation: int = 0


class Versions(NamedTuple):
    """How far an author's state has got: highest record number, highest holdings number."""

    records: int
    holdings: int


@dataclass(frozen=True, slots=True)
class SendDatagram:
    """At most limits.DATAGRAM_BYTES_MAX bytes, already encrypted."""

    address: Address
    data: bytes


@dataclass(frozen=True, slots=True)
class MemberChanged:
    """A member is new, or its liveness, name or address has changed."""

    member: Member


@dataclass(frozen=True, slots=True)
class VersionsHeard:
    """Somebody says that this author's state has got so far."""

    author: NodeId
    versions: Versions


GossipOutput: TypeAlias = SendDatagram | MemberChanged | VersionsHeard


class Gossip(Protocol):
    """Membership as a pure state machine; encrypts its own packets with a key from `Context.identity`.

    Contract suite: `ralnode.testing.GossipContract`. Bad or foreign packets change nothing and are only counted.
    """

    @property
    def wake_at(self) -> float:
        """Monotonic seconds at which `tick` wants to be called; inf when nothing is armed."""
        ...

    def start(self, me: Member, now: Instant) -> list[GossipOutput]: ...

    def tick(self, now: Instant) -> list[GossipOutput]: ...

    def datagram_received(self, data: bytes, sender: Address, now: Instant) -> list[GossipOutput]: ...

    def exchange(self) -> bytes:
        """The whole membership, to be sent over the transport (push/pull), at most limits.SYNC_BYTES_MAX / 4."""
        ...

    def exchange_received(self, data: bytes, sender: NodeId, seen_at: Address, now: Instant) -> list[GossipOutput]:
        """Merges a peer's `exchange`. `seen_at` is the host it was reached at, used when it announced none (0.0.0.0).
        A peer that we have just talked to is alive, whatever we believed. Raises PeerError on malformed data."""
        ...

    def announce(self, author: NodeId, versions: Versions, now: Instant) -> list[GossipOutput]:
        """Spread that this author's state has got so far."""
        ...

    def leave(self, now: Instant) -> list[GossipOutput]:
        """Tell everybody that this node goes for good (not called for a plain stop or reboot)."""
        ...

    def members(self) -> Sequence[Member]:
        """All known ones but this node, the dead of the last 24 h among them."""
        ...

    def counters(self) -> Mapping[str, int]:
        """For /metrics: packets dropped by reason, probes failed, local health and so on."""
        ...


# --- planner (pure) -------------------------------------------------------------------------------------------------


class Planner(Protocol):
    """`plan` is a pure function of the view: no IO, no clock, no dice, bounded time (5 s). Called in a thread.

    Contract suite: `ralnode.testing.PlannerContract`.
    """

    name: str
    version: int
    needs_holdings: bool

    def plan(self, view: View) -> Plan: ...


@runtime_checkable
class ExplainingPlanner(Protocol):
    """A planner that can also say why; optional."""

    def explain(self, view: View, root: Root, index: int) -> Sequence[str]:
        """Lines for `ralnode plan --why SOURCE INDEX`: which nodes this block goes to, and why."""
        ...


# --- gateway and ui -------------------------------------------------------------------------------------------------


class Reading(Protocol):
    """An open file, directory or symlink of the cluster."""

    name: str
    cid: bytes
    kind: str
    """file, directory or symlink."""
    size_bytes: int
    target: str
    """Of a symlink; else empty."""

    def read(self, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """Verified bytes in order, memory bounded. Raises UnavailableError when no live node has a block."""
        ...

    def entries(self) -> AsyncIterator[tuple[str, bytes, int]]:
        """Of a directory: (name, CID, cumulative size) in the order of the DAG."""
        ...


class NodeControl(Protocol):
    """What a gateway or ui may ask of the node it lives in."""

    def status(self) -> ClusterStatus: ...

    def sources(self) -> Sequence[Source]: ...

    def changes(self) -> AsyncIterator[None]:
        """Yields when the status has changed, at most twice a second."""
        ...

    async def block(self, key: BlockKey, *, local_only: bool = False) -> bytes | None: ...

    async def open(self, reference: str) -> Reading:
        """`NAME`, `NAME/path`, `CID`, `CID/path`. Raises NotFoundError or UnavailableError."""
        ...

    async def command(self, name: str, params: Mapping[str, Any], node: str | None = None) -> Mapping[str, Any]:
        """Runs a control command here or on the node named. Raises RalnodeError."""
        ...

    def metrics(self) -> Sequence[Metric]: ...


class Metric(NamedTuple):
    """One sample for /metrics. Names end in their unit; `kind` is gauge or counter."""

    name: str
    kind: str
    help: str
    value: float
    labels: Mapping[str, str] = {}


class Gateway(Protocol):
    """A listener for others (IPFS tools). Optional service: restarts with a delay when it fails."""

    async def start(self) -> None: ...

    async def wait(self) -> None: ...

    async def stop(self) -> None: ...

    @property
    def url(self) -> str: ...


class Ui(Gateway, Protocol):
    """The status page."""
