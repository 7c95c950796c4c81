"""Turns an exception into one line on standard error and an exit code; the traceback only with --debug."""

from __future__ import annotations

import json
import sys
import traceback
from typing import Final

import typer

from ralnode.api.errors import LocalError, RalnodeError, UsageError
from ralnode.cli.arguments import Line
from ralnode.cli.text import clean
from ralnode.cli.words import BY_NAME

SOFTWARE_FAULT: Final = 70
"""EX_SOFTWARE: a mistake of ours, not of the user's."""


def report(error: Exception, line: Line) -> int:
    """Prints what went wrong; returns the exit code."""
    if "--debug" in line.options:
        traceback.print_exception(error)
    message, code, kind = describe(error, line.word)
    if "--json" in line.options:
        text = json.dumps({"error": message, "exit_code": code, "class": kind}, ensure_ascii=False)
    else:
        text = f"ralnode: {clean(' '.join(message.split()))}"
    sys.stdout.flush()
    typer.echo(text, err=True)
    return code


def describe(error: Exception, word: str | None) -> tuple[str, int, str]:
    """(message, exit code, class name)."""
    if isinstance(error, RalnodeError):
        return str(error), error.exit_code, type(error).__name__
    explain = getattr(error, "format_message", None)
    if callable(explain):  # typer's own complaints about the command line
        text = str(explain())
        help_of = f"ralnode {word} --help" if word in BY_NAME else "ralnode --help"
        return f"{text}{'' if text[-1:] in '.?!' else '.'} See: {help_of}", UsageError.exit_code, UsageError.__name__
    if isinstance(error, OSError):
        return f"{error.strerror or error}: {error.filename or 'no file named'}", LocalError.exit_code, "LocalError"
    message = f"this is a fault of ralnode: {type(error).__name__}: {error}. Run it again with --debug and report that"
    return message, SOFTWARE_FAULT, type(error).__name__
