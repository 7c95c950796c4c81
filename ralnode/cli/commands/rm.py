"""`ralnode rm`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from ralnode.api import UsageError
from ralnode.cli.context import global_options, node_client
from ralnode.cli.output import show_json
from ralnode.cli.text import clean, count, size
from ralnode.host.answers import RemovedAnswer, SourceAnswer
from ralnode.host.jsonable import from_jsonable


def command(
    ctx: typer.Context,
    references: Annotated[list[str], typer.Argument(metavar="NAME|CID…", help="Which sources.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove a source from the cluster, on every node.

    Every node deletes its copies. Files that were added by reference (--link, sources_dir) stay where they are.

    \b
    Examples:
      ralnode rm holiday
      ralnode rm --yes old.iso
    """
    client = node_client(ctx)
    found = [from_jsonable(SourceAnswer, client.command("source", {"source": each})) for each in references]
    if not yes:
        _confirm(found)
    for each in found:
        removed = from_jsonable(RemovedAnswer, client.command("rm", {"source": each.status.root}))
        if global_options(ctx).json:
            show_json(removed)
        else:
            typer.echo(f"removed {clean(removed.name)} ({size(removed.size_bytes)})")


def _confirm(found: list[SourceAnswer]) -> None:
    names = ", ".join(clean(each.status.name) for each in found[:5]) + (", …" if len(found) > 5 else "")
    if not sys.stdin.isatty():
        raise UsageError(f"this would remove {names} from every node; say --yes to do so without being asked")
    whole = size(sum(each.status.size_bytes for each in found))
    question = f"Remove {count(len(found), 'source')} ({names}; {whole}) from every node? It cannot be undone"
    typer.confirm(question, abort=True, err=True)
