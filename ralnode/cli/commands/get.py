"""`ralnode get`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from ralnode.api import UsageError
from ralnode.cli.context import node_client
from ralnode.cli.output import show
from ralnode.cli.progress import Meter
from ralnode.cli.text import clean, size
from ralnode.cli.unpacking import check_target, unpack
from ralnode.host.answers import ListingLine
from ralnode.host.jsonable import from_jsonable


@dataclass(frozen=True, slots=True)
class Got:
    """What `get` has written."""

    path: str
    kind: str
    cid: str
    size_bytes: int


def command(
    ctx: typer.Context,
    reference: Annotated[str, typer.Argument(metavar="NAME|CID[/PATH]", help="What to fetch.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="PATH", help="Where to write it.")] = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace a file that exists.")] = False,
) -> None:
    """Fetch a file or folder from the cluster.

    From any node: blocks that it does not have come from those that do, each checked against its hash. Until everything
    has come it is written beside its place; if it fails, nothing is left behind.

    \b
    Examples:
      ralnode get holiday
      ralnode get holiday/notes/day-01.txt -o note.txt
      ralnode get bafybei… -o disk.iso
    """
    client = node_client(ctx)
    top = from_jsonable(ListingLine, next(iter(client.lines("GET", "/v1/list", {"ref": reference}))))
    target = _target(reference, top, output)
    check_target(target, force=force)
    written = 0
    with Meter(ctx, target.name, top.size_bytes if top.kind == "file" else None) as meter:

        def advanced(count: int) -> None:
            nonlocal written
            written += count
            meter.advance(count)

        entry = unpack(client.frames("/v1/read", {"ref": reference}), target, advanced, force=force)
    show(ctx, Got(str(target), entry.kind, entry.cid, written), _shown)


def _target(reference: str, top: ListingLine, output: Path | None) -> Path:
    """Into a folder that exists, as `cp` does it; else exactly there; else under the last part of its name."""
    name = (top.path or reference).rstrip("/").rpartition("/")[2]
    if output is None or output.is_dir():
        if name in ("", ".", ".."):
            raise UsageError(f"{reference!r} has no name to write it under; say where with -o PATH")
        return (output or Path()) / name
    return output


def _shown(got: Got) -> Text:
    return Text(f"{clean(got.path)}  {size(got.size_bytes)}  {got.cid}")
