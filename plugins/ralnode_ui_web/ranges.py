"""`Range`, `If-Range` and `If-None-Match` of a download (RFC 9110). Pure."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_ONE: Final = re.compile(r"bytes=\s*([0-9]{0,19})-([0-9]{0,19})\s*")


class Part(NamedTuple):
    """Bytes `start` to `stop`, the latter left out."""

    start: int
    stop: int


class UnsatisfiableError(Exception):
    """No byte of the content is in the range."""


def part_of(header: str | None, if_range: str | None, etag: str, size_bytes: int) -> Part | None:
    """None: all of it. What cannot be understood, and several ranges in one, are answered with all of it, as the RFC allows.
    Raises UnsatisfiableError."""
    if header is None or (if_range is not None and if_range.strip() != etag):
        return None
    found = _ONE.fullmatch(header)
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:
        wanted = int(found[2])
        if not wanted or not size_bytes:
            raise UnsatisfiableError
        return Part(max(0, size_bytes - wanted), size_bytes)
    start = int(found[1])
    if found[2] and int(found[2]) < start:
        return None
    if start >= size_bytes:
        raise UnsatisfiableError
    return Part(start, min(size_bytes, int(found[2]) + 1) if found[2] else size_bytes)


def is_known(if_none_match: str | None, etag: str) -> bool:
    """Whether whoever asks has it already."""
    if if_none_match is None:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return "*" in tags or etag in tags
