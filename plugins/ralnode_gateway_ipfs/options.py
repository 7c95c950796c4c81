"""`[gateway.ipfs]` in the configuration."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class IpfsOptions:
    """Whoever reaches the gateway can read all that the cluster holds, so it answers only this machine by default."""

    port: int = 8080
    """0 picks a free one."""
    public: bool = False
    """Listen on all addresses, for other machines of the LAN."""
    no_fetch: bool = False
    """Serve only blocks that this node holds; never ask the other nodes for them."""
    connections_max: int = 128
    requests_max: int = 32
    """Answered at one time; more get 429 and are to try again."""
    peers_port: int = 0
    """Where the gateways of the other nodes listen, if they are public: then they are announced, too. 0: only this one."""
    tls_port: int = 0
    """Where a proxy on the same machine serves this gateway over TLS; announced when set."""
