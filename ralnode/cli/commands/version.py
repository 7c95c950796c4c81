"""`ralnode version`."""

from __future__ import annotations

import platform
import sqlite3
import ssl
import sys
from dataclasses import dataclass

import typer
from rich.text import Text

from ralnode import __version__
from ralnode.cli.output import show


@dataclass(frozen=True, slots=True)
class Versions:
    ralnode: str
    python: str
    sqlite: str
    openssl: str
    platform: str
    frozen: bool


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
        bool(getattr(sys, "frozen", False)),
    )


def _shown(found: Versions) -> Text:
    python = f"Python {found.python}{' (inside)' if found.frozen else ''}"
    return Text(f"ralnode {found.ralnode}\n{python}, SQLite {found.sqlite}, {found.openssl}\n{found.platform}")
