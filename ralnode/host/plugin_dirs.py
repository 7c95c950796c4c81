"""Where drop-in plugins may lie, and which of those places are fit to run code from. Loads nothing.

A plugin runs with all the rights of the node, so a directory or file that somebody else may write is refused: whoever
can write there could become this node.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from ralnode.host.config import user_dir

SYSTEM_DIR: Final = Path("/etc/ralnode/plugins")
SINGLE_FILES: Final = "ralnode_*.py"
ENTRIES_MAX: Final = 50_000
"""Files in one drop-in directory; NumPy has about a thousand. More is a mistake such as `--plugins-dir /`."""


def directories(environ: Mapping[str, str], extra: Sequence[Path] = ()) -> list[tuple[Path, str]]:
    """(directory, who named it) in the order of precedence, each once, whether or not it exists."""
    named = [(each, "--plugins-dir") for each in extra]
    given = environ.get("RALNODE_PLUGINS_DIR", "")
    named += [(Path(part), "RALNODE_PLUGINS_DIR") for part in given.split(os.pathsep) if part]
    named += [(SYSTEM_DIR, ""), (user_dir(environ, "XDG_CONFIG_HOME", ".config") / "plugins", "")]
    once: dict[Path, str] = {}
    for path, origin in named:
        once.setdefault(path.expanduser().absolute(), origin)
    return list(once.items())


def refusal(directory: Path, origin: str) -> str | None:
    """Why nothing is loaded from a directory; empty when all is well, None when a default one simply is not there."""
    try:
        if not directory.is_dir():
            return f"{origin} names it, but there is no such directory" if origin else None
        return unsafe(directory) or next((why for why in map(_member_unsafe, _below(directory)) if why), "")
    except OSError as error:
        return f"it cannot be read: {error}"


def unsafe(path: Path) -> str:
    """Why code must not be run from a file or directory, looking at it and all that it lies in; empty when it may."""
    path = path.resolve()
    problem = _open_to_others(path)
    for parent in path.parents:
        problem = problem or _open_to_others(parent, is_parent=True)
    return problem


def _open_to_others(path: Path, *, is_parent: bool = False) -> str:
    """A parent with the sticky bit (/tmp) is fine: others cannot rename what is ours in it."""
    found = path.stat()
    if found.st_uid not in (0, os.geteuid()):
        return f"{path} belongs to another user (uid {found.st_uid}); plugins are code: give it to root or to yourself"
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not (is_parent and found.st_mode & stat.S_ISVTX):
        return f"others may write {path} (mode {found.st_mode & 0o7777:04o}); plugins are code: chmod go-w {path}"
    return ""


def _member_unsafe(path: Path) -> str:
    return unsafe(path) if path.is_symlink() else _open_to_others(path)


def _below(directory: Path) -> Iterator[Path]:
    """All that may be imported from a directory, except the single files at its top: those are judged one by one."""
    count = 0
    for base, folders, files in os.walk(directory):
        for name in (*folders, *files):
            count += 1
            if count > ENTRIES_MAX:
                raise OSError(f"more than {ENTRIES_MAX:,} files; name a directory that holds plugins only")
            path = Path(base, name)
            if not (base == str(directory) and path.match(SINGLE_FILES)) and path.exists():
                yield path
