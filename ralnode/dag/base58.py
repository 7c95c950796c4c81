"""base58btc, for CIDv0 and peer ids. Quadratic in the length, so decoding is bounded."""

from __future__ import annotations

from typing import Final

_ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_VALUES: Final = {char: value for value, char in enumerate(_ALPHABET)}
TEXT_CHARS_MAX: Final = 256
"""A 128-byte digest with its prefix is 182 characters long."""


def encode(data: bytes) -> str:
    """Without a multibase prefix."""
    number, out = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        out = _ALPHABET[digit] + out
    zeros = len(data) - len(data.lstrip(b"\0"))
    return "1" * zeros + out


def decode(text: str) -> bytes:
    """Inverse of `encode`. Raises ValueError."""
    if len(text) > TEXT_CHARS_MAX:
        raise ValueError(f"more than {TEXT_CHARS_MAX} characters of base58")
    number = 0
    for char in text:
        if char not in _VALUES:
            raise ValueError(f"{char!r} is not a base58 digit")
        number = number * 58 + _VALUES[char]
    zeros = len(text) - len(text.lstrip("1"))
    return b"\0" * zeros + number.to_bytes((number.bit_length() + 7) // 8, "big")
