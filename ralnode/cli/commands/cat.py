"""`ralnode cat`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from ralnode.api import UsageError
from ralnode.cli.context import global_options, node_client
from ralnode.host.frames import Entry, Tag


def command(
    ctx: typer.Context,
    reference: Annotated[str, typer.Argument(metavar="NAME|CID[/PATH]", help="Which file.")],
    offset: Annotated[int, typer.Option(min=0, metavar="BYTES", help="Begin here.")] = 0,
    length: Annotated[int | None, typer.Option(min=0, metavar="BYTES", help="At most so many bytes.")] = None,
) -> None:
    """Write a file, or a range of it, to standard output.

    \b
    Examples:
      ralnode cat elements.json
      ralnode cat holiday/notes/day-01.txt
      ralnode cat disk.iso --offset 1048576 --length 512 | xxd
    """
    if global_options(ctx).json:
        raise UsageError("cat writes the bytes of a file, never JSON; leave --json out")
    params = {"ref": reference, "offset": offset, "length": length}
    out = sys.stdout.buffer
    for frame in node_client(ctx).frames("/v1/read", params):
        if frame.tag == Tag.DATA:
            out.write(frame.payload)
        elif frame.tag == Tag.ENTRY and Entry.decode(frame.payload).kind != "file":
            raise UsageError(f"{reference!r} is a folder or a link, not a file; fetch it with: ralnode get {reference}")
    out.flush()
