"""`ralnode token`."""

from __future__ import annotations

import time
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from ralnode.api import UsageError
from ralnode.cli.context import node_client
from ralnode.cli.output import plain, show
from ralnode.cli.text import clean
from ralnode.host.answers import PageAnswer
from ralnode.host.jsonable import from_jsonable


def command(
    ctx: typer.Context,
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[add NAME | list | remove NAME]", help="What to do; list.")
    ] = None,
    scope: Annotated[
        list[str] | None, typer.Option("--scope", help="view, add, metrics or admin; may be given several times. view.")
    ] = None,
    days: Annotated[int, typer.Option(help="How long it is good for.")] = 90,
) -> None:
    """Make, list or remove tokens for programs that use the status page.

    A program sends it as `Authorization: Bearer ral_…`. It is shown once, and kept here only as a hash.

    \b
    Examples:
      ralnode token add backup --scope add --scope view
      ralnode token add prometheus --scope metrics --days 3650
      ralnode token list
      ralnode token remove backup
    """
    params = _asked(words or ["list"], tuple(scope or ("view",)), days)
    answer = from_jsonable(PageAnswer, node_client(ctx).command("page", params))
    show(ctx, answer, lambda found: Text(clean(found.token)) if found.token else _listed(found))


def _asked(words: list[str], scopes: tuple[str, ...], days: int) -> dict[str, object]:
    match words:
        case ["list"]:
            return {"action": "show"}
        case ["add", name]:
            return {"action": "add_token", "name": name, "scopes": list(scopes), "days": days}
        case ["remove", name]:
            return {"action": "remove_token", "name": name}
    raise UsageError(f"cannot understand {' '.join(words)!r}; there are: add NAME, list, remove NAME")


def _listed(answer: PageAnswer) -> Table | Text:
    if not answer.tokens:
        return Text("there are no tokens; make one: ralnode token add NAME")
    table = Table(box=None, pad_edge=False)
    for heading in ("NAME", "ID", "MAY", "UNTIL"):
        table.add_column(heading)
    for token in answer.tokens:
        until = time.strftime("%Y-%m-%d %H:%M", time.localtime(token.expires_unix_ms / 1000))
        is_over = token.expires_unix_ms <= time.time() * 1000
        table.add_row(
            plain(token.name), plain(token.id), plain(", ".join(token.scopes)), f"{until}{' (over)' if is_over else ''}"
        )
    return table
