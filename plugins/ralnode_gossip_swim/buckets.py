"""Token buckets: how many packets a source may cost us before anything expensive is done with them."""

from __future__ import annotations

from ralnode_gossip_swim.options import HOSTS_MAX


class Buckets:
    """One bucket per host name, each filled with `per_second` tokens a second up to `burst`."""

    __slots__ = ("_burst", "_hosts", "_per_second")

    def __init__(self, per_second: float, burst: float) -> None:
        self._per_second = per_second
        self._burst = burst
        self._hosts: dict[str, tuple[float, float]] = {}

    def take(self, host: str, now_seconds: float) -> bool:
        """Whether that host had a token left; it has one fewer now."""
        known = self._hosts.get(host)
        if known is None:
            self._make_room()
            tokens = self._burst
        else:
            tokens = min(self._burst, known[0] + (now_seconds - known[1]) * self._per_second)
        allowed = tokens >= 1
        self._hosts[host] = (tokens - 1 if allowed else tokens, now_seconds)
        return allowed

    def _make_room(self) -> None:
        if len(self._hosts) >= HOSTS_MAX:
            del self._hosts[next(iter(self._hosts))]
