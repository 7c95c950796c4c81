"""A comparison of planners as tables for a terminal: one line per planner and situation, then how full each node gets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ralnode.cli.render.nodes import bar
from ralnode.cli.text import clean, count, size
from ralnode.core.whatif.comparing import Comparison, Figures, Situation

COPIES_SHOWN_MAX: Final = 3
"""Columns 0, 1, 2 and 3 or more."""

NODES_SHOWN_MAX: Final = 24
BAR_CELLS: Final = 10


def whole(found: Comparison) -> RenderableType:
    parts: list[RenderableType] = [head(found)]
    for place, situation in enumerate(found.situations):
        listed = found.of(situation.title)
        if not listed:
            continue
        parts += [Text(), Text(clean(sentence(situation)), style="bold")]
        parts.append(_copies(listed, has_change=place > 0))
        parts.append(_fullness(situation, listed))
    parts += [Text(), *remarks(found)]
    return Group(*parts)


def head(found: Comparison) -> Text:
    """What was simulated, in one or two sentences."""
    text = (
        f"{size(found.data_bytes)} in {count(found.source_count, 'source')}, {count(found.real_block_count, 'block')}: with all "
        f"copies {size(found.asked_bytes)} of the {size(found.room_bytes)} that {count(len(found.situations[0].nodes), 'node')} "
        "have room for."
    )
    if found.block_count < found.real_block_count:
        text += f" Simulated with {found.block_count:,} larger blocks (--blocks)."
    return Text(text)


def sentence(situation: Situation) -> str:
    """With what no planner could help."""
    text = f"The cluster {situation.title}"
    if situation.unavoidable_count:
        text += f": there is no room for all copies of at least {count(situation.unavoidable_count, 'block')}"
    return text


def _copies(listed: list[Figures], *, has_change: bool) -> Table:
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    made.add_column("PLANNER", overflow="fold")
    for copies in range(COPIES_SHOWN_MAX):
        made.add_column(f"{copies} {'COPY' if copies == 1 else 'COPIES'}", justify="right")
    made.add_column(f"{COPIES_SHOWN_MAX}+", justify="right")
    columns = [
        "TOO FEW",
        "FULL",
        *(["LOST", "MOVED", "THE LEAST", "×"] if has_change else []),
        "PLANS",
        "CPU OF A PLAN",
    ]
    for column in columns:
        made.add_column(column, justify="right")
    for figures in listed:
        made.add_row(clean(figures.planner), *_row(figures, has_change=has_change))
    return made


def _row(figures: Figures, *, has_change: bool) -> Iterator[str | Text]:
    none, *some = shown_histogram(figures)
    yield Text(f"{none:,}", style="bold red" if none else "")
    yield from (f"{each:,}" for each in some)
    yield Text(f"{figures.below_count:,}", style="yellow" if figures.below_count else "green")
    yield f"{min(figures.fullness, default=0):.0%}…{max(figures.fullness, default=0):.0%}"
    if has_change:
        yield Text(f"{figures.lost_count:,}", style="bold red" if figures.lost_count else "")
        yield size(figures.moved_bytes)
        yield size(figures.bound_bytes)
        yield f"{figures.ratio:.2f}"
    yield f"{figures.plan_count:,}"
    yield f"{milliseconds(figures.cpu_seconds_median)}, at most {milliseconds(figures.cpu_seconds_max)}"


def shown_histogram(figures: Figures) -> list[int]:
    """Blocks with 0, 1, 2 and with more copies."""
    padded = [*figures.histogram, *[0] * (COPIES_SHOWN_MAX + 1)]
    return [*padded[:COPIES_SHOWN_MAX], sum(padded[COPIES_SHOWN_MAX:])]


def _fullness(situation: Situation, listed: list[Figures]) -> Table:
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    made.add_column("NODE", overflow="fold")
    made.add_column("ROOM", justify="right")
    for figures in listed:
        made.add_column(f"FULL BY {clean(figures.planner)}")
    for place, node in enumerate(situation.nodes[:NODES_SHOWN_MAX]):
        mark = " (new)" if node.name in situation.added else ""
        zone = f" @{node.zone}" if node.zone else ""
        cells = [f"{bar(f.fullness[place], 1, BAR_CELLS)} {f.fullness[place]:4.0%}" for f in listed]
        made.add_row(clean(f"{node.name}{zone}{mark}"), size(node.room_bytes), *cells)
    if len(situation.nodes) > NODES_SHOWN_MAX:
        made.add_row(f"… and {len(situation.nodes) - NODES_SHOWN_MAX} more", "", style="dim")
    return made


def remarks(found: Comparison) -> Iterator[Text]:
    """What is wrong, and what the words mean."""
    for failure in found.failures:
        yield Text(f"{clean(failure.planner)} was left out: {clean(failure.reason)}", style="bold red")
    for figures in found.figures:
        for remark in figures.remarks:
            yield Text(f"{clean(figures.planner)}, {clean(figures.situation)}: {clean(remark)}.", style="yellow")
        if figures.one_zone_count:
            zones = f"{count(figures.one_zone_count, 'block')} with all copies in one zone"
            yield Text(f"{clean(figures.planner)}, {clean(figures.situation)}: {zones}.", style="yellow")
    yield Text(
        "TOO FEW: blocks with fewer copies than asked for. FULL: the emptiest and the fullest node. LOST: all copies were on the "
        "nodes that are gone. THE LEAST: no plan that loads the nodes so can move less. PLANS: of all nodes, until nothing changed.",
        style="dim",
    )


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds < 10 else f"{seconds:.1f} s"
