"""X.509 of one cluster: a CA that every member can make from the secret, and leaves whose subject key is a node id.

All fields are fixed or derived, and Ed25519 is deterministic, so every node makes the same CA certificate without
asking anybody. Only certificates and keys live here; sockets and contexts do not.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ralnode.api.errors import PeerError
from ralnode.api.model import NodeId

NOT_BEFORE: Final = datetime(2020, 1, 1, tzinfo=UTC)
"""Far in the past: a machine whose battery clock says 2021 may join."""

NOT_AFTER: Final = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
"""RFC 5280 section 4.1.2.5: "no well-defined expiration date". A member is removed by a record, not by a date."""

_CERTIFICATE_BYTES_MAX: Final = 4096


def make_ca(ca_key: Ed25519PrivateKey) -> x509.Certificate:
    """The self-signed certificate of the cluster; equal on every node that has the key."""
    public = ca_key.public_key()
    builder = _builder(public, _ca_name(public), _ca_name(public))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_key_usage(signs_certificates=True), critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    return builder.sign(ca_key, None)


def make_leaf(ca_key: Ed25519PrivateKey, node: Ed25519PublicKey) -> x509.Certificate:
    """The certificate of one node: its subject key is the node's identity."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, node.public_bytes_raw().hex())])
    purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    builder = _builder(node, name, _ca_name(ca_key.public_key()))
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_key_usage(signs_certificates=False), critical=True)
    builder = builder.add_extension(purposes, critical=False)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(node), critical=False)
    builder = builder.add_extension(authority, critical=False)
    return builder.sign(ca_key, None)


def node_of(der: bytes) -> NodeId:
    """The subject key of a certificate. Raises PeerError when there is none or it is not Ed25519."""
    if len(der) > _CERTIFICATE_BYTES_MAX:
        raise PeerError(f"peer's certificate has {len(der)} bytes, more than {_CERTIFICATE_BYTES_MAX}: refused")
    try:
        key = x509.load_der_x509_certificate(der).public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise PeerError(f"peer's certificate cannot be read: {error}") from None
    if not isinstance(key, Ed25519PublicKey):
        raise PeerError("peer's certificate has a key that is not Ed25519, so it names no node")
    return key.public_bytes_raw()


def to_pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


def key_to_pem(key: Ed25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _builder(subject_key: Ed25519PublicKey, subject: x509.Name, issuer: x509.Name) -> x509.CertificateBuilder:
    serial = int.from_bytes(hashlib.sha256(subject_key.public_bytes_raw()).digest()[:16], "big") | 1
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(subject_key)
    return builder.serial_number(serial).not_valid_before(NOT_BEFORE).not_valid_after(NOT_AFTER)


def _ca_name(ca: Ed25519PublicKey) -> x509.Name:
    """Names the cluster by its CA key, so that OpenSSL does not even try another cluster's."""
    tag = hashlib.sha256(b"ralnode ca name" + ca.public_bytes_raw()).hexdigest()[:16]
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"ralnode cluster {tag}")])


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
