"""The options that say how content is cut into blocks, the same for `add`, `cid` and `sources`."""

from __future__ import annotations

from typing import Annotated

import typer

from ralnode.api import UsageError
from ralnode.dag.errors import DagError
from ralnode.dag.profile import PROFILES, Profile, choose

ProfileName = Annotated[str, typer.Option("--profile", metavar="NAME", help=f"How it is cut: {', '.join(PROFILES)}.")]
ChunkSize = Annotated[str | None, typer.Option(metavar="SIZE", help="Instead of the profile's, e.g. 256KiB.")]
MaxLinks = Annotated[int | None, typer.Option(metavar="N", help="Instead of the profile's.")]
RawLeaves = Annotated[bool | None, typer.Option("--raw-leaves/--no-raw-leaves", help="Instead of the profile's.")]
Hidden = Annotated[bool, typer.Option("--hidden", help="Also files and folders that begin with a dot.")]


def chosen(name: str, chunk_size: str | None, max_links: int | None, raw_leaves: bool | None) -> Profile:
    """Raises UsageError for a profile that is not known or parameters that make no sense."""
    try:
        return choose(name, chunk_size=chunk_size, max_links=max_links, raw_leaves=raw_leaves)
    except DagError as error:
        raise UsageError(str(error)) from error
