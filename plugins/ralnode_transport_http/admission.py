"""Who may take how much of this node at once: counters and token buckets. No IO; time is an argument."""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from http import HTTPStatus

from ralnode.api import NodeId
from ralnode_transport_http import bounds


@dataclass(slots=True)
class Buckets:
    """Connections per second and address; the least recently seen address is forgotten first."""

    rate_per_second: float
    burst: float
    _levels: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)
    """Address -> (tokens left, at which second)."""

    def take(self, address: str, now_seconds: float) -> bool:
        tokens, since = self._levels.pop(address, (self.burst, now_seconds))
        tokens = min(self.burst, tokens + (now_seconds - since) * self.rate_per_second)
        allowed = tokens >= 1
        self._levels[address] = (tokens - allowed, now_seconds)
        if len(self._levels) > bounds.BUCKETS_MAX:
            self._levels.popitem(last=False)
        return allowed


@dataclass(slots=True)
class Gate:
    """At most `total_max` of something at once, and `each_max` of one kind. Every `enter` that is let in must `leave`."""

    total_max: int
    each_max: int
    _inside: Counter[object] = field(default_factory=Counter)

    def enter(self, kind: object) -> bool:
        if self._inside.total() >= self.total_max or self._inside[kind] >= self.each_max:
            return False
        self._inside[kind] += 1
        return True

    def leave(self, kind: object) -> None:
        self._inside[kind] -= 1
        if not self._inside[kind]:
            del self._inside[kind]

    def is_full_for(self, kind: object) -> bool:
        """Whether `kind` alone is at its bound (else it is the sum that is)."""
        return self._inside[kind] >= self.each_max


@dataclass(slots=True)
class Admission:
    """Requests being received or answered, and the bytes of their bodies."""

    gate: Gate
    _body_bytes: int = 0

    def enter(self, peer: NodeId, body_bytes: int) -> tuple[HTTPStatus, str] | None:
        """None: let in. Otherwise the status and reason to refuse with."""
        if self._body_bytes + body_bytes > bounds.BODIES_BYTES_MAX:
            return HTTPStatus.SERVICE_UNAVAILABLE, "too many request bodies at once on this node"
        if not self.gate.enter(peer):
            if self.gate.is_full_for(peer):
                return HTTPStatus.TOO_MANY_REQUESTS, f"more than {self.gate.each_max} requests at once from this peer"
            return HTTPStatus.SERVICE_UNAVAILABLE, f"more than {self.gate.total_max} requests at once on this node"
        self._body_bytes += body_bytes
        return None

    def leave(self, peer: NodeId, body_bytes: int) -> None:
        self.gate.leave(peer)
        self._body_bytes -= body_bytes
