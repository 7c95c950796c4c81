"""What each control command may be told: frozen dataclasses that `ralnode.host.options` fills strictly."""

from __future__ import annotations

from dataclasses import dataclass, field

from ralnode.api import Address
from ralnode.api.limits import EVENT_LOG_MAX

AWAY_MINUTES_MAX = 7 * 24 * 60
"""A week; whoever is away for longer should be missed."""

LEFTOVERS_MINUTES_MIN = 10
"""A pin that failed is tried again after five."""


@dataclass(frozen=True, slots=True)
class Nothing:
    """No parameters."""


@dataclass(frozen=True, slots=True)
class SourceParams:
    source: str
    """Name or CID."""


@dataclass(frozen=True, slots=True)
class CapacityParams:
    capacity_bytes: int | None = None
    """Left out: only show."""


@dataclass(frozen=True, slots=True)
class StopParams:
    away_minutes: float | None = None

    def __post_init__(self) -> None:
        if self.away_minutes is not None and not 0 < self.away_minutes <= AWAY_MINUTES_MAX:
            raise ValueError(f"away_minutes = {self.away_minutes}: must be more than 0 and at most {AWAY_MINUTES_MAX}")


@dataclass(frozen=True, slots=True)
class WhyParams:
    source: str
    index: int


@dataclass(frozen=True, slots=True)
class VerifyParams:
    action: str = "start"
    """start, progress, pause, resume or stop."""
    bytes_per_second: int | None = None
    """A limit on reading; left out: as fast as the disk."""

    def __post_init__(self) -> None:
        if self.action not in ("start", "progress", "pause", "resume", "stop"):
            raise ValueError(f"action = {self.action!r}: must be start, progress, pause, resume or stop")
        if self.bytes_per_second is not None and self.bytes_per_second < 1:
            raise ValueError(f"bytes_per_second = {self.bytes_per_second}: must be at least 1")


@dataclass(frozen=True, slots=True)
class LeftoversParams:
    action: str = "look"
    """count, delete (both go on in the background) or look."""
    before_unix_ms: int = 0
    """For `delete`: of adds and pulls that nobody has gone on with since then, at least LEFTOVERS_MINUTES_MIN ago."""
    everything: bool = False
    """For `delete`: also blocks that no note tells of."""

    def __post_init__(self) -> None:
        if self.action not in ("count", "delete", "look"):
            raise ValueError(f"action = {self.action!r}: must be count, delete or look")


@dataclass(frozen=True, slots=True)
class HintParams:
    addresses: tuple[Address, ...]
    """`host:port` of the transport of a peer."""

    def __post_init__(self) -> None:
        if not 0 < len(self.addresses) <= 64:
            raise ValueError(f"{len(self.addresses)} addresses: name 1 to 64")


@dataclass(frozen=True, slots=True)
class EventsParams:
    limit: int = EVENT_LOG_MAX
    """The newest so many."""

    def __post_init__(self) -> None:
        if self.limit < 1:
            raise ValueError(f"limit = {self.limit}: must be at least 1")


@dataclass(frozen=True, slots=True)
class DrainParams:
    draining: bool | None = None
    """Left out: only show how far it is."""


@dataclass(frozen=True, slots=True)
class ForeseeParams:
    """The change that is asked about, with the parameters that it would have."""

    action: str
    """remove, capacity, drain, undrain or stop."""
    source: str = ""
    capacity_bytes: int | None = None
    away_minutes: float | None = None

    def __post_init__(self) -> None:
        if self.action not in ("remove", "capacity", "drain", "undrain", "stop"):
            raise ValueError(f"action = {self.action!r}: must be remove, capacity, drain, undrain or stop")


@dataclass(frozen=True, slots=True)
class PageParams:
    """What to tell the status page about who may sign in; which parameters count is the page's business."""

    action: str
    """show, link, password, remove_password, add_token or remove_token."""
    role: str = "admin"
    password: str = field(default="", repr=False)
    name: str = ""
    scopes: tuple[str, ...] = ("view",)
    days: int = 90
