"""What an owner may set under `[transport.http]`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HttpOptions:
    connections_max: int = 256
    """Open connections to this node. A cluster of 50 nodes needs about 100."""
    requests_per_peer_max: int = 16
    """Requests of one peer answered at once; more get status 429."""
    requests_max: int = 64
    """Requests answered at once; more get status 503."""
    accepts_per_second: float = 50.0
    """Connections that one address may open per second, with bursts of four times as many."""
    connect_timeout_seconds: float = 3.0
    """For one address of a peer; the next one is tried then."""
    stall_timeout_seconds: float = 30.0
    """A transfer that makes no progress for so long is given up."""
