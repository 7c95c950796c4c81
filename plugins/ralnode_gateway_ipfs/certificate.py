"""The certificate of the gateway: made and signed by this node itself, or read from files of the user's. No sockets here.

Its own lies with its key in one file of the data folder that the owner alone can read. It is made anew, with a new key,
30 days before it ends.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import ssl
import stat
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ralnode.api import LocalError

FILE_NAME: Final = "gateway-ipfs.pem"
VALID_DAYS: Final = 397
"""The longest that browsers accept."""
RENEW_DAYS: Final = 30
_BACKDATED: Final = timedelta(days=1)
"""For clocks of clients that are behind."""


@dataclass(frozen=True, slots=True)
class Certificate:
    path: Path
    key_path: Path | None
    """None: in the same file."""
    fingerprint: str
    """SHA-256, as `AB:CD:…`."""
    ends: datetime
    is_own: bool
    """Made by this node."""

    def is_fresh(self, now: datetime) -> bool:
        return now < self.ends - timedelta(days=RENEW_DAYS)


def load_given(path: Path, key_path: Path | None) -> Certificate:
    """Of the user's. Raises LocalError with the reason and what to do."""
    try:
        found = x509.load_pem_x509_certificate(path.read_bytes())
        server_context(Certificate(path, key_path, "", found.not_valid_after_utc, is_own=False))
    except (OSError, ValueError, ssl.SSLError) as error:
        raise LocalError(
            f"cannot use the certificate {path} of [gateway.ipfs] tls_certificate: {error}. It must be a PEM file, with its "
            "key in it or in tls_key, and the user that runs ralnode must be able to read both"
        ) from error
    return Certificate(path, key_path, fingerprint_of(found), found.not_valid_after_utc, is_own=False)


def self_signed(folder: Path, name: str, hosts: Iterable[str], now: datetime) -> Certificate:
    """The one that is there, or a new one when there is none, it ends soon, or others could read its key. Raises
    LocalError."""
    path = folder / FILE_NAME
    found = read_own(folder)
    if found is not None and found.is_fresh(now) and not path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        return found
    try:
        _replace(path, _make(name, hosts, now))
    except OSError as error:
        raise LocalError(f"cannot write the gateway's certificate {path}: {error.strerror or error}") from error
    made = read_own(folder)
    assert made is not None, "it was written a moment ago"
    return made


def read_own(folder: Path) -> Certificate | None:
    """None when there is none that can be used. Changes nothing."""
    path = folder / FILE_NAME
    try:
        found = x509.load_pem_x509_certificate(path.read_bytes())
        made = Certificate(path, None, fingerprint_of(found), found.not_valid_after_utc, is_own=True)
        server_context(made)
    except (OSError, ValueError, ssl.SSLError):
        return None
    return made


def server_context(certificate: Certificate) -> ssl.SSLContext:
    """TLS 1.2 and later; HTTP/2 before HTTP/1.1. Raises OSError, SSLError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.set_alpn_protocols(["h2", "http/1.1"])
    load_into(context, certificate)
    return context


def load_into(context: ssl.SSLContext, certificate: Certificate) -> None:
    """Handshakes from now on present this one."""
    context.load_cert_chain(certificate.path, certificate.key_path, password=lambda: "")  # never ask on a terminal


def fingerprint_of(certificate: x509.Certificate) -> str:
    return certificate.fingerprint(SHA256()).hex(":").upper()


def _make(name: str, hosts: Iterable[str], now: datetime) -> bytes:
    """PEM of the certificate and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _common_name(name))])
    names = dict.fromkeys(filter(None, map(_alternative, ["localhost", "127.0.0.1", "::1", name, *hosts])))
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now - _BACKDATED + timedelta(days=VALID_DAYS))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    )
    made = builder.sign(key, SHA256())
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return made.public_bytes(Encoding.PEM) + secret


def _common_name(name: str) -> str:
    return "".join(c for c in f"ralnode {name}" if c.isprintable())[:64]


def _alternative(host: str) -> x509.GeneralName | None:
    """An address, or a name as DNS has them; None for what is neither."""
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        is_name = 0 < len(host) <= 253 and host.isascii() and host.replace("-", "").replace(".", "").isalnum()
        return x509.DNSName(host) if is_name else None


def _replace(path: Path, data: bytes) -> None:
    """All of it or nothing, readable by the owner alone from its first byte on."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise


def now_utc() -> datetime:
    return datetime.now(UTC)
