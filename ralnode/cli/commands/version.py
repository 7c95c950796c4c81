"""`ralnode version`."""

from __future__ import annotations

import platform
import sqlite3
import ssl
from dataclasses import dataclass

import typer
from rich.text import Text

from ralnode import __version__
from ralnode.cli.output import show
from ralnode.cli.versions import glibc, headline, is_frozen


@dataclass(frozen=True, slots=True)
class Versions:
    ralnode: str
    python: str
    sqlite: str
    openssl: str
    platform: str
    frozen: bool
    glibc: str
    """In the executable: the oldest that it runs with."""


def command(ctx: typer.Context) -> None:
    """Print the versions of ralnode and of what it stands on.

    \b
    Example:
      ralnode version --json
    """
    show(ctx, versions(), _shown)


def versions() -> Versions:
    return Versions(
        __version__,
        platform.python_version(),
        sqlite3.sqlite_version,
        ssl.OPENSSL_VERSION,
        platform.platform(),
        is_frozen(),
        glibc(),
    )


def _shown(found: Versions) -> Text:
    return Text(f"{headline()}, {found.openssl}\n{found.platform}")
