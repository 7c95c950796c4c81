"""`ralnode leftovers`."""

from __future__ import annotations

import sys
import time
from typing import Annotated, Final

import typer

from ralnode.api import UsageError
from ralnode.cli.client import NodeClient
from ralnode.cli.context import node_client
from ralnode.cli.output import show
from ralnode.cli.render import leftovers as render
from ralnode.cli.text import clean, size
from ralnode.cli.text import count as number
from ralnode.host.jsonable import from_jsonable
from ralnode.host.leftoversanswer import LeftoversAnswer

_LOOK_SECONDS: Final = 0.2
"""Between two looks whether it is done."""
_HOURS_MIN: Final = 1 / 6


def command(
    ctx: typer.Context,
    delete: Annotated[bool, typer.Option("--delete", help="Delete them, after asking.")] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="With --delete: also blocks of which nothing tells what they come from.")
    ] = False,
    older_than: Annotated[
        float,
        typer.Option(
            "--older-than", metavar="HOURS", help="With --delete: only what nobody has gone on with for so long."
        ),
    ] = 1.0,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Show, or delete, blocks of adds and pulls that were never finished.

    An add, pull or import that was interrupted and not repeated leaves blocks on this node that no source names. Repeating
    it goes on with them; if nobody means to, they can go. What a source uses is never deleted, nor anything while an add
    or a pull runs.

    \b
    Examples:
      ralnode leftovers
      ralnode leftovers --json | jq .size_bytes
      ralnode leftovers --delete --older-than 24
      ralnode leftovers --delete --all --node attic
    """
    if not _HOURS_MIN <= older_than <= 24 * 3650:
        raise UsageError("--older-than: at least 0.17 hours (ten minutes); what ended later may be gone on with")
    if everything and not delete:
        raise UsageError("--all says what --delete deletes; without it everything is shown anyway")
    client = node_client(ctx)
    found = _counted(client)
    if delete and found.state == "done":
        count, size_bytes = render.going(found, older_than * 3600, everything=everything)
        if count:
            _confirm(found, count, size_bytes, yes=yes)
            found = _deleted(client, found.unix_ms - int(older_than * 3_600_000), everything=everything)
    show(ctx, found, lambda answer: render.whole(answer, is_deleting=delete))
    if found.state == "failed" or (delete and found.remark):
        raise typer.Exit(1)


def _confirm(found: LeftoversAnswer, count: int, size_bytes: int, *, yes: bool) -> None:
    """Shows what there is and says what would go."""
    if yes:
        return
    for line in render.lines(found):
        typer.echo(line, err=True)
    what = f"{number(count, 'block')} ({size(size_bytes)}) on {clean(found.node)}"
    if not sys.stdin.isatty():
        raise UsageError(f"this would delete {what}; say --yes to do so without being asked. Nothing was deleted")
    typer.confirm(f"Delete {what}? It cannot be undone", abort=True, err=True)


def _counted(client: NodeClient) -> LeftoversAnswer:
    return _followed(client, _ask(client, {"action": "count"}))


def _deleted(client: NodeClient, before_unix_ms: int, *, everything: bool) -> LeftoversAnswer:
    params = {"action": "delete", "before_unix_ms": before_unix_ms, "everything": everything}
    return _followed(client, _ask(client, params))


def _followed(client: NodeClient, answer: LeftoversAnswer) -> LeftoversAnswer:
    """Until it is done. Ctrl-C leaves it running."""
    while answer.state in ("counting", "deleting"):
        time.sleep(_LOOK_SECONDS)
        answer = _ask(client, {"action": "look"})
    return answer


def _ask(client: NodeClient, params: dict[str, object]) -> LeftoversAnswer:
    return from_jsonable(LeftoversAnswer, client.command("leftovers", params))
