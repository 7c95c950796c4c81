"""Sizes as people write them in a form."""

from __future__ import annotations

import re
from typing import Final

from ralnode.api import UsageError

_UNITS: Final = {
    "": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12, "pb": 10**15,
    "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40, "pib": 2**50,
}  # fmt: skip
_SIZE: Final = re.compile(r"([0-9]{1,18})(?:[.,]([0-9]{1,9}))?\s*([a-zA-Z]{0,3})")
_BYTES_MAX: Final = 2**60


def parse_size(text: str) -> int:
    """`500 GB`, `1.5TiB`, or bytes. Raises UsageError."""
    found = _SIZE.fullmatch(text.strip())
    unit = _UNITS.get(found[3].lower()) if found else None
    if found is None or unit is None:
        raise UsageError(f"{text[:40]!r} is no size; write it as 500 GB or 1.5 TiB. Nothing was changed")
    fraction = found[2] or ""
    size_bytes: int = int(found[1]) * unit + int(fraction or 0) * unit // 10 ** len(fraction)
    if size_bytes > _BYTES_MAX:
        raise UsageError(f"{text[:40]!r} is more than any disk has. Nothing was changed")
    return size_bytes


def size(size_bytes: float) -> str:
    """Decimal units, as disks are sold."""
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size_bytes >= factor:
            return f"{size_bytes / factor:.1f} {unit}"
    return f"{size_bytes:.0f} B"
