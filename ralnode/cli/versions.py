"""The versions of ralnode and of what it stands on, cheaply: `ralnode --version` imports nothing else of ours."""

from __future__ import annotations

import os
import platform
import sqlite3
import sys
from pathlib import Path

from ralnode import __version__


def is_frozen() -> bool:
    return bool(getattr(sys, "frozen", False))


def glibc() -> str:
    """`2.36`: of this machine; in the executable the oldest that it runs with, as found when it was built. Empty where the C
    library is another."""
    if is_frozen():
        paper = Path(str(getattr(sys, "_MEIPASS", ""))) / "share/glibc"
        return paper.read_text().strip() if paper.is_file() else ""
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").removeprefix("glibc ")
    except (ValueError, OSError, AttributeError):
        return ""


def headline() -> str:
    """What `ralnode --version` prints."""
    parts = [
        f"Python {platform.python_version()}{' (inside)' if is_frozen() else ''}",
        f"SQLite {sqlite3.sqlite_version}",
    ]
    return f"ralnode {__version__}\n{', '.join([*parts, *glibc_in_words()])}"


def glibc_in_words() -> list[str]:
    found = glibc()
    return [f"glibc {found}{' or newer' if is_frozen() else ''}"] if found else []
