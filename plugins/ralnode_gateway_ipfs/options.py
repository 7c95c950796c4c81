"""`[gateway.ipfs]` in the configuration."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class IpfsOptions:
    """Whoever reaches the gateway can read all that the cluster holds, so it answers only this machine by default."""

    port: int = 8080
    """0 picks a free one."""
    public: bool = False
    """Listen on all addresses, for other machines of the LAN; the other nodes tell IPFS tools of it."""
    no_fetch: bool = False
    """Serve only blocks that this node holds; never ask the other nodes for them."""
    convert: bool = False
    """Give IPLD documents and UnixFS nodes as DAG-JSON or DAG-CBOR to whoever asks for it; else that is 406 (IPIP-524)."""
    connections_max: int = 128
    """For each of the two ports."""
    requests_max: int = 32
    """Answered at one time."""
    requests_waiting_max: int = 512
    """Wait up to 10 s for their turn; more get 429 and are to try again."""
    tls: bool = True
    """Serve the same over TLS, with HTTP/2: Kubo and browsers want it."""
    tls_port: int = 8443
    """0 picks a free one."""
    tls_certificate: str = ""
    """PEM file with a certificate of your own, the chain behind it. Empty: one that this node has signed itself."""
    tls_key: str = ""
    """PEM file with the key for it, if that is not in the same file."""
