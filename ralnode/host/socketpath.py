"""Where the control socket lies: the node and the command line must agree without talking."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ralnode.api.errors import ConfigError

FILE_NAME: Final = "ralnode.sock"
VARIABLE: Final = "RALNODE_SOCKET"
SYSTEM_SOCKET: Final = Path("/run/ralnode") / FILE_NAME
"""Where the service of systemd has it (`RuntimeDirectory=ralnode`)."""

PATH_BYTES_MAX: Final = 107
"""sun_path of unix(7) has 108 bytes, the last a NUL."""


def node_socket(explicit: Path | None, environ: Mapping[str, str], data_dir: Path) -> Path:
    """What a node binds: `--socket`, else RALNODE_SOCKET, else systemd's RuntimeDirectory, else the data folder.
    Raises ConfigError when the path is longer than the system allows."""
    if explicit:
        return checked(explicit)
    if environ.get(VARIABLE):
        return checked(Path(environ[VARIABLE]))
    runtime = environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
    return checked((Path(runtime) if runtime else data_dir) / FILE_NAME)


def client_sockets(explicit: Path | None, environ: Mapping[str, str], data_dir: Path) -> list[Path]:
    """Where a command looks for the node, in this order; only one place when the user named it."""
    if explicit or environ.get(VARIABLE):
        return [node_socket(explicit, environ, data_dir)]
    return [checked(data_dir / FILE_NAME), SYSTEM_SOCKET]


def checked(path: Path) -> Path:
    if len(str(path).encode()) > PATH_BYTES_MAX:
        raise ConfigError(
            f"the path of the control socket is too long ({len(str(path).encode())} of {PATH_BYTES_MAX} bytes): {path}. "
            f"Choose a shorter one with --socket PATH or {VARIABLE}"
        )
    return path
