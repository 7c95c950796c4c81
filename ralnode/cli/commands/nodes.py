"""`ralnode nodes`."""

from __future__ import annotations

import typer

from ralnode.cli.context import node_client
from ralnode.cli.output import show
from ralnode.cli.render import nodes as render
from ralnode.host.answers import NodesAnswer
from ralnode.host.jsonable import from_jsonable


def command(ctx: typer.Context) -> None:
    """List the nodes of the cluster.

    The star marks the node that answers.

    \b
    Examples:
      ralnode nodes
      ralnode nodes --json | jq -r '.nodes[].name'
    """
    answer = from_jsonable(NodesAnswer, node_client(ctx).command("nodes"))
    show(ctx, answer, lambda found: render.table(found.nodes, with_address=True))
