"""Passphrases from a file or from a person at a terminal; never from the command line or the environment, which others see."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import Final

from ralnode.api import LocalError, UsageError

_FILE_BYTES_MAX: Final = 4096


def read_passphrase(path: Path | None, *, ask: bool, twice: bool) -> str:
    """Empty when none is wanted. Raises UsageError when there is nobody to ask, or nothing was said."""
    if path is not None:
        return _from_file(path)
    if not ask:
        return ""
    if not sys.stdin.isatty():
        raise UsageError("there is no terminal to ask for the passphrase; put it into a file: --passphrase-file FILE")
    found = getpass.getpass("Passphrase: ", sys.stderr)
    if twice and getpass.getpass("Once more: ", sys.stderr) != found:
        raise UsageError("the two passphrases differ. Nothing was done")
    if not found:
        raise UsageError("the passphrase is empty. Nothing was done")
    return found


def _from_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            line = file.readline(_FILE_BYTES_MAX).decode().strip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise LocalError(f"cannot read the passphrase from {path}: {error}. Nothing was done") from error
    if not line:
        raise UsageError(f"the first line of {path} is empty; it should be the passphrase. Nothing was done")
    return line
