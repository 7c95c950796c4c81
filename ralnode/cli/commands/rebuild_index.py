"""`ralnode rebuild-index`."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass

import typer
from rich.text import Text

from ralnode.api import NotFoundError
from ralnode.cli.context import load_config
from ralnode.cli.lazy import load
from ralnode.cli.output import show
from ralnode.cli.progress import Meter
from ralnode.cli.text import count


@dataclass(frozen=True, slots=True)
class Rebuilt:
    block_count: int
    data_dir: str


def command(ctx: typer.Context) -> None:
    """Make the index of the block store anew; the node must be stopped.

    Reads all segments. For when the index was lost or damaged; the blocks themselves are not touched.

    \b
    Example:
      ralnode stop && ralnode rebuild-index && ralnode run
    """
    config = load_config(ctx)
    folder = config.node.data_dir
    if folder is None or not folder.is_dir():
        raise NotFoundError(f"there is no node in {folder}; point [node] data_dir (or --config) to the right place")
    plugins = load("ralnode.host.plugins", "load")(load("ralnode.host.plugin_find", "Where")(os.environ))
    rebuild = load("ralnode.host.rebuilding", "rebuild_index")
    with Meter(ctx, "rebuilding the index", None) as meter:
        found = asyncio.run(rebuild(config, plugins, os.environ, meter.at))
    show(ctx, Rebuilt(found, str(folder)), lambda done: Text(f"the index is new: {count(done.block_count, 'block')}"))
