"""What every plugin is given when it is built: settings, identity, dice. Holds no role."""

from __future__ import annotations

import logging
import random
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ralnode.api.model import Address, NodeId
from ralnode.api.roles.surface import NodeControl


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


def _to_nobody(_line: str) -> None:
    """Nobody waits for this node to open."""


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
    progress: Callable[[str], None] = _to_nobody
    """For what takes long while the node opens: a line that says how far it is, from any thread, every ten seconds or so.
    It becomes the status of the service, and as long as such lines come the start is not given up, however long it takes."""
