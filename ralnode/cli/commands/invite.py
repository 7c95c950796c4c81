"""`ralnode invite`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from ralnode.cli.context import global_options, node_client
from ralnode.cli.lazy import load
from ralnode.cli.output import show
from ralnode.cli.text import clean
from ralnode.host.answers import InviteAnswer
from ralnode.host.jsonable import from_jsonable


def command(
    ctx: typer.Context,
    qr: Annotated[bool, typer.Option("--qr", help="Show it as a QR code too, for a phone's camera.")] = False,
) -> None:
    """Print the join code for another machine.

    Whoever has the code is a member of the cluster: treat it as a password.

    \b
    Example, here and then on the other machine:
      ralnode invite
      ralnode join ral1abc…
      ralnode invite --qr
    """
    answer = from_jsonable(InviteAnswer, node_client(ctx).command("invite"))
    show(ctx, answer, lambda found: Text(clean(found.code)))
    if qr and not global_options(ctx).json:
        typer.echo("\n".join(load("ralnode.cli.qr", "qr_lines")(answer.code.upper())), color=True)
