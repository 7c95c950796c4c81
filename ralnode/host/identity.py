"""This node's key and the cluster's secret: who we are, and what makes us a member.

`identity.key` (made once, never shared) and `cluster.secret` (the same on every node) lie in the data directory, 32
bytes each. The only code that sees either of them; everybody else gets signatures, derived keys and TLS contexts.
"""

from __future__ import annotations

import os
import ssl
from contextlib import suppress
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ralnode.api.errors import ConfigError, LocalError
from ralnode.api.model import NodeId
from ralnode.host import certificate, secretfile

KEY_FILE: Final = "identity.key"
SECRET_FILE: Final = "cluster.secret"  # noqa: S105  (a file name)
SECRET_BYTES: Final = 32
_KEY_BYTES: Final = 32
_CA_LABEL: Final = "cluster-ca-v1"


class NodeIdentity:
    """Implements `ralnode.api.Identity`. Make one with `open_identity`."""

    def __init__(self, key: Ed25519PrivateKey, secret: bytes, data_dir: Path) -> None:
        """`data_dir` is where certificates may lie for an instant on systems without anonymous memory."""
        self._key = key
        self._secret = secret
        self._data_dir = data_dir
        self._id = key.public_key().public_bytes_raw()

    @property
    def id(self) -> NodeId:
        return self._id

    @property
    def cluster_secret(self) -> bytes:
        """For the join code only (`ralnode invite`); not part of the role, so no plugin can ask for it."""
        return self._secret

    def sign(self, data: bytes) -> bytes:
        return self._key.sign(data)

    def verify(self, author: NodeId, signature: bytes, data: bytes) -> bool:
        try:
            Ed25519PublicKey.from_public_bytes(author).verify(signature, data)
        except (InvalidSignature, ValueError):
            return False
        return True

    def derive(self, label: str, salt: bytes = b"", length: int = 32) -> bytes:
        """RFC 5869 with the label as `info`; 1 to 8,160 bytes."""
        return HKDF(SHA256(), length, salt or None, label.encode()).derive(self._secret)

    def server_tls(self) -> ssl.SSLContext:
        context = self._tls(ssl.PROTOCOL_TLS_SERVER)
        context.num_tickets = 0  # no resumption: every connection proves its key
        return context

    def client_tls(self) -> ssl.SSLContext:
        return self._tls(ssl.PROTOCOL_TLS_CLIENT)

    def node_of_certificate(self, der: bytes) -> NodeId:
        return certificate.node_of(der)

    def _tls(self, protocol: int) -> ssl.SSLContext:
        ca_key = Ed25519PrivateKey.from_private_bytes(self.derive(_CA_LABEL))
        leaf = certificate.make_leaf(ca_key, self._key.public_key())
        context = ssl.SSLContext(protocol)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.check_hostname = False  # nodes are known by their key, not by a name
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=certificate.to_pem(certificate.make_ca(ca_key)).decode())
        pem = certificate.to_pem(leaf) + certificate.key_to_pem(self._key)
        with secretfile.readable_path(pem, self._data_dir) as path:
            context.load_cert_chain(path)
        return context


def open_identity(data_dir: Path, secret: bytes | None = None, *, joins: bool = True) -> NodeIdentity:
    """Loads this node's key and secret, and makes what is missing: on the first start a key, and, when no `secret` is
    given (from a credential or the configuration) and none is stored, a secret that founds a new cluster.

    A node that has a key and no secret is a member by a secret from outside, and founds nothing: without that secret it
    can only be opened to look after its store (`joins` false).

    Raises ConfigError when the secret given is not the one that this node was stored with or is missing, or a file is
    damaged or open to other users; LocalError when the data directory cannot be used. Nothing that exists is ever
    overwritten.
    """
    found = secretfile.read_secret(data_dir / SECRET_FILE, SECRET_BYTES)
    raw = secretfile.read_secret(data_dir / KEY_FILE, _KEY_BYTES)
    if secret is None and found is None and raw is not None:
        secret = _secret_from_outside(data_dir, joins=joins)
    elif secret is None:
        secret = found or _create(data_dir / SECRET_FILE, SECRET_BYTES)
    _check_secret(data_dir, secret, found)
    raw = raw or _create(data_dir / KEY_FILE, _KEY_BYTES)
    return NodeIdentity(Ed25519PrivateKey.from_private_bytes(raw), secret, data_dir)


def stored_id(data_dir: Path) -> NodeId | None:
    """Who the node in this folder is; None when there is none. Makes nothing. Raises as `open_identity` for a damaged key."""
    raw = secretfile.read_secret(data_dir / KEY_FILE, _KEY_BYTES)
    return Ed25519PrivateKey.from_private_bytes(raw).public_key().public_bytes_raw() if raw else None


def _secret_from_outside(data_dir: Path, *, joins: bool) -> bytes:
    """One that nobody else has, for a node that will talk to nobody; refused for one that would."""
    if not joins:
        return os.urandom(SECRET_BYTES)
    raise ConfigError(
        f"the node in {data_dir} is a member of a cluster whose secret was given from outside (--join, the configuration, a "
        "credential), and now it is not given. Nothing was changed. Give it again, or keep it here for good with: "
        "ralnode join CODE"
    )


def store_secret(data_dir: Path, secret: bytes) -> None:
    """Makes this node a member of the cluster with this secret (`ralnode join`). Again with the same one is fine.

    Raises ConfigError when it belongs to another cluster already; nothing was changed then.
    """
    _check_secret(data_dir, secret, secretfile.read_secret(data_dir / SECRET_FILE, SECRET_BYTES))
    try:
        secretfile.create_secret(data_dir / SECRET_FILE, secret)
    except FileExistsError:
        _check_secret(data_dir, secret, secretfile.read_secret(data_dir / SECRET_FILE, SECRET_BYTES))


def _check_secret(data_dir: Path, secret: bytes, found: bytes | None) -> None:
    if len(secret) != SECRET_BYTES:
        raise ConfigError(f"the cluster secret has {len(secret)} bytes, not {SECRET_BYTES}. Nothing was changed.")
    if found is not None and found != secret:
        raise ConfigError(
            f"cannot use the cluster secret that was given: {data_dir / SECRET_FILE} holds another one, so this node "
            "belongs to another cluster. Nothing was changed. Give this cluster its own data_dir, or remove that file "
            "if the node shall leave the old cluster."
        )


def _create(path: Path, size_bytes: int) -> bytes:
    with suppress(FileExistsError):  # a second process was faster; its key is the one
        secretfile.create_secret(path, os.urandom(size_bytes))
    stored = secretfile.read_secret(path, size_bytes)
    if stored is None:
        raise LocalError(
            f"cannot keep {path}: it vanished right after it was written. Is something cleaning this folder?"
        )
    return stored
