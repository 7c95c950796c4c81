"""Versions, and the plugins that would be used."""

from __future__ import annotations

import platform
import sqlite3
from collections.abc import Iterator
from typing import Final, TypeAlias

from ralnode import __version__
from ralnode.cli.commands.plugins import local_plugins
from ralnode.cli.doctor.finding import Finding, Patient, bad, ok, warning
from ralnode.host.rolenames import EXCLUSIVE, WITHOUT

Version: TypeAlias = tuple[int, ...]

WAL_RESET_BUG: Final[tuple[tuple[Version, Version], ...]] = (
    ((3, 7, 0), (3, 44, 6)),
    ((3, 45, 0), (3, 50, 7)),
    ((3, 51, 0), (3, 51, 3)),
)
"""Versions of SQLite, from (with) to (without), that can lose commits when two connections write or checkpoint at the same
instant; fixed in 3.51.3 and, on their branches, in 3.50.7 and 3.44.6."""


def look(patient: Patient) -> Iterator[Finding]:
    yield ok("ralnode", f"{__version__} on Python {platform.python_version()}, {platform.platform()}")
    yield sqlite(sqlite3.sqlite_version)
    yield from _plugins(patient)


def sqlite(version: str) -> Finding:
    """Not bad in itself: our store has exactly one connection that writes and checkpoints."""
    if not has_wal_reset_bug(version):
        return ok("SQLite", version)
    return warning(
        "SQLite",
        f"{version} has the WAL-reset bug (two connections that write at the same instant can lose a commit)",
        "ralnode is not touched by it, since one connection alone writes; let no other program write to its index.db",
    )


def has_wal_reset_bug(version: str) -> bool:
    numbers = tuple(int(part) for part in version.split(".")[:3])
    return any(first <= numbers < fixed for first, fixed in WAL_RESET_BUG)


def _plugins(patient: Patient) -> Iterator[Finding]:
    found = local_plugins(patient.config)
    for refused in found.refused:
        make = bad if refused.name == "[use]" else warning
        remedy = "choose in [use]" if refused.name == "[use]" else "mend it, or take it away"
        yield make("plugins", f"{refused.name} ({refused.origin}) was refused: {refused.reason}", remedy)
    for role in EXCLUSIVE:
        offered = [line for line in found.plugins if line.role == role]
        active = [line for line in offered if line.active]
        if not offered:
            yield bad(
                "plugins",
                f"nobody provides a {role}: {WITHOUT[role]}",
                "install ralnode again, or see: ralnode plugins",
            )
        elif active:
            yield ok("plugins", f"{role}: {', '.join(active[0].providers)} ({active[0].origin})")
