"""The page's small file with who may sign in: only hashes, readable by its owner alone, replaced whole. IO; no rules."""

from __future__ import annotations

import json
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from ralnode.api import ConfigError, LocalError

NAME: Final = "page.json"
_BYTES_MAX: Final = 256 * 1024


def read(path: Path) -> dict[str, Any]:
    """Empty when there is no file. Raises ConfigError when others may read it or it makes no sense, LocalError."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(_BYTES_MAX + 1)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise LocalError(f"cannot read {path}: {error.strerror}. Nothing was changed") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(
            f"cannot use {path}: other users may access it (mode {stat.S_IMODE(mode):04o}). Nothing was changed. "
            f"Run: chmod 600 {path}"
        )
    try:
        table = json.loads(data) if len(data) <= _BYTES_MAX else None
    except (ValueError, RecursionError):
        table = None
    if not isinstance(table, dict):
        raise ConfigError(
            f"cannot read {path}: it is damaged. Nothing was changed. Move it away, and set the password again "
            "(ralnode password)"
        )
    return table


def write(path: Path, table: dict[str, Any]) -> None:
    """Durable on return, the old file or the new one at any instant. Raises LocalError."""
    temporary = ""
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=".page-", dir=path.parent)  # mkstemp makes it 0600
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(table, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        with suppress(OSError):
            Path(temporary).unlink()
        raise LocalError(f"cannot write {path}: {error.strerror}. What was there is unchanged") from error
