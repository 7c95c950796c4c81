"""How often something may be tried: a sliding minute per address and for all together. Bounded; time is an argument."""

from __future__ import annotations

import ipaddress
from collections import deque
from typing import Final

_MINUTE: Final = 60.0
_ADDRESSES_MAX: Final = 4096
"""Remembered at once. When there are more, only the bound for all together counts for new ones."""


class Limiter:
    def __init__(self, per_address: int, for_all: int) -> None:
        self._per_address = per_address
        self._for_all = for_all
        self._tries: dict[str, deque[float]] = {}
        self._all: deque[float] = deque()

    def wait_seconds(self, address: str, now: float) -> float:
        """0: it may be tried, and counts. Else how long to wait; that does not count."""
        group = group_of(address)
        self._forget(now)
        mine = self._tries.get(group, deque())
        for tries, most in ((mine, self._per_address), (self._all, self._for_all)):
            if len(tries) >= most:
                return max(0.001, tries[0] + _MINUTE - now)
        self._all.append(now)
        if group in self._tries or len(self._tries) < _ADDRESSES_MAX:
            self._tries.setdefault(group, deque()).append(now)
        return 0.0

    def _forget(self, now: float) -> None:
        for tries in (self._all, *self._tries.values()):
            while tries and tries[0] <= now - _MINUTE:
                tries.popleft()
        for group in [group for group, tries in self._tries.items() if not tries]:
            del self._tries[group]


def group_of(address: str) -> str:
    """An IPv6 host has 2^64 addresses of its own: its network counts."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv6Address):
        mapped = ip.ipv4_mapped
        return str(mapped) if mapped else str(ipaddress.ip_network((ip, 64), strict=False))
    return str(ip)
