"""Numbers, times and names as the page writes them. Pure text; knows nothing of nodes or sources."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Final

_KEY_CHARS: Final = 12


def size(size_bytes: float) -> str:
    """Decimal units, as disks are sold."""
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size_bytes >= factor * 0.9995:
            value = size_bytes / factor
            return f"{value:.0f} {unit}" if value >= 99.95 else f"{value:.1f} {unit}"
    return f"{size_bytes:.0f} B"


def span(seconds: float) -> str:
    """How long, to the eye: `40 s`, `12 min`, `5 h`, `9 days`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 172_800 else f"{seconds / 86400:.0f} days"


def percent(part: float, whole: float) -> int:
    """0 to 100; 99 at most while something is missing, and 1 at least while there is something."""
    if whole <= 0 or part <= 0:
        return 0
    return 100 if part >= whole else min(99, max(1, round(100 * part / whole)))


def counted(count: int, one: str, many: str) -> str:
    return f"1 {one}" if count == 1 else f"{count:,} {many}"


def listed(names: list[str], shown: int = 3) -> str:
    """`attic`, `attic and cellar`, `attic, cellar, loft and 4 more`."""
    if len(names) > shown:
        return f"{', '.join(names[:shown])} and {len(names) - shown:,} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def clock(unix_ms: int) -> str:
    """Local time of this machine, to the second."""
    return _moment(unix_ms).strftime("%Y-%m-%d %H:%M:%S")


def day(unix_ms: int) -> str:
    return _moment(unix_ms).strftime("%Y-%m-%d")


def iso(unix_ms: int) -> str:
    return _moment(unix_ms).isoformat(timespec="seconds")


def _moment(unix_ms: int) -> datetime:
    try:
        return datetime.fromtimestamp(unix_ms / 1000, UTC).astimezone()
    except (OverflowError, OSError, ValueError):  # a peer's clock can say anything
        return datetime.fromtimestamp(0, UTC)


def key(text: str) -> str:
    """A short name for ids of elements and events of the stream; what peers choose never gets there."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_KEY_CHARS]
