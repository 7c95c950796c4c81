"""`ralnode capacity`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import RenderableType
from rich.text import Text

from ralnode.api import UsageError
from ralnode.cli.context import node_client
from ralnode.cli.output import show
from ralnode.cli.render.nodes import bar
from ralnode.cli.text import clean, size
from ralnode.host.answers import CapacityAnswer
from ralnode.host.jsonable import from_jsonable
from ralnode.host.quantities import parse_size


def command(
    ctx: typer.Context,
    new: Annotated[str | None, typer.Argument(metavar="[SIZE]", help="Such as 500GB or 1.5TiB.")] = None,
) -> None:
    """Show or change how much disk a node gives.

    The limit is hard, and counts everything the node writes. It cannot be made smaller than what is used now.

    \b
    Examples:
      ralnode capacity
      ralnode capacity 500GB
      ralnode capacity 2TB --node attic
    """
    params = {} if new is None else {"capacity_bytes": _parsed(new)}
    show(ctx, from_jsonable(CapacityAnswer, node_client(ctx).command("capacity", params)), _shown)


def _parsed(text: str) -> int:
    try:
        return parse_size(text)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _shown(answer: CapacityAnswer) -> RenderableType:
    changed = "" if answer.before_bytes is None else f" (was {size(answer.before_bytes)})"
    reserved = f", {size(answer.reserved_bytes)} being written" if answer.reserved_bytes else ""
    linked = f"\n{size(answer.linked_bytes)} more are served from files by reference" if answer.linked_bytes else ""
    text = (
        f"{clean(answer.node)} gives {size(answer.capacity_bytes)}{changed}\n"
        f"{bar(answer.used_bytes, answer.capacity_bytes)} {size(answer.used_bytes)} used in {answer.block_count:,} blocks"
        f"{reserved}{linked}\n"
        f"the disk has {size(answer.disk_free_bytes)} free of {size(answer.disk_total_bytes)}"
    )
    if answer.read_only_reason:
        text += f"\nnothing can be written now: {clean(answer.read_only_reason)}"
    return Text(text)
