"""The discovery role: addresses where somebody may listen. A hint, never trusted. IO."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from ralnode.api.model import Address


class Hint(NamedTuple):
    """Somebody may listen here. Never trusted: only a TLS dial tells."""

    address: Address
    origin: str
    """Plugin name, for the status."""


class Discovery(Protocol):
    async def start(self, report: Callable[[Hint], None], transport_port: int) -> None:
        """Begins to look and to announce; `report` is called on the event loop, as often as it likes."""
        ...

    async def wait(self) -> None: ...

    async def stop(self) -> None: ...
