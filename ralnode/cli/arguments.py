"""The options that every command has, and the finding of the command's word. Imports nothing heavy.

Users write `ralnode status --json` as often as `ralnode --json status`; both work because the global options are moved
to the front before typer sees the line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FLAGS: Final = frozenset({"--json", "--debug"})
VALUED: Final = frozenset({"--node", "--socket", "--config"})


@dataclass(frozen=True, slots=True)
class Globals:
    """What the user said for the whole command; typer's `ctx.obj`."""

    json: bool = False
    node: str | None = None
    debug: bool = False
    socket: Path | None = None
    config: Path | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A command line taken apart: global options, then the word and what follows it."""

    options: tuple[str, ...]
    rest: tuple[str, ...]

    @property
    def word(self) -> str | None:
        """The command, or None when there is none (`ralnode --help`)."""
        return self.rest[0] if self.rest and not self.rest[0].startswith("-") else None


def hoist(arguments: Sequence[str]) -> Line:
    """Moves global options to the front; everything after `--` stays as it is."""
    options: list[str] = []
    rest: list[str] = []
    waiting = list(arguments)
    while waiting:
        argument = waiting.pop(0)
        if argument == "--":
            return Line(tuple(options), (*rest, argument, *waiting))
        name, equals, _ = argument.partition("=")
        if argument in FLAGS or (equals and name in VALUED):
            options.append(argument)
        elif argument in VALUED:
            options += [argument, *waiting[:1]]
            del waiting[:1]
        else:
            rest.append(argument)
    return Line(tuple(options), tuple(rest))
