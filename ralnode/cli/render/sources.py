"""Sources as a table, and one source in full with the map of its blocks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ralnode.api import SourceStatus
from ralnode.cli.render import health
from ralnode.cli.text import clean, size
from ralnode.host.answers import SourceAnswer

_SHADES: Final = " ▁▂▃▄▅▅▆▇█"
"""A digit of the map: tenths of a stretch that a node has."""


def table(sources: Sequence[SourceStatus]) -> RenderableType:
    if not sources:
        return Text("nothing yet; add something with: ralnode add PATH", style="dim")
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    made.add_column("NAME", overflow="fold")
    made.add_column("SIZE", justify="right")
    made.add_column("COPIES", justify="right")
    made.add_column("HEALTH")
    made.add_column("BLOCKS", justify="right")
    made.add_column("CID", overflow="fold")
    for source in sources:
        name = clean(source.name) + ("/" if source.is_directory else "")
        made.add_row(
            name,
            size(source.size_bytes),
            copies(source),
            health.word(source.health),
            f"{source.leaf_count:,}",
            source.root,
        )
    return made


def copies(source: SourceStatus) -> str:
    """`2`, or `1 of 2` when some block has fewer than wanted."""
    least = next((count for count, leaves in enumerate(source.histogram) if leaves), source.copies)
    return str(source.copies) if least >= min(source.copies, 3) else f"{least} of {source.copies}"


def one(answer: SourceAnswer) -> RenderableType:
    """Everything about a source; a line of the map per node that has any of it."""
    status = answer.status
    added = f"{datetime.fromtimestamp(status.added_unix_ms / 1000).astimezone():%Y-%m-%d %H:%M}"
    head = Text.assemble(
        (clean(status.name), "bold"), "  ", health.word(status.health), "\n",
        f"CID      {status.root}\n",
        f"size     {size(status.size_bytes)} in {status.leaf_count:,} blocks, {answer.interior_count:,} nodes of metadata\n",
        f"copies   {status.copies} wanted; blocks with 0, 1, 2, 3 or more: "
        f"{', '.join(f'{n:,}' for n in status.histogram)}\n",
        f"added    {added}, priority {answer.priority}\n",
    )  # fmt: skip
    holders = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("HOLDER", "OWN COPIES", "BY REFERENCE", "WHERE"):
        holders.add_column(column, justify="right" if column in ("OWN COPIES", "BY REFERENCE") else "left")
    for line in answer.holders:
        shades = "".join(_SHADES[int(digit)] for digit in status.stored.get(line.node, ""))
        holders.add_row(
            clean(line.name),
            f"{line.owned_count:,}",
            f"{line.linked_count:,}",
            shades,
            style="" if line.is_live else "dim",
        )
    return Group(head, holders)
