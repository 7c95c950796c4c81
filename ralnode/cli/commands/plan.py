"""`ralnode plan`."""

from __future__ import annotations

from typing import Annotated

import typer

from ralnode.api import UsageError
from ralnode.cli.context import node_client
from ralnode.cli.output import show
from ralnode.cli.render import plan as render
from ralnode.host.answers import PlanAnswer, WhyAnswer
from ralnode.host.jsonable import from_jsonable


def command(
    ctx: typer.Context,
    why: Annotated[
        tuple[str, int] | None, typer.Option("--why", metavar="SOURCE INDEX", help="Explain one block of a source.")
    ] = None,
) -> None:
    """Show which blocks this node wants and has, and why.

    \b
    Examples:
      ralnode plan
      ralnode plan --why holiday 17    which nodes block 17 goes to, and why
      ralnode plan --node attic
    """
    client = node_client(ctx)
    if why is None:
        show(ctx, from_jsonable(PlanAnswer, client.command("plan")), render.whole)
        return
    source, index = why
    if index < 0:
        raise UsageError("blocks are counted from 0")
    show(ctx, from_jsonable(WhyAnswer, client.command("plan_why", {"source": source, "index": index})), render.why)
