"""Strict readers for the elements of decoded arrays: each returns the value or raises ValueError naming the field."""

from __future__ import annotations

import unicodedata
from typing import Any, Final

INT_MAX: Final = (1 << 63) - 1
"""Largest count, size or number that any record carries; leaves room for sums in 64 bits."""

_BIDI: Final = frozenset("\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Line separators and direction overrides: they would let a name disguise itself on a terminal or page."""


def integer(value: Any, what: str, high: int = INT_MAX, low: int = 0) -> int:
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"{what} is not a number from {low} to {high}")
    return value


def boolean(value: Any, what: str) -> bool:
    if type(value) is not bool:
        raise ValueError(f"{what} is neither true nor false")
    return value


def binary(value: Any, what: str, high: int, low: int = 0) -> bytes:
    if type(value) is not bytes or not low <= len(value) <= high:
        raise ValueError(f"{what} is not {low} to {high} bytes")
    return value


def text(value: Any, what: str, high: int) -> str:
    """At most `high` bytes of UTF-8 without control characters."""
    if type(value) is not str or len(value.encode("utf-8", "surrogatepass")) > high:
        raise ValueError(f"{what} is not text of at most {high} bytes")
    if not value.isascii() or not value.isprintable():
        check_characters(value, what)
    return value


def check_characters(value: str, what: str) -> None:
    """Raises ValueError on control characters, line separators, direction overrides and lone surrogates."""
    for character in value:
        if character in _BIDI or unicodedata.category(character) in ("Cc", "Cs"):
            raise ValueError(f"{what} has the character U+{ord(character):04X}, which is not allowed")


def array(value: Any, what: str, low: int = 0, high: int = INT_MAX) -> list[Any]:
    if type(value) is not list or not low <= len(value) <= high:
        raise ValueError(f"{what} is not a list of at least {low} elements")
    return value
