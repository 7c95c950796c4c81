"""Who listens on a port of this machine, from /proc/net and the open files in /proc (proc(5))."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

_PROC: Final = Path("/proc")
_LISTENING: Final = {"tcp": "0A", "udp": "07"}
"""States of the kernel: TCP_LISTEN; a UDP socket without a peer."""


class Program(NamedTuple):
    pid: int
    name: str


def holders(kind: str, port: int, proc: Path = _PROC) -> list[Program]:
    """Programs that listen on a port; `kind` is tcp or udp. Empty when nobody does, or this user may not know."""
    inodes = set(inodes_of(_tables(kind, proc), kind, port))
    return sorted(set(_programs(inodes, proc))) if inodes else []


def inodes_of(lines: Iterable[str], kind: str, port: int) -> Iterator[str]:
    """Inodes of the sockets in a table of /proc/net that listen on the port."""
    for line in lines:
        fields = line.split()
        if len(fields) > 9 and fields[3] == _LISTENING[kind] and fields[1].rpartition(":")[2] == f"{port:04X}":
            yield fields[9]


def _tables(kind: str, proc: Path) -> Iterator[str]:
    for name in (kind, f"{kind}6"):
        try:
            yield from (proc / "net" / name).read_text().splitlines()[1:]
        except OSError:
            continue


def _programs(inodes: set[str], proc: Path) -> Iterator[Program]:
    for folder in proc.glob("[0-9]*"):
        if any(
            (found := re.fullmatch(r"socket:\[(\d+)\]", link)) and found[1] in inodes for link in _links(folder / "fd")
        ):
            with suppress(OSError):  # it has ended meanwhile
                yield Program(int(folder.name), (folder / "comm").read_text().strip())


def _links(folder: Path) -> Iterator[str]:
    """What the files that a process has open are; nothing of another user's process."""
    try:
        descriptors = list(folder.iterdir())
    except OSError:
        return
    for each in descriptors:
        with suppress(OSError):  # closed meanwhile
            yield str(each.readlink())


def named(programs: Iterable[Program]) -> str:
    return ", ".join(f"{each.name} (process {each.pid})" for each in programs)
