"""The join code: what a second machine needs to become a member, as one word that survives copying by mail or by hand.

`ral1` + base32 (RFC 4648 letters, so no 0/O or 1/l) of secret ‖ addresses ‖ checksum. One word without punctuation, so
that a double click selects all of it. Anybody who has it is a member: treat it as a password.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import ipaddress
from dataclasses import dataclass, field
from typing import Final

from ralnode.api.errors import UsageError
from ralnode.api.model import Address

_PREFIX: Final = "ral"
_VERSION: Final = "1"
_SECRET_BYTES: Final = 32
_CHECKSUM_BYTES: Final = 4
"""A mistyped code passes by chance once in 4 thousand million."""

_ADDRESSES_MAX: Final = 8
_TEXT_MAX: Final = 4000
"""8 host names of 253 bytes need 3,500 characters."""

_IPV4, _IPV6, _NAME = 4, 6, 0


@dataclass(frozen=True, slots=True)
class JoinCode:
    """`addresses` are where the transport of members listens; none is fine on a LAN with discovery."""

    secret: bytes = field(repr=False)
    addresses: tuple[Address, ...] = ()

    def encode(self) -> str:
        """Raises UsageError when there is too much to put into it."""
        if len(self.secret) != _SECRET_BYTES:
            raise UsageError(f"cannot make a join code: the secret has {len(self.secret)} bytes, not {_SECRET_BYTES}")
        if len(self.addresses) > _ADDRESSES_MAX:
            raise UsageError(f"cannot make a join code with {len(self.addresses)} addresses; {_ADDRESSES_MAX} at most")
        payload = self.secret + b"".join(map(_pack_address, self.addresses))
        text = base64.b32encode(payload + _checksum(payload)).decode().rstrip("=").lower()
        return _PREFIX + _VERSION + text

    @classmethod
    def decode(cls, text: str) -> JoinCode:
        """Accepts capitals, spaces, line breaks and hyphens. Raises UsageError on anything that is not a whole code."""
        raw = _decode_text(text)
        payload, checksum = raw[:-_CHECKSUM_BYTES], raw[-_CHECKSUM_BYTES:]
        if len(payload) < _SECRET_BYTES or _checksum(payload) != checksum:
            raise _wrong("it is mistyped or cut off (its checksum does not fit)")
        try:
            return cls(payload[:_SECRET_BYTES], _unpack_addresses(payload[_SECRET_BYTES:]))
        except (ValueError, IndexError):
            raise _wrong("its addresses cannot be read; it was made by a program that is not ralnode") from None


def _decode_text(text: str) -> bytes:
    if len(text) > _TEXT_MAX:
        raise _wrong(f"it is {len(text)} characters long")
    word = "".join(text.split()).replace("-", "").lower()
    if not word.startswith(_PREFIX):
        raise _wrong(f"a code begins with {_PREFIX}{_VERSION}")
    if not word.startswith(_PREFIX + _VERSION):
        raise _wrong("it is of another version; upgrade ralnode on the older machine")
    body = word.removeprefix(_PREFIX + _VERSION).upper()
    try:
        return base64.b32decode(body + "=" * (-len(body) % 8))
    except (binascii.Error, ValueError):
        raise _wrong(
            "it has a wrong character or length (letters a to z and digits 2 to 7 follow the prefix)"
        ) from None


def _wrong(reason: str) -> UsageError:
    return UsageError(
        f"this is not a usable join code: {reason}. Nothing was changed. Copy the whole code that `ralnode invite` prints."
    )


def _checksum(payload: bytes) -> bytes:
    return hashlib.sha256(b"ralnode join code " + _VERSION.encode() + payload).digest()[:_CHECKSUM_BYTES]


def _pack_address(address: Address) -> bytes:
    """Kind, length (names only), host, port."""
    port = address.port.to_bytes(2, "big")
    try:
        ip = ipaddress.ip_address(address.host)
    except ValueError:
        name = _pack_name(address.host)
        return bytes([_NAME, len(name)]) + name + port
    return bytes([_IPV4 if ip.version == 4 else _IPV6]) + ip.packed + port


def _pack_name(host: str) -> bytes:
    try:
        name = host.encode("idna")
    except UnicodeError:
        name = b""
    if not 0 < len(name) <= 253:
        raise UsageError(f"cannot put the host name {host!r} into a join code")
    return name


def _unpack_addresses(data: bytes) -> tuple[Address, ...]:
    found: list[Address] = []
    at = 0
    while at < len(data):
        kind, at = data[at], at + 1
        if kind == _NAME:
            size, at = data[at], at + 1
        else:
            size = {_IPV4: 4, _IPV6: 16}.get(kind, 0)
        host, port, at = data[at : at + size], data[at + size : at + size + 2], at + size + 2
        if at > len(data) or not size or len(found) == _ADDRESSES_MAX:
            raise ValueError("malformed address")
        text = host.decode("ascii") if kind == _NAME else str(ipaddress.ip_address(host))
        found.append(Address(text, int.from_bytes(port, "big")))
    return tuple(found)
