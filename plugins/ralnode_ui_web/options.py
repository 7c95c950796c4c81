"""`[ui.web]` in the configuration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class WebOptions:
    """Who may look, where the page listens, and its bounds. Passwords and tokens are set by command, not here."""

    listen_host: str = ""
    """Empty: this machine alone until a password exists, then the address of [node] listen_host."""
    hosts: tuple[str, ...] = ()
    """Host names, besides localhost, this machine's name and IP literals, under which the page may be asked for."""
    view_without_sign_in: Literal["until_password", "always", "never"] = "until_password"
    """until_password: whoever sits at this machine, while no password exists."""
    session_idle_seconds: float = 7200.0
    """Signed out after so long without a click."""
    session_seconds: float = 86400.0
    """Signed out after so long in any case."""
    tls_certificate: Path | None = None
    """PEM file with the chain; together with `tls_key` the page speaks HTTPS."""
    tls_key: Path | None = None
    viewers_max: int = 32
    """Browsers that follow the page live at one time."""
    sources_shown: int = 100
    """Sources on one page, the least healthy first."""

    def __post_init__(self) -> None:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key belong together; give both or neither")
        if min(self.session_idle_seconds, self.session_seconds) < 60:
            raise ValueError("sessions of less than a minute help nobody; give session_idle and session at least 1min")
        if self.viewers_max < 1 or self.sources_shown < 1:
            raise ValueError("viewers_max and sources_shown must be at least 1")
