"""An `Identity` for simulations: a thousand of them cost nothing and the same seed gives the same bytes.

It guards nothing: anybody can sign as anybody. What it keeps of the real one is that a signature fits one author and one
text, and that other secrets, labels and salts derive other keys. TLS it has not; simulated nodes have no sockets.
"""

from __future__ import annotations

import hashlib
import hmac
import ssl

from ralnode.api.errors import LocalError, PeerError
from ralnode.api.model import NodeId


class FakeIdentity:
    """`name` decides the node id, `secret` the cluster."""

    def __init__(self, name: str, secret: bytes = b"test cluster") -> None:
        self._id = hashlib.blake2b(name.encode(), digest_size=32, person=b"fake node id").digest()
        self._secret = secret

    @property
    def id(self) -> NodeId:
        return self._id

    def sign(self, data: bytes) -> bytes:
        return _signature(self._id, data)

    def verify(self, author: NodeId, signature: bytes, data: bytes) -> bool:
        return len(author) == 32 and hmac.compare_digest(signature, _signature(author, data))

    def derive(self, label: str, salt: bytes = b"", length: int = 32) -> bytes:
        parts = (self._secret, label.encode(), salt)
        return hashlib.shake_256(b"".join(len(part).to_bytes(4, "big") + part for part in parts)).digest(length)

    def server_tls(self) -> ssl.SSLContext:
        raise LocalError("a simulated node has no TLS: use ralnode.host.identity.NodeIdentity")

    def client_tls(self) -> ssl.SSLContext:
        raise LocalError("a simulated node has no TLS: use ralnode.host.identity.NodeIdentity")

    def node_of_certificate(self, der: bytes) -> NodeId:
        raise PeerError("a simulated node has no certificates")


def _signature(author: NodeId, data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=64, key=author, person=b"fake signature").digest()
