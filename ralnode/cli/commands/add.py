"""`ralnode add`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from ralnode.api import UnavailableError, UsageError
from ralnode.api.limits import COPIES_MAX
from ralnode.cli.client import NodeClient
from ralnode.cli.context import node_client
from ralnode.cli.cutting import ChunkSize, Hidden, MaxLinks, ProfileName, RawLeaves
from ralnode.cli.output import show
from ralnode.cli.packing import pack, survey
from ralnode.cli.progress import Meter
from ralnode.cli.pulling import pull, refuse_with_from
from ralnode.cli.text import clean, count, size
from ralnode.dag.profile import V1_2025
from ralnode.host.answers import AddedAnswer, AddProgress
from ralnode.host.ingest.localtree import resolve
from ralnode.host.ingest.model import Item
from ralnode.host.jsonable import from_jsonable


def command(
    ctx: typer.Context,
    *,
    paths: Annotated[list[Path], typer.Argument(metavar="PATH…", help="Files and folders; with --from: CIDs.")],
    gateway: Annotated[
        str, typer.Option("--from", metavar="URL", help="Pull from this IPFS gateway instead, such as a Kubo's.")
    ] = "",
    insecure: Annotated[
        bool, typer.Option("--insecure", help="With --from: take any certificate; the blocks are checked all the same.")
    ] = False,
    name: Annotated[str, typer.Option(help="What to call it in the cluster; the last part of the path.")] = "",
    copies: Annotated[
        int | None, typer.Option(min=1, max=COPIES_MAX, help="How many machines keep each block; as configured.")
    ] = None,
    priority: Annotated[int, typer.Option(help="Higher is kept first when space is short.")] = 0,
    hidden: Hidden = False,
    link: Annotated[
        bool, typer.Option("--link", help="By reference: no second copy here; the node must be able to read it.")
    ] = False,
    profile: ProfileName = V1_2025.name,
    chunk_size: ChunkSize = None,
    max_links: MaxLinks = None,
    raw_leaves: RawLeaves = None,
) -> None:
    """Add files or folders to the cluster.

    The node on this machine stores the files, and they spread from there. If it is interrupted, the same command
    goes on where it stopped. With --link the node reads the file where it lies, so that nothing is stored twice. With --from the
    node fetches what has these CIDs from a trustless gateway (any Kubo's port 8080), and checks every block.

    \b
    Examples:
      ralnode add holiday
      ralnode add *.iso --copies 3
      ralnode add /srv/films --link --priority 5
      ralnode add --from http://192.168.1.5:8080 bafybeid… --name photos
    """
    if name and len(paths) > 1:
        raise UsageError("--name fits one path; leave it out, or add the paths one by one")
    params: dict[str, Any] = {
        "name": name, "copies": copies, "priority": priority, "profile": profile, "chunk_size": chunk_size,
        "max_links": max_links, "raw_leaves": raw_leaves,
    }  # fmt: skip
    client = node_client(ctx)
    given = {key: value for key, value in params.items() if value not in (None, "")}
    if gateway:
        refuse_with_from(given, link=link, hidden=hidden)
        for answer in pull(ctx, client, gateway, list(map(str, paths)), {**given, "insecure": insecure}):
            show(ctx, answer, shown)
        return
    if insecure:
        raise UsageError("--insecure is of use with --from only; leave it out")
    for path in paths:
        send = add_linked if link else add_streamed
        answer = send(ctx, client, path, given, hidden=hidden)
        show(ctx, answer, shown)


def add_linked(
    ctx: typer.Context, client: NodeClient, path: Path, params: dict[str, Any], *, hidden: bool
) -> AddedAnswer:
    lines = client.lines("POST", "/v1/add-path", {"path": str(resolve(path)), "hidden": hidden, **params})
    with Meter(ctx, path.name, None) as meter:
        return _follow(lines, meter)


def add_streamed(
    ctx: typer.Context, client: NodeClient, path: Path, params: dict[str, Any], *, hidden: bool
) -> AddedAnswer:
    top = resolve(path)

    def offsets_of(items: Sequence[Item]) -> Sequence[int]:
        files = [[item.origin, item.stamp.size_bytes, item.stamp.mtime_ns] for item in items]
        return [int(offset) for offset in client.post("/v1/add-offsets", params, {"files": files})["offsets"]]

    found = survey(top, offsets_of, hidden=hidden)
    with client.lender() as lender, Meter(ctx, top.name, found.content_bytes) as meter:
        body = pack(top, offsets_of if found.here_bytes else _nothing_is_there, lender.lend, hidden=hidden)
        return _follow(client.upload("/v1/add", {"name": top.name, **asdict(found), **params}, body), meter)


def _nothing_is_there(items: Sequence[Item]) -> Sequence[int]:
    return [0] * len(items)


def _follow(lines: Iterator[dict[str, Any]], meter: Meter) -> AddedAnswer:
    """Progress until the result comes."""
    for line in lines:
        if "result" in line:
            return from_jsonable(AddedAnswer, line["result"])
        progress = from_jsonable(AddProgress, line["progress"])
        meter.at(progress.bytes_done, progress.bytes_total or None)
    raise UnavailableError("the node ended the answer too early; look at its log. The same command goes on from there")


def shown(answer: AddedAnswer) -> Text:
    """Also for `import` and `sources import`."""
    kept = " by reference" if answer.is_linked else ""
    again = f", {size(answer.reused_bytes)} were here already" if answer.reused_bytes else ""
    return Text(
        f"added {clean(answer.name)}  {size(answer.size_bytes)} in {count(answer.leaf_count, 'block')}{kept}{again}\n{answer.root}"
    )
