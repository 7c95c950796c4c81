"""`ralnode export`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from ralnode.api import UsageError
from ralnode.cli.client import NodeClient
from ralnode.cli.context import node_client
from ralnode.cli.output import show
from ralnode.cli.progress import Meter
from ralnode.cli.text import clean, size
from ralnode.cli.unpacking import check_target, unpack
from ralnode.host.answers import ListingLine, SourcesAnswer
from ralnode.host.frames import Tag
from ralnode.host.jsonable import from_jsonable


@dataclass(frozen=True, slots=True)
class Exported:
    path: str
    root: str
    size_bytes: int
    """Of the CAR file."""


def command(
    ctx: typer.Context,
    reference: Annotated[str, typer.Argument(metavar="NAME|CID[/PATH]", help="What to export.")] = "",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="NAME.car; - is standard output.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace a file that exists.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="All sources in one file, each a root of it.")] = False,
) -> None:
    """Write a source, or all of them, as a CAR file.

    Every IPFS tool reads it (`ipfs dag import`), and so does `ralnode import`. Each block is checked against its hash. A CAR file
    knows no names: an import of several sources calls them by their CIDs.

    \b
    Examples:
      ralnode export holiday
      ralnode export holiday -o - | ssh elsewhere ralnode import -
      ralnode export --all -o /mnt/usb/everything.car
    """
    if bool(reference) is everything:
        raise UsageError("say what to export: one NAME or CID, or --all")
    client, params = node_client(ctx), {"ref": reference} if reference else {}
    if output == Path("-"):
        _to_stdout(client, params)
        return
    top = _everything(client) if everything else _one(client, reference)
    name = (top.path or reference).rpartition("/")[2] + ".car"
    target = (output or Path()) / name if output is None or output.is_dir() else output
    check_target(target, force=force)
    with Meter(ctx, target.name, top.size_bytes or None) as meter:
        entry = unpack(client.frames("/v1/export", params), target, meter.advance, force=force)
    answer = Exported(str(target), entry.cid, target.stat().st_size)
    show(ctx, answer, lambda done: Text(f"{clean(done.path)}  {size(done.size_bytes)}  {done.root}"))


def _one(client: NodeClient, reference: str) -> ListingLine:
    return from_jsonable(ListingLine, next(iter(client.lines("GET", "/v1/list", {"ref": reference}))))


def _everything(client: NodeClient) -> ListingLine:
    found = from_jsonable(SourcesAnswer, client.command("sources")).sources
    return ListingLine("everything", "", sum(source.size_bytes for source in found))


def _to_stdout(client: NodeClient, params: dict[str, Any]) -> None:
    for frame in client.frames("/v1/export", params):
        if frame.tag == Tag.DATA:
            sys.stdout.buffer.write(frame.payload)
    sys.stdout.buffer.flush()
