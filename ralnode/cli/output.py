"""What a command prints: the answer's dataclass as JSON, or the same object shown to people."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any, Final, TypeVar

import typer
from rich.console import Console, RenderableType
from rich.text import Text

from ralnode.cli.context import global_options
from ralnode.cli.text import clean
from ralnode.host.jsonable import to_jsonable

T = TypeVar("T")

UNWATCHED_COLUMNS: Final = 2000
"""Wider than any line, so that nothing is folded where no terminal is."""


def show(ctx: typer.Context, answer: T, human: Callable[[T], RenderableType]) -> None:
    """Prints `answer`: as JSON with --json, else what `human` makes of it."""
    if global_options(ctx).json:
        show_json(answer)
    else:
        console().print(human(answer))


def show_json(answer: Any) -> None:
    """One line, for programs."""
    typer.echo(json.dumps(to_jsonable(answer), ensure_ascii=False))


def console() -> Console:
    """Standard output. Where it is no terminal, lines are as long as they need to be: programs and files wrap nothing."""
    is_watched = sys.stdout.isatty()
    return Console(highlight=False, soft_wrap=not is_watched, width=None if is_watched else UNWATCHED_COLUMNS)


def is_watched() -> bool:
    """Whether somebody looks at progress: standard error is a terminal."""
    return sys.stderr.isatty()


def plain(text: str, style: str = "") -> Text:
    """Text from elsewhere (names of files and nodes): no markup, no control characters."""
    return Text(clean(text), style=style)
