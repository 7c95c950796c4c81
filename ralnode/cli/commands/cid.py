"""`ralnode cid`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from ralnode.cli.cutting import ChunkSize, Hidden, MaxLinks, ProfileName, RawLeaves, chosen
from ralnode.cli.hashing import built_of
from ralnode.cli.output import show
from ralnode.cli.progress import Meter
from ralnode.cli.text import clean
from ralnode.dag import cid
from ralnode.dag.profile import V1_2025


@dataclass(frozen=True, slots=True)
class CidOf:
    path: str
    cid: str
    size_bytes: int
    profile: str


def command(
    ctx: typer.Context,
    *,
    paths: Annotated[list[Path], typer.Argument(metavar="PATH…", help="Files and folders.")],
    profile: ProfileName = V1_2025.name,
    chunk_size: ChunkSize = None,
    max_links: MaxLinks = None,
    raw_leaves: RawLeaves = None,
    hidden: Hidden = False,
) -> None:
    """Print the CID of a file or folder; no node is needed.

    It is the one that `ralnode add` with the same options gives, and, with the profiles of IPIP-499, other IPFS tools.

    \b
    Examples:
      ralnode cid holiday
      ralnode cid disk.iso --profile unixfs-v0-2015      as a plain `ipfs add`
    """
    cut = chosen(profile, chunk_size, max_links, raw_leaves)
    for path in paths:
        with Meter(ctx, path.name, None) as meter:
            built = built_of(path, cut, meter.advance, hidden=hidden)
        answer = CidOf(str(path), cid.to_text(built.cid), built.content_bytes, cut.name)
        show(ctx, answer, lambda found: Text(found.cid + (f"  {clean(found.path)}" if len(paths) > 1 else "")))
