"""`ralnode ls`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from ralnode.cli.context import node_client
from ralnode.cli.output import show
from ralnode.cli.render import sources as render
from ralnode.cli.text import clean, size
from ralnode.host.answers import ListingAnswer, ListingLine, SourcesAnswer
from ralnode.host.jsonable import from_jsonable


def command(
    ctx: typer.Context,
    reference: Annotated[str | None, typer.Argument(metavar="[NAME|CID][/PATH]", help="What to look into.")] = None,
) -> None:
    """List what the cluster keeps, or what a folder of it contains.

    \b
    Examples:
      ralnode ls
      ralnode ls holiday
      ralnode ls holiday/pictures
    """
    if reference is None:
        answer = from_jsonable(SourcesAnswer, node_client(ctx).command("sources"))
        show(ctx, answer, lambda found: render.table(found.sources))
        return
    lines = [from_jsonable(ListingLine, line) for line in node_client(ctx).lines("GET", "/v1/list", {"ref": reference})]
    show(ctx, ListingAnswer(lines[0], tuple(lines[1:])), _listing)


def _listing(answer: ListingAnswer) -> RenderableType:
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("NAME", "SIZE", "CID"):
        made.add_column(column, justify="right" if column == "SIZE" else "left", overflow="fold")
    for line in answer.entries or () if answer.top.kind == "directory" else (answer.top,):
        made.add_row(clean(line.path), size(line.size_bytes), line.cid)
    if answer.top.kind == "directory" and not answer.entries:
        return Text("an empty folder", style="dim")
    return made
