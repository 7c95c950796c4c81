"""The charts of a comparison, one function each: copies, fullness, bytes moved, processor time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ralnode.cli.render.simulation import head, milliseconds, sentence, shown_histogram
from ralnode.cli.simulating.plot.canvas import MARGIN, WIDTH, Canvas, shortened
from ralnode.cli.text import clean, size
from ralnode.core.whatif.comparing import Comparison, Figures, Situation

LEFT: Final = 190
BAR: Final = 410
RIGHT: Final = LEFT + BAR + 12
ROW: Final = 24
NODES_SHOWN_MAX: Final = 40
LABEL_MAX: Final = 24
COLOURS: Final = 8
COPIES: Final = ("no copy", "1 copy", "2 copies", "3 or more")
SHORT: Final = ("0", "1", "2", "3+")


def draw(found: Comparison) -> Canvas:
    """All of it, from top to bottom."""
    canvas = Canvas()
    canvas.down(14)
    canvas.text(MARGIN, "Planners compared", "title")
    canvas.down(24)
    for line in head(found).plain.split(". "):
        canvas.text(MARGIN, line.rstrip(".") + ".", "faint")
        canvas.down(17)
    colour = {name: f"p{place % COLOURS}" for place, name in enumerate(found.planners)}
    for place, situation in enumerate(found.situations):
        listed = found.of(situation.title)
        if listed:
            _heading(canvas, sentence(situation))
            _copies(canvas, listed)
            if place:
                _moved(canvas, listed, colour)
            _fullness(canvas, situation, listed, colour)
    if found.figures:
        _heading(canvas, "Processor time of one plan")
        _seconds(canvas, found, colour)
    for failure in found.failures:
        canvas.down(ROW)
        canvas.text(MARGIN, shortened(f"{clean(failure.planner)} was left out: {clean(failure.reason)}", 130))
    return canvas


def _heading(canvas: Canvas, text: str) -> None:
    canvas.down(18)
    canvas.line(MARGIN, WIDTH - MARGIN, 0, 0, "rule")
    canvas.down(26)
    canvas.text(MARGIN, shortened(clean(text), 100), "head")
    canvas.down(10)


def _label(canvas: Canvas, text: str) -> None:
    canvas.text(LEFT - 12, shortened(clean(text), LABEL_MAX), "end", dy=14)


def _copies(canvas: Canvas, listed: Sequence[Figures]) -> None:
    _legend(canvas, "Blocks with", [(name, f"c{place}") for place, name in enumerate(COPIES)])
    for figures in listed:
        _label(canvas, figures.planner)
        counts = shown_histogram(figures)
        whole, x = max(1, sum(counts)), float(LEFT)
        for place, count in enumerate(counts):
            width = BAR * count / whole
            if count:
                canvas.bar(
                    x, max(1.5, width), 18, f"c{place}", f"{COPIES[place]}: {count:,} blocks, {count / whole:.2%}"
                )
            x += width
        told = [f"{name}: {count / whole:.1%}" for name, count in zip(SHORT, counts, strict=True) if count]
        canvas.text(RIGHT, "  ".join(told), "faint", dy=13)
        canvas.down(ROW)


def _fullness(canvas: Canvas, situation: Situation, listed: Sequence[Figures], colour: dict[str, str]) -> None:
    _legend(canvas, "How full each node gets, by", [(figures.planner, colour[figures.planner]) for figures in listed])
    thick = 14 if len(listed) == 1 else 8
    for place, node in enumerate(situation.nodes[:NODES_SHOWN_MAX]):
        mark = " (new)" if node.name in situation.added else ""
        _label(canvas, f"{node.name}{mark}")
        for row, figures in enumerate(listed):
            full = figures.fullness[place]
            canvas.bar(LEFT, BAR, thick - 1, "empty", dy=row * thick + 2)
            hint = f"{figures.planner} on {node.name}: {size(figures.wanted_bytes[place])}, {full:.1%} of its room"
            canvas.bar(LEFT, BAR * min(1.0, full), thick - 1, colour[figures.planner], hint, dy=row * thick + 2)
        parts = " ".join(f"{figures.fullness[place]:.0%}" for figures in listed)
        canvas.text(RIGHT, f"{shortened(parts, 24)} of {size(node.room_bytes)}", "faint", dy=13)
        canvas.down(max(ROW - 4, thick * len(listed) + 7))
    if len(situation.nodes) > NODES_SHOWN_MAX:
        canvas.text(LEFT, f"… and {len(situation.nodes) - NODES_SHOWN_MAX} more nodes", "faint", dy=12)
        canvas.down(ROW)


def _moved(canvas: Canvas, listed: Sequence[Figures], colour: dict[str, str]) -> None:
    _legend(canvas, "Bytes copied because of the change; the mark is the least that these loads allow", [])
    most = max(1, *(max(figures.moved_bytes, figures.bound_bytes) for figures in listed))
    for figures in listed:
        _label(canvas, figures.planner)
        canvas.bar(LEFT, BAR, 17, "empty")
        canvas.bar(LEFT, BAR * figures.moved_bytes / most, 17, colour[figures.planner], size(figures.moved_bytes))
        at = LEFT + BAR * figures.bound_bytes / most
        canvas.line(at, at, -2, 19, "mark")
        lost = f"; {figures.lost_count:,} blocks lost" if figures.lost_count else ""
        canvas.text(RIGHT, f"{size(figures.moved_bytes)}, {figures.ratio:.2f} × the least{lost}", "faint", dy=13)
        canvas.down(ROW)


def _seconds(canvas: Canvas, found: Comparison, colour: dict[str, str]) -> None:
    _legend(canvas, "The bar is the median, the line goes up to the slowest", [])
    first = found.of(found.situations[0].title)
    most = max(1e-6, *(figures.cpu_seconds_max for figures in first))
    for figures in first:
        _label(canvas, figures.planner)
        canvas.bar(LEFT, BAR * figures.cpu_seconds_median / most, 17, colour[figures.planner])
        canvas.line(LEFT, LEFT + BAR * figures.cpu_seconds_max / most, 8.5, 8.5, "mark")
        rounds = f", {figures.rounds} rounds" if figures.rounds > 1 else ""
        told = f"{milliseconds(figures.cpu_seconds_median)}, at most {milliseconds(figures.cpu_seconds_max)}{rounds}"
        canvas.text(RIGHT, told, "faint", dy=13)
        canvas.down(ROW)


def _legend(canvas: Canvas, text: str, entries: Sequence[tuple[str, str]]) -> None:
    """In a row of its own above a chart; widths are estimated, since nothing here can measure text."""
    canvas.down(16)
    canvas.text(MARGIN, text, "faint", dy=2)
    x = MARGIN + 14 + 6.4 * len(text)
    for name, kind in entries:
        shown = shortened(clean(name), LABEL_MAX)
        if x + 24 + 7.2 * len(shown) > WIDTH - MARGIN:
            canvas.down(18)
            x = MARGIN + 14.0
        canvas.bar(x, 11, 11, kind, dy=-8)
        canvas.text(x + 16, shown, "faint", dy=2)
        x += 32 + 7.2 * len(shown)
    canvas.down(12)
