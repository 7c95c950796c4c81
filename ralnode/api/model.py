"""The values that travel between the parts: frozen, small, no behaviour beyond simple arithmetic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from ralnode.api.blockset import BlockSet

NodeId: TypeAlias = bytes
"""32 bytes: the node's Ed25519 public key."""

BlockKey: TypeAlias = bytes
"""Binary CIDv1 of a block (a CIDv0 is lifted to v1 dag-pb): what the store and the wire know a block by."""

Root: TypeAlias = bytes
"""Binary CID of a source's root, in the version (0 or 1) that it was made with."""


class Block(NamedTuple):
    """One content-addressed block. `data` is at most limits.BLOCK_BYTES_MAX long."""

    key: BlockKey
    data: bytes


class FileSlice(NamedTuple):
    """A block that lies in a file of the user's: `length` bytes at `offset`."""

    key: BlockKey
    offset: int
    length: int


class Instant(NamedTuple):
    """The time, handed in: `seconds` is monotonic, `unix_ms` is the wall clock."""

    seconds: float
    unix_ms: int


class Address(NamedTuple):
    """Where something listens: IP literal or host name, and port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> Address:
        """From `host:port` or `[v6]:port`. Raises ValueError."""
        host, separator, port = text.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if not separator or not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
            raise ValueError(f"{text!r} is not host:port")
        return cls(host, int(port))


@dataclass(frozen=True, slots=True)
class Peer:
    """Whom to talk to. `id` is None only before the first handshake; the transport checks it otherwise."""

    id: NodeId | None
    addresses: tuple[Address, ...]


class Liveness(StrEnum):
    """What membership believes of a node, in seconds. Not the same as being in the placement view (minutes)."""

    ALIVE = "alive"
    SUSPECT = "suspect"
    DEAD = "dead"
    LEFT = "left"


@dataclass(frozen=True, slots=True)
class Source:
    """A catalogue entry: a DAG that the cluster keeps. Leaves are numbered depth first, repeats counted each time."""

    root: Root
    name: str
    size_bytes: int
    """Bytes of content: the sum of the file sizes."""
    leaf_count: int
    leaf_bytes: int
    """Bytes of all leaf blocks as stored (equals size_bytes for raw leaves)."""
    interior_count: int
    interior_bytes: int
    """Interior nodes, kept by every node of the cluster."""
    copies: int = 2
    priority: int = 0
    """Higher is kept first when space is short."""
    is_directory: bool = False

    @property
    def block_bytes(self) -> int:
        """Mean bytes of a leaf, rounded up; 1 for a source of empty leaves. What plans reckon with."""
        return max(1, -(-self.leaf_bytes // max(1, self.leaf_count)))


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """What a node says of itself in its signed record."""

    id: NodeId
    name: str
    capacity_bytes: int
    used_bytes: int = 0
    zone: str = ""
    addresses: tuple[Address, ...] = ()
    """Where its transport listens."""
    gossip_port: int = 0
    page_url: str = ""
    version: str = ""
    planner: str = ""
    """Name and version, as `rendezvous/1`."""
    plan_digest: bytes = b""
    activity: str = ""
    """One of looking for peers, fetching metadata, picking blocks, downloading, seeding, full, draining."""
    draining: bool = False
    away_until_ms: int = 0
    """Wall clock up to which an announced absence (a reboot) moves nothing."""
    wanted_count: int = 0
    """Leaves that its plan gives it, over all sources."""
    disk_total_bytes: int = 0
    """Of the disk that the store lies on; 0 from a node that does not say."""
    disk_free_bytes: int = 0
    """Followed in coarse steps: it moves with everything else on that disk."""
    started_unix_ms: int = 0
    """By that node's clock."""
    gateway_port: int = 0
    """Where its addresses serve IPFS tools over plain HTTP; 0 if they do not, or for that machine alone."""
    gateway_tls_port: int = 0
    """Likewise over TLS."""


@dataclass(frozen=True, slots=True)
class Holding:
    """What one node has of one source. `owned` are its own copies; `linked` lie in a file by reference: they serve
    reads and repair but count as no copy, since the file is its owner's and may change or vanish."""

    has_interior: bool = False
    owned: BlockSet = field(default_factory=BlockSet)
    linked: BlockSet = field(default_factory=BlockSet)

    @property
    def servable(self) -> BlockSet:
        return self.owned | self.linked


@dataclass(frozen=True, slots=True)
class PlanNode:
    """A node as planners see it: declared capacity (quantised), never free space."""

    id: NodeId
    capacity_bytes: int
    zone: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """Everything a plan depends on. Equal views give equal plans on every machine.

    `nodes` is sorted by id, `sources` by root. `holdings` (node id -> root -> owned blocks, live nodes only) is
    empty unless the planner sets `needs_holdings`.
    """

    me: NodeId
    nodes: tuple[PlanNode, ...]
    sources: tuple[Source, ...]
    holdings: Mapping[NodeId, Mapping[Root, BlockSet]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """A planner's proposal for `view.me`. The core fetches, checks, and alone may ever delete.

    `want`: every block this node should own, by root (a root left out means none). `urgent`: the part of `want` to
    fetch before the rest (first copies). `digest`: at most 16 bytes, equal on all nodes whose views are equal.
    """

    want: Mapping[Root, BlockSet]
    urgent: Mapping[Root, BlockSet] = field(default_factory=dict)
    digest: bytes = b""


class Held(StrEnum):
    """How a store has a block."""

    NO = "no"
    OWNED = "owned"
    LINKED = "linked"


@dataclass(frozen=True, slots=True)
class Usage:
    """Bytes on this node's disk. `used_bytes + reserved_bytes <= capacity_bytes` at every instant."""

    capacity_bytes: int
    used_bytes: int
    """Segments, index, WAL and metadata together."""
    reserved_bytes: int = 0
    linked_bytes: int = 0
    """Bytes served from users' files by reference; not part of `used_bytes`."""
    block_count: int = 0
    disk_free_bytes: int = 0
    disk_total_bytes: int = 0
    read_only_reason: str = ""
    """Not empty when the store refuses writes (an fsync failed); it still serves."""
