"""`ralnode verify`."""

from __future__ import annotations

import time
from typing import Annotated, Final

import typer
from rich.text import Text

from ralnode.api import UsageError
from ralnode.cli.client import NodeClient
from ralnode.cli.context import node_client
from ralnode.cli.output import show
from ralnode.cli.progress import Meter
from ralnode.cli.text import clean, count, size
from ralnode.host.answers import VerifyAnswer
from ralnode.host.jsonable import from_jsonable
from ralnode.host.quantities import parse_size

_LOOK_SECONDS: Final = 0.2
"""Between two looks at the progress."""


def command(
    ctx: typer.Context,
    *,
    progress: Annotated[bool, typer.Option("--progress", help="Only show how far the running one is.")] = False,
    stop: Annotated[bool, typer.Option("--stop", help="Stop the running one.")] = False,
    background: Annotated[bool, typer.Option("--background", help="Start it and return.")] = False,
    limit: Annotated[
        str | None, typer.Option("--limit", metavar="SIZE", help="Read at most this much a second.")
    ] = None,
) -> None:
    """Check every block on disk against its hash.

    A bad block is set aside and fetched again from another node. Ends with exit code 1 if any was found.

    \b
    Examples:
      ralnode verify
      ralnode verify --limit 20MB --background
      ralnode verify --progress
    """
    client = node_client(ctx)
    if stop or progress:
        answer = _ask(client, {"action": "stop" if stop else "progress"})
    else:
        answer = _ask(client, {"action": "start", "bytes_per_second": _parsed(limit)})
        if not background:
            answer = _follow(ctx, client)
    show(ctx, answer, _shown)
    if answer.bad_count or answer.state == "failed":
        raise typer.Exit(1)


def _follow(ctx: typer.Context, client: NodeClient) -> VerifyAnswer:
    """Until it ends. Ctrl-C leaves it running."""
    capacity = client.command("capacity")
    with Meter(ctx, "verifying", int(capacity["used_bytes"]) + int(capacity["linked_bytes"])) as meter:
        while True:
            answer = _ask(client, {"action": "progress"})
            if answer.state != "running":
                return answer
            meter.at(answer.checked_bytes)
            time.sleep(_LOOK_SECONDS)


def _ask(client: NodeClient, params: dict[str, object]) -> VerifyAnswer:
    return from_jsonable(VerifyAnswer, client.command("verify", {k: v for k, v in params.items() if v is not None}))


def _parsed(limit: str | None) -> int | None:
    try:
        return None if limit is None else parse_size(limit)
    except ValueError as error:
        raise UsageError(f"--limit: {error}") from error


def _shown(answer: VerifyAnswer) -> Text:
    checked = f"{count(answer.checked_count, 'block')} ({size(answer.checked_bytes)})"
    if answer.state == "running":
        return Text(f"{clean(answer.node)}: {checked} of {answer.total_count:,} checked so far, {answer.bad_count} bad")
    if answer.state == "failed":
        return Text(f"{clean(answer.node)}: failed after {checked}: {clean(answer.reason)}", style="red")
    verb = "stopped after" if answer.state == "stopped" else "checked"
    if not answer.bad_count:
        return Text(f"{clean(answer.node)}: {verb} {checked}, all good", style="green")
    return Text(
        f"{clean(answer.node)}: {verb} {checked}, {answer.bad_count} bad; they were set aside and are fetched again:\n  "
        + "\n  ".join(answer.bad),
        style="bold red",
    )
