"""`ralnode import`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import IO, Annotated, Any

import typer

from ralnode.api import LocalError, NotFoundError, UnavailableError, UsageError
from ralnode.api.limits import COPIES_MAX
from ralnode.cli.client import NodeClient
from ralnode.cli.commands.add import shown
from ralnode.cli.context import node_client
from ralnode.cli.output import show
from ralnode.cli.progress import Meter
from ralnode.dag.car import CarReader
from ralnode.dag.errors import DagError
from ralnode.host.answers import AddedAnswer, AddProgress
from ralnode.host.jsonable import from_jsonable

PIECE_BYTES = 1 << 20


def command(
    ctx: typer.Context,
    *,
    file: Annotated[Path, typer.Argument(metavar="FILE.car", help="A CAR file; - is standard input.")],
    name: Annotated[str, typer.Option(help="What to call it; the file's name without .car.")] = "",
    copies: Annotated[
        int | None, typer.Option(min=1, max=COPIES_MAX, help="How many machines keep each block; as configured.")
    ] = None,
    priority: Annotated[int, typer.Option(help="Higher is kept first when space is short.")] = 0,
) -> None:
    """Add what a CAR file contains.

    Version 1 or 2, from any IPFS tool. The file is checked as a whole before anything is sent, and each block again by the
    node; a file with several roots becomes several sources.

    \b
    Examples:
      ralnode import holiday.car
      ipfs dag export bafy… | ralnode import - --name photos
    """
    client, is_stdin = node_client(ctx), file == Path("-")
    params: dict[str, Any] = {"name": name or ("" if is_stdin else file.stem), "priority": priority}
    params |= {} if copies is None else {"copies": copies}
    try:
        with nullcontext(sys.stdin.buffer) if is_stdin else file.open("rb") as stream:
            size_bytes = 0 if is_stdin else _checked(ctx, file, stream)
            answers = _send(ctx, client, stream, params | {"content_bytes": size_bytes}, file.name)
    except FileNotFoundError:
        raise NotFoundError(f"there is no file {file}") from None
    for answer in answers:
        show(ctx, answer, shown)


def _checked(ctx: typer.Context, file: Path, stream: IO[bytes]) -> int:
    """The size of the file. Raises UsageError for one that no node would take: nothing needs to be stored to find out."""
    reader, size_bytes = CarReader(), file.stat().st_size
    with Meter(ctx, f"checking {file.name}", size_bytes) as meter:
        try:
            for piece in _pieces(stream):
                for _ in reader.feed(piece):
                    pass
                meter.advance(len(piece))
            reader.finish()
        except DagError as error:
            raise UsageError(f"{file} cannot be imported: {error}. Nothing was sent") from error
    if not reader.roots:
        raise UsageError(f"{file} cannot be imported: it names no root. Nothing was sent")
    stream.seek(0)
    return size_bytes


def _send(
    ctx: typer.Context, client: NodeClient, stream: IO[bytes], params: dict[str, Any], what: str
) -> list[AddedAnswer]:
    answers = []
    with Meter(ctx, what, params["content_bytes"] or None) as meter:
        for line in client.upload("/v1/import", params, _pieces(stream)):
            if "result" in line:
                answers.append(from_jsonable(AddedAnswer, line["result"]))
            else:
                meter.at(from_jsonable(AddProgress, line["progress"]).bytes_done)
    if not answers:
        raise UnavailableError("the node ended the answer too early; look at its log")
    return answers


def _pieces(stream: IO[bytes]) -> Iterator[bytes]:
    try:
        while piece := stream.read(PIECE_BYTES):
            yield piece
    except OSError as error:
        raise LocalError(f"cannot read on: {error.strerror or error}. Nothing was published") from error
