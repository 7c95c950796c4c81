"""`[discovery.mdns]`, and the bounds against a hostile LAN, where anybody can announce anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ralnode.api import ConfigError

SERVICES_MAX: Final = 1000
"""Services of our group that are remembered; the oldest goes first."""

LOOKUPS_MAX: Final = 16
"""Look-ups of incomplete announcements at once; further ones wait for the next announcement."""

ADDRESSES_MAX: Final = 8
"""Hints from one announcement."""


@dataclass(frozen=True, slots=True)
class MdnsOptions:
    announce_seconds: float = 10.0
    """python-zeroconf asks only in its first 14 s: a node whose link was down then is found by what others repeat."""
    lookup_seconds: float = 3.0
    """To ask for the rest of an announcement that came in part."""

    def __post_init__(self) -> None:
        if self.announce_seconds <= 0 or self.lookup_seconds <= 0:
            raise ConfigError("[discovery.mdns] announce_seconds and lookup_seconds must be above 0")
