"""Sizes and durations as people write them: `500 GB`, `1.5 TiB`, `10min`, `1h 30min`. Nothing else lives here."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

_BYTES: Final = {
    "b": 1,
    **{unit + "b": 1000**power for power, unit in enumerate("kmgtp", 1)},
    **{unit + "ib": 1024**power for power, unit in enumerate("kmgtp", 1)},
}
_SECONDS: Final = {
    "ms": Decimal("0.001"),
    "s": Decimal(1),
    "min": Decimal(60),
    "h": Decimal(3600),
    "d": Decimal(86400),
}
_PART: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*", re.ASCII)
_TEXT_MAX: Final = 40
"""Longer than any quantity; keeps a hostile text from costing time."""


def parse_size(text: str) -> int:
    """Bytes. GB is 10^9 and GiB 2^30, in any case of letters. Raises ValueError."""
    found = _PART.fullmatch(text[:_TEXT_MAX])
    unit = _BYTES.get(found[2].lower()) if found else None
    if found is None or unit is None:
        raise ValueError(f"{text!r} is not a size such as '500 GB' or '1.5 TiB'")
    return int(Decimal(found[1]) * unit)


def parse_duration(text: str) -> float:
    """Seconds, from one or several parts with units ms, s, min, h, d. Raises ValueError."""
    total, at, text = Decimal(0), 0, text[:_TEXT_MAX]
    while at < len(text) or not text:
        found = _PART.match(text, at)
        unit = _SECONDS.get(found[2].lower()) if found else None
        if found is None or unit is None:
            raise ValueError(f"{text!r} is not a duration such as '90s', '10min' or '1h 30min'")
        total, at = total + Decimal(found[1]) * unit, found.end()
    return float(total)
