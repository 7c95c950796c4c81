"""What the command line and the node must agree upon to lend each other open files (see control/lending.py)."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ralnode.host.socketpath import PATH_BYTES_MAX

SUFFIX: Final = ".files"
TICKET_BYTES: Final = 16
TAKEN: Final = b"\x01"
REFUSED: Final = b"\x00"


def lending_path(control_socket: Path) -> Path | None:
    """The socket for it; None when there can be none, since its path would be too long."""
    path = control_socket.with_name(control_socket.name + SUFFIX)
    return path if len(str(path).encode()) <= PATH_BYTES_MAX else None
