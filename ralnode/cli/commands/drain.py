"""`ralnode drain`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.text import Text

from ralnode.api import RefusedError, UsageError
from ralnode.cli.client import NodeClient
from ralnode.cli.context import node_client
from ralnode.cli.output import show
from ralnode.cli.text import clean, size
from ralnode.host.answers import DrainAnswer, Foresight
from ralnode.host.jsonable import from_jsonable


def command(
    ctx: typer.Context,
    undo: Annotated[bool, typer.Option("--undo", help="Let it take its share again.")] = False,
    state: Annotated[bool, typer.Option("--state", help="Only show how far it is.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Let the other nodes take over what a node has, before it goes for good.

    It serves on meanwhile, and deletes nothing. When everything has its copies elsewhere, it can be stopped without loss.

    \b
    Examples:
      ralnode drain --node attic
      ralnode drain --state --node attic
      ralnode drain --undo --node attic
    """
    client = node_client(ctx)
    if not undo and not state:
        _confirm(client, yes=yes)
    params = {} if state else {"draining": not undo}
    show(ctx, from_jsonable(DrainAnswer, client.command("drain", params)), _shown)


def _confirm(client: NodeClient, *, yes: bool) -> None:
    """Says what would move. Raises RefusedError when it cannot be."""
    found = from_jsonable(Foresight, client.command("foresee", {"action": "drain"}))
    if found.refusal:
        raise RefusedError(f"{found.refusal} Nothing was changed")
    if yes:
        return
    for line in (*found.lines, *found.warnings):
        typer.echo(clean(line), err=True)
    if not sys.stdin.isatty():
        raise UsageError(f"this would drain {found.target}; say --yes to do so without being asked")
    typer.confirm(f"Drain {clean(found.target)}?", abort=True, err=True)


def _shown(answer: DrainAnswer) -> Text:
    if not answer.draining:
        return Text(f"{clean(answer.node)} is not being drained")
    if answer.is_done:
        return Text(f"{clean(answer.node)} is drained: all it has is elsewhere, it can be stopped")
    return Text(
        f"{clean(answer.node)} is being drained: {answer.waiting_count:,} blocks ({size(answer.waiting_bytes)}) are to be "
        "copied before it may be stopped"
    )
