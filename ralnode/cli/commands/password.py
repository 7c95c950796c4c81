"""`ralnode password`."""

from __future__ import annotations

import getpass
import sys
from typing import Annotated, Final

import typer
from rich.text import Text

from ralnode.api import UsageError
from ralnode.cli.context import node_client
from ralnode.cli.output import show
from ralnode.cli.text import clean
from ralnode.host.answers import PageAnswer
from ralnode.host.jsonable import from_jsonable

_CHARS_MAX: Final = 4096


def command(
    ctx: typer.Context,
    role: Annotated[str, typer.Option(help="For whom: admin may change things, viewer may look.")] = "admin",
    remove: Annotated[bool, typer.Option("--remove", help="Take the password away instead.")] = False,
) -> None:
    """Set the password of the status page.

    Asked for at the terminal, or read as one line from standard input; never taken from the command line, which others can
    see. With a password the page answers the local network, without one only this machine.

    \b
    Examples:
      ralnode password
      ralnode password --role viewer
      ralnode password < password-file
      ralnode password --remove
    """
    client = node_client(ctx)
    if remove:
        answer = client.command("page", {"action": "remove_password", "role": role})
    else:
        client.command("page", {"action": "show"})  # no use to ask for a password that nobody would take
        answer = client.command("page", {"action": "password", "role": role, "password": _read()})
    show(ctx, from_jsonable(PageAnswer, answer), lambda found: _shown(found, role, removed=remove))


def _read() -> str:
    """Raises UsageError."""
    if not sys.stdin.isatty():
        line = sys.stdin.readline(_CHARS_MAX).rstrip("\r\n")
        if not line:
            raise UsageError(
                "the first line of standard input is empty; it should be the password. Nothing was changed"
            )
        return line
    found = getpass.getpass("New password of the status page: ", sys.stderr)
    if getpass.getpass("Once more: ", sys.stderr) != found:
        raise UsageError("the two passwords differ. Nothing was changed")
    return found


def _shown(answer: PageAnswer, role: str, *, removed: bool) -> Text:
    if removed:
        return Text(f"the role {clean(role)} has no password any more. The status page: {clean(answer.page_url)}")
    return Text(f"the password of the role {clean(role)} is set. The status page: {clean(answer.page_url)}")
