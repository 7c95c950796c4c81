"""`[discovery.static]`."""

from __future__ import annotations

from dataclasses import dataclass

from ralnode.api import Address, ConfigError


@dataclass(frozen=True, slots=True)
class StaticOptions:
    peers: tuple[str, ...] = ()
    """`host:port` or `[v6]:port` of other nodes' transport, beside `[node] known_peers`."""
    interval_seconds: float = 30.0
    """Between two reports of the whole list: a peer that was off may be on by now."""
    jitter_share: float = 0.2
    """The interval varies by this share either way, so that nodes started together do not dial together."""

    def __post_init__(self) -> None:
        if self.interval_seconds <= 0 or not 0 <= self.jitter_share < 1:
            raise ConfigError("[discovery.static] interval_seconds must be above 0 and jitter_share from 0 to below 1")
        self.addresses()

    def addresses(self) -> tuple[Address, ...]:
        """Raises ConfigError naming the entry that is no address."""
        return tuple(_parse(text) for text in self.peers)


def _parse(text: str) -> Address:
    try:
        return Address.parse(text)
    except ValueError as error:
        raise ConfigError(f"[discovery.static] peers: {error}; write it as 192.168.1.5:10090") from error
