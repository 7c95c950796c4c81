"""Encryption of a backup with a passphrase: scrypt (RFC 7914) makes the key, ChaCha20-Poly1305 (RFC 8439) seals. No IO.

A magic line, a line of JSON with the parameters (authenticated too), the ciphertext.
"""

from __future__ import annotations

import json
import os
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from ralnode.api import UsageError

MAGIC: Final = b"ralnode backup, sealed 1\n"
_LOG_N: Final = 16
"""64 MiB and a quarter of a second: what a small machine still has, and what a guess then costs."""

_LOG_N_MAX: Final = 20
_R, _P = 8, 1
_HEADER_BYTES_MAX: Final = 1024


def is_sealed(data: bytes) -> bool:
    return data.startswith(MAGIC)


def seal(data: bytes, passphrase: str) -> bytes:
    """Raises UsageError for an empty passphrase."""
    if not passphrase:
        raise UsageError("the passphrase is empty. Nothing was written")
    salt, nonce = os.urandom(16), os.urandom(12)
    table = {"kdf": "scrypt", "log_n": _LOG_N, "salt": salt.hex(), "cipher": "chacha20-poly1305", "nonce": nonce.hex()}
    header = json.dumps(table).encode() + b"\n"
    return MAGIC + header + ChaCha20Poly1305(_key(passphrase, salt, _LOG_N)).encrypt(nonce, data, MAGIC + header)


def unseal(sealed: bytes, passphrase: str) -> bytes:
    """Raises UsageError when the passphrase is wrong or the file damaged: nobody can tell which."""
    end = sealed.find(b"\n", len(MAGIC), len(MAGIC) + _HEADER_BYTES_MAX) + 1
    header = sealed[:end]
    try:
        table = json.loads(header[len(MAGIC) :])
        salt, nonce, log_n = _parameters(table)
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"this sealed backup is damaged, or made by a newer ralnode: {error}") from error
    try:
        return ChaCha20Poly1305(_key(passphrase, salt, log_n)).decrypt(nonce, sealed[end:], header)
    except InvalidTag:
        raise UsageError("the passphrase is wrong, or the backup is damaged. Nothing was changed") from None


def _parameters(table: Any) -> tuple[bytes, bytes, int]:
    salt, nonce, log_n = bytes.fromhex(table["salt"]), bytes.fromhex(table["nonce"]), table["log_n"]
    if (table["kdf"], table["cipher"]) != ("scrypt", "chacha20-poly1305"):
        raise ValueError("another way of sealing")
    if not isinstance(log_n, int) or not 10 <= log_n <= _LOG_N_MAX or len(nonce) != 12 or not 8 <= len(salt) <= 64:
        raise ValueError("parameters out of bounds")
    return salt, nonce, log_n


def _key(passphrase: str, salt: bytes, log_n: int) -> bytes:
    return Scrypt(salt, 32, 1 << log_n, _R, _P).derive(passphrase.encode())
