"""Passwords and secrets as hashes: scrypt for what people choose, SHA-256 for what was made at random. No IO."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import unicodedata
from collections.abc import Mapping
from typing import Any, Final

_N, _R, _P = 1 << 14, 8, 5
"""16 MiB and a third of a second; OWASP's equal of N = 2^17, p = 1, for machines with little memory."""

_MEMORY_BYTES_MAX: Final = 64 * 1024 * 1024
_N_MAX, _R_MAX, _P_MAX = 1 << 18, 16, 16
"""More than that in the file is no work of ours."""

_SECRET_BYTES: Final = 32


def password_hash(password: str) -> dict[str, Any]:
    """Takes a third of a second; call it in a thread."""
    salt = secrets.token_bytes(16)
    return {"n": _N, "r": _R, "p": _P, "salt": salt.hex(), "hash": _scrypt(password, salt, _N, _R, _P).hex()}


def is_password(password: str, known: Mapping[str, Any]) -> bool:
    """Takes a third of a second; call it in a thread. Raises ValueError for a record that makes no sense."""
    n, r, p = (int(known[key]) for key in "nrp")
    if not (1 < n <= _N_MAX and 0 < r <= _R_MAX and 0 < p <= _P_MAX):
        raise ValueError(f"scrypt with n = {n}, r = {r}, p = {p}")
    found = _scrypt(password, bytes.fromhex(known["salt"]), n, r, p)
    return hmac.compare_digest(found, bytes.fromhex(known["hash"]))


NOBODY: Final = {"n": _N, "r": _R, "p": _P, "salt": "00" * 16, "hash": "00" * 32}
"""Checked where there is no password, so that its absence does not show in the time that an answer takes."""


def new_secret(prefix: str = "") -> str:
    """256 bits at random, fit for an address or a header."""
    return prefix + secrets.token_urlsafe(_SECRET_BYTES)


def digest(secret: str) -> str:
    """How a random secret is stored."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def keyed(key: bytes, text: str) -> str:
    """A token that only the holder of the key can make for this text."""
    return hmac.new(key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def same(one: str, other: str) -> bool:
    """Compares in constant time; any text."""
    return hmac.compare_digest(one.encode("utf-8", "surrogatepass"), other.encode("utf-8", "surrogatepass"))


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    text = unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")
    return hashlib.scrypt(text, salt=salt, n=n, r=r, p=p, maxmem=_MEMORY_BYTES_MAX * 8, dklen=32)
