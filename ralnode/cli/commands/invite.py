"""`ralnode invite`."""

from __future__ import annotations

import typer
from rich.text import Text

from ralnode.cli.context import node_client
from ralnode.cli.output import show
from ralnode.cli.text import clean
from ralnode.host.answers import InviteAnswer
from ralnode.host.jsonable import from_jsonable


def command(ctx: typer.Context) -> None:
    """Print the join code for another machine.

    Whoever has the code is a member of the cluster: treat it as a password.

    \b
    Example, here and then on the other machine:
      ralnode invite
      ralnode join ral1abc…
    """
    answer = from_jsonable(InviteAnswer, node_client(ctx).command("invite"))
    show(ctx, answer, lambda found: Text(clean(found.code)))
