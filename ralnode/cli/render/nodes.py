"""Nodes as a table with a bar of what each has used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.table import Table
from rich.text import Text

from ralnode.api import Liveness, NodeStatus
from ralnode.cli.render.health import LIVENESS
from ralnode.cli.text import clean, duration, size

BAR_CELLS: Final = 20
_EIGHTHS: Final = " ▏▎▍▌▋▊▉█"


def table(nodes: Sequence[NodeStatus], *, with_address: bool = False) -> Table:
    """One row per node; those that are gone are grey, with the countdown to repair."""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    made.add_column("NODE", overflow="fold")
    made.add_column("STATE")
    made.add_column("USED OF CAPACITY")
    made.add_column("WANTED", justify="right")
    made.add_column("STORED", justify="right")
    made.add_column("IN", justify="right")
    made.add_column("OUT", justify="right")
    if with_address:
        made.add_column("ADDRESS", overflow="fold")
        made.add_column("ZONE", overflow="fold")
        made.add_column("VERSION")
    for node in nodes:
        extra = (clean(node.address), clean(node.zone), clean(node.version)) if with_address else ()
        style = "" if node.liveness in (Liveness.ALIVE, Liveness.SUSPECT) else "dim"
        made.add_row(
            clean(node.name) + (" *" if node.is_me else ""),
            state(node),
            Text(f"{bar(node.used_bytes, node.capacity_bytes)} {size(node.used_bytes)} of {size(node.capacity_bytes)}"),
            f"{node.wanted_count:,}",
            f"{node.stored_count:,}" + (f" +{node.linked_count:,} by reference" if node.linked_count else ""),
            rate(node.receive_bytes_per_second),
            rate(node.send_bytes_per_second),
            *extra,
            style=style,
        )
    return made


def state(node: NodeStatus) -> Text:
    """What it does while it lives; else since when it is gone and when its share moves on."""
    if node.liveness is Liveness.ALIVE:
        return Text("draining" if node.draining else clean(node.activity) or "alive", style=LIVENESS[node.liveness])
    text = f"{node.liveness.value}, {duration(node.last_seen_seconds)} ago"
    if node.repair_in_seconds is not None:
        text += f", repair in {duration(node.repair_in_seconds)}"
    return Text(text, style=LIVENESS[node.liveness])


def bar(part: float, whole: float, cells: int = BAR_CELLS) -> str:
    """`████▌     `, in eighths of a cell."""
    filled = 0 if whole <= 0 else round(min(1.0, max(0.0, part / whole)) * cells * 8)
    full, eighth = divmod(filled, 8)
    return ("█" * full + (_EIGHTHS[eighth] if eighth else "")).ljust(cells, "·")


def rate(bytes_per_second: float) -> str:
    return f"{size(bytes_per_second)}/s" if bytes_per_second >= 1 else ""
