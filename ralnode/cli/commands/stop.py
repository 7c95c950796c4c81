"""`ralnode stop`."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from ralnode.api import LocalError
from ralnode.cli.context import global_options, node_client
from ralnode.cli.output import show_json
from ralnode.cli.processes import wait_for_end
from ralnode.cli.text import clean, duration
from ralnode.host.answers import StopAnswer
from ralnode.host.jsonable import from_jsonable

GONE_SECONDS_MAX: Final = 12.0
"""The node closes within 8 s; a little more for a busy machine."""


def command(
    ctx: typer.Context,
    away: Annotated[
        float | None,
        typer.Option("--away", metavar="MINUTES", help="It comes back: let the cluster move nothing so long."),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Return when it has stopped.")] = True,
) -> None:
    """Stop a node.

    The others notice within seconds, and make its copies again after the grace (10 minutes by default).

    \b
    Examples:
      ralnode stop
      ralnode stop --away 30           for a reboot or a new disk
      ralnode stop --node attic
    """
    client = node_client(ctx)
    answer = from_jsonable(StopAnswer, client.command("stop", {} if away is None else {"away_minutes": away}))
    is_here = not global_options(ctx).node
    if wait and is_here:
        wait_until_gone(answer.pid)
    if global_options(ctx).json:
        show_json(answer)
        return
    promise = f"; the cluster expects it back within {duration(answer.away_seconds)}" if answer.away_seconds else ""
    typer.echo(f"{clean(answer.node)} {'stopped' if wait and is_here else 'is stopping'}{promise}")


def wait_until_gone(pid: int) -> None:
    """Raises LocalError when it takes longer than a node may take to close."""
    if not wait_for_end(pid, GONE_SECONDS_MAX):
        raise LocalError(
            f"the node still runs after {GONE_SECONDS_MAX:.0f} s (process {pid}); look at its log, or end it"
        )
