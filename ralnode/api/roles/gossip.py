"""The gossip role: membership as a pure state machine. Time is an argument, dice come seeded in the Context."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias, runtime_checkable

from ralnode.api.model import Address, Instant, Liveness, NodeId


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

    Contract suite: `ralnode.testing.gossip_contract`. Bad or foreign packets change nothing and are only counted.
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
        """For /metrics: packets dropped by reason, probes failed and so on."""
        ...


@runtime_checkable
class GaugingGossip(Protocol):
    """A gossip that also measures what may fall again; optional."""

    def gauges(self) -> Mapping[str, int]:
        """For /metrics: local health, rumours waiting. A name that is also in `counters` counts as a gauge."""
        ...
