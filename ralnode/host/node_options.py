"""What `[node]` and `[use]` may say, as the frozen dataclasses that options.py fills and checks."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from ralnode.api import Address
from ralnode.api.limits import COPIES_MAX, GIB, NAME_BYTES_MAX

TRANSPORT_PORT: Final = 10090
GOSSIP_PORT: Final = 9090
PAGE_PORT: Final = 9080
"""The proof of concept's ports."""


class KnownPeer(Address):
    """As an Address, but the port may be left out: then it is the usual one."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> KnownPeer:
        """From `host`, `host:port`, `v6` or `[v6]:port`. Raises ValueError."""
        if _is_ip(text.removeprefix("[").removesuffix("]")):
            return cls(text.removeprefix("[").removesuffix("]"), TRANSPORT_PORT)
        return cls(*Address.parse(text if ":" in text else f"{text}:{TRANSPORT_PORT}"))


@dataclass(frozen=True, slots=True)
class NodeOptions:
    """`[node]`. `config.load` fills in `name` and `data_dir`."""

    name: str = ""
    group: str = "ralnode"
    """Nodes find each other by mDNS only within a group; the secret decides who may join."""
    zone: str = ""
    """Copies are spread over zones, e.g. "cellar"."""
    data_dir: Path | None = None
    sources_dir: Path | None = None
    """Everything in it is seeded by reference, and watched."""
    listen_host: str = "0.0.0.0"
    announce: tuple[KnownPeer, ...] = ()
    """Addresses to tell the peers when they cannot see the right one (NAT)."""
    transport_port: int = TRANSPORT_PORT
    gossip_port: int = GOSSIP_PORT
    page_port: int = PAGE_PORT
    capacity_bytes: int | None = None
    """Left out: half of the free space at the first start, written down then."""
    disk_floor_bytes: int = GIB
    """Never fill the disk further than to this much free space."""
    known_peers: tuple[KnownPeer, ...] = ()
    join_code: str = ""
    secret_file: Path | None = None
    copies: int = 2
    """Of a source that does not say otherwise."""
    repair_grace_seconds: float = 600.0
    """A dead node's share moves on after this long while two live copies remain, …"""
    repair_grace_last_copy_seconds: float = 60.0
    """… and after this long when one is left."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    def __post_init__(self) -> None:
        for key in ("name", "group", "zone"):
            _check_word(key, getattr(self, key))
        for key in ("transport_port", "gossip_port", "page_port"):
            if not 0 <= getattr(self, key) < 65536:
                raise ValueError(f"{key} = {getattr(self, key)}: ports go from 0 (any free one) to 65535")
        if not 1 <= self.copies <= COPIES_MAX:
            raise ValueError(f"copies = {self.copies}: from 1 to {COPIES_MAX} copies can be kept")
        if not self.group:
            raise ValueError("group must not be empty")


@dataclass(frozen=True, slots=True)
class UseOptions:
    """`[use]`: names of providers. None leaves the choice to the defaults."""

    storage: str | None = None
    transport: str | None = None
    gossip: str | None = None
    planner: str | None = None
    discovery: tuple[str, ...] | None = None
    gateway: tuple[str, ...] | None = None
    ui: tuple[str, ...] | None = None

    def names(self, role: str) -> tuple[str, ...] | None:
        """What was chosen for a role, one name for an exclusive one; None when nothing was said."""
        value = getattr(self, role)
        return (value,) if isinstance(value, str) else value


def _check_word(key: str, value: str) -> None:
    """Names reach pages and terminals of other people, so no control characters; and they fit a record."""
    if len(value.encode()) > NAME_BYTES_MAX // 4 or not value.isprintable() or value != value.strip():
        raise ValueError(
            f"{key} = {value!r}: must be printable, at most {NAME_BYTES_MAX // 4} bytes, no blanks around it"
        )


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
