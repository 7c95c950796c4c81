"""`ralnode login-link`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from ralnode.cli.context import node_client
from ralnode.cli.output import show
from ralnode.cli.text import clean
from ralnode.host.answers import PageAnswer
from ralnode.host.jsonable import from_jsonable


def command(
    ctx: typer.Context,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the link alone.")] = False,
) -> None:
    """Print a link that signs in to the status page once.

    Whoever opens it within 15 minutes is signed in as admin; then it is used up.

    \b
    Examples:
      ralnode login-link
      xdg-open "$(ralnode login-link -q)"
    """
    answer = from_jsonable(PageAnswer, node_client(ctx).command("page", {"action": "link"}))
    show(ctx, answer, lambda found: Text(clean(found.link) if quiet else _shown(found)))


def _shown(answer: PageAnswer) -> str:
    return f"{clean(answer.link)}\nworks once, within {answer.link_seconds // 60} minutes"
