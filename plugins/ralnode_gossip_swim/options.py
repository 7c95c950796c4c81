"""What can be set (`[gossip.swim]`), and the bounds that cannot.

The defaults are the LAN profile of hashicorp/memberlist (config.go) and Lifeguard (arXiv 1707.00788). Tests and the demo
shorten the times; all nodes of a cluster should use the same ones.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

from ralnode.api import ConfigError
from ralnode.api.limits import AUTHORS_MAX, MIB, SYNC_BYTES_MAX

MEMBERS_MAX: Final = AUTHORS_MAX
"""Nodes in the table, dead ones included. A hostile member could invent more."""

NAME_BYTES_MAX: Final = 64
"""Of a node's name in its signed record: eight records must fit into one packet."""

HOST_BYTES_MAX: Final = 64
"""An IPv6 literal with scope is 46 at most."""

RUMOURS_PER_PACKET_MAX: Final = 64
"""The smallest rumour is 13 bytes, so a full packet could hold 87; a flood of them must not cost a receiver more."""

EXCHANGE_BYTES_MAX: Final = SYNC_BYTES_MAX // 4
EXCHANGE_DEPTH_MAX: Final = 6
WHOLE_TABLE_MEMBERS: Final = 32
"""Up to here every exchange carries the whole table (8 kB). Above, a table goes to peers whose fingerprint differs only:
at 1,000 nodes it has 0.2 MB."""

VERIFIES_PER_EXCHANGE_MAX: Final = 256
"""An Ed25519 check is 0.12 ms: at most 32 ms of the event loop per exchange. The rest comes with the next one."""

RELAYS_MAX: Final = 256
"""Indirect probes that this node carries for others at once."""

SESSIONS_MAX: Final = 2 * AUTHORS_MAX
"""Keys and replay windows, one per sender. Only members of the cluster can make one."""

HOSTS_MAX: Final = 4096
"""Source hosts with a token bucket; the oldest is forgotten first, which only fills its bucket again."""

COUNT_PER_SESSION_MAX: Final = 2**32 - 1
"""Packets under one key; then the boot number is raised (49 days at 1,000 packets a second)."""

assert EXCHANGE_BYTES_MAX >= 4 * MIB, "10,000 members of 300 B must fit"


@dataclass(frozen=True, slots=True)
class SwimOptions:
    """Times in seconds, rates per second."""

    probe_interval_seconds: float = 1.0
    probe_timeout_seconds: float = 0.5
    """A ping not answered for that long is tried through others."""
    indirect_checks: int = 3
    nack_share: float = 0.8
    """A helper says "not yet" after this share of the probe timeout, so that it arrives before the interval ends."""
    suspicion_multiplier: int = 4
    """Minimum suspicion = this × max(1, log10 N) × probe interval; two fewer confirmations bring it down to that."""
    suspicion_max_factor: int = 6
    awareness_max: int = 8
    """Local health stretches probe interval and timeout up to this factor."""
    retransmit_multiplier: int = 4
    """Each rumour goes out this × ceil(log10(N + 1)) times."""
    gossip_interval_seconds: float = 0.2
    gossip_nodes: int = 3
    dead_kept_seconds: float = 24 * 3600.0
    """How long a dead or departed node is remembered, so that a long partition heals."""
    late_tick_seconds: float = 0.25
    """A tick later than this means that this machine is slow: its deadlines move on and its local health worsens."""
    renew_pause_seconds: float = 30.0
    """Between two changes of the boot number because somebody else uses this node's key."""
    packets_per_second_per_host: float = 500.0
    packets_burst_per_host: float = 1000.0
    strangers_per_second: float = 500.0
    """Packets of senders or boots not seen before, all hosts together: each costs a key derivation before it can be refused."""

    def __post_init__(self) -> None:
        for field in fields(self):
            if getattr(self, field.name) <= 0:
                raise ConfigError(f"[gossip.swim] {field.name} must be above 0, not {getattr(self, field.name)}")
        if self.probe_timeout_seconds >= self.probe_interval_seconds:
            raise ConfigError("[gossip.swim] probe_timeout_seconds must be below probe_interval_seconds")
        if self.nack_share >= 1:
            raise ConfigError("[gossip.swim] nack_share must be below 1")
