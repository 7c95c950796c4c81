"""`[ui.web]` in the configuration."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WebOptions:
    """The page is read-only and answers only this machine; a password and the LAN come with a later release."""

    listen_host: str = "127.0.0.1"
    """A loopback address; anything else is refused while there is no password."""
    hosts: tuple[str, ...] = ()
    """Host names, besides localhost and IP literals, under which the page may be asked for (a proxy's name)."""
    viewers_max: int = 32
    """Browsers that follow the page live at one time."""
    sources_shown: int = 200
    """Sources on one page, the least healthy first."""
