"""Which cluster this node was told to belong to: a secret from a credential of systemd, a file, or the configuration.

The secret itself is kept by identity.py; what was not told is founded there anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ralnode.api import ConfigError, LocalError, UsageError
from ralnode.host.identity import SECRET_BYTES
from ralnode.host.joincode import JoinCode
from ralnode.host.node_options import NodeOptions

CREDENTIAL: Final = "cluster-key"
"""Name for `LoadCredential=` in the unit file."""

_FILE_BYTES_MAX: Final = 8192
"""A join code has at most 4,000 characters."""


def find_join_code(node: NodeOptions, environ: Mapping[str, str]) -> JoinCode | None:
    """From the credential, else `secret_file`, else `join_code`; None when nothing was said. Raises ConfigError."""
    directory = environ.get("CREDENTIALS_DIRECTORY", "")
    credential = Path(directory) / CREDENTIAL if directory else None
    if credential is not None and _is_there(credential):
        return _from_file(credential)
    if node.secret_file is not None:
        return _from_file(node.secret_file)
    return _decode(node.join_code, "[node] join_code") if node.join_code else None


def _is_there(credential: Path) -> bool:
    try:
        return credential.is_file()
    except OSError as error:
        raise ConfigError(
            f"cannot look for the credential {credential}: {error.strerror}. Nothing was changed. "
            "Mend the rights of that folder, or unset CREDENTIALS_DIRECTORY."
        ) from error


def _from_file(path: Path) -> JoinCode:
    """Either the 32 bytes of the secret, or a join code as text."""
    try:
        with path.open("rb") as file:
            data = file.read(_FILE_BYTES_MAX + 1)
    except OSError as error:
        raise LocalError(f"cannot read the cluster secret {path}: {error.strerror}. Nothing was started") from error
    if len(data) == SECRET_BYTES:
        return JoinCode(data)
    return _decode(data.decode("ascii", "replace"), str(path))


def _decode(text: str, where: str) -> JoinCode:
    try:
        return JoinCode.decode(text.strip())
    except UsageError as error:
        raise ConfigError(f"{where}: {error}") from error
