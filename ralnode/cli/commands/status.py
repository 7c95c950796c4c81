"""`ralnode status`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer
from rich.live import Live

from ralnode.api import ClusterStatus, UnavailableError, UsageError
from ralnode.cli.context import global_options, node_client
from ralnode.cli.output import console, show, show_json
from ralnode.cli.render import status as render
from ralnode.host.jsonable import from_jsonable


def command(
    ctx: typer.Context,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Stay, and show every change.")] = False,
) -> None:
    """Show whether everything is safe, and each node and source.

    \b
    Examples:
      ralnode status
      ralnode status --watch
      ralnode status --node attic     as the node `attic` sees it
      ralnode status --json | jq .sentence
    """
    if not watch:
        show(ctx, from_jsonable(ClusterStatus, node_client(ctx).command("status")), render.whole)
        return
    if global_options(ctx).node:
        raise UsageError("--watch shows the node on this machine; leave --node out, or leave --watch out")
    _watch(ctx, (from_jsonable(ClusterStatus, line) for line in node_client(ctx).lines("GET", "/v1/watch")))


def _watch(ctx: typer.Context, statuses: Iterator[ClusterStatus]) -> None:
    out = console()
    if global_options(ctx).json:
        for status in statuses:
            show_json(status)
    elif not out.is_terminal:
        for status in statuses:
            out.print(render.whole(status))
    else:
        with Live(console=out, screen=True, auto_refresh=False) as live:
            for status in statuses:
                live.update(render.whole(status), refresh=True)
    raise UnavailableError("the node has stopped")
