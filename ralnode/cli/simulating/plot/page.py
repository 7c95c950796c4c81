"""The picture as one file that needs no other: an SVG by itself, or a page with the figures as tables below it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from html import escape
from typing import Final, TypeAlias

from ralnode.cli.render.simulation import milliseconds, remarks, sentence, shown_histogram
from ralnode.cli.simulating.plot.canvas import STYLE
from ralnode.cli.simulating.plot.charts import draw
from ralnode.cli.text import clean, size
from ralnode.core.whatif.comparing import Comparison, Figures

Writer: TypeAlias = Callable[[Comparison], str]

LABEL: Final = "Planners compared: copies of each block, bytes moved, how full each node gets, processor time"
_PAGE_STYLE: Final = """
html { color-scheme: light dark; } body { margin: 0 auto; max-width: 960px; padding: 16px; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
svg { min-width: 720px; width: 100%; height: auto; display: block; } .wide { overflow-x: auto; } h2 { font-size: 17px; margin: 24px 0 8px; }
table { border-collapse: collapse; white-space: nowrap; font-size: 13px; } th, td { padding: 4px 10px 4px 0; text-align: right; border-bottom: 1px solid
  var(--rule); } th:first-child, td:first-child { text-align: left; } th { color: var(--faint); font-weight: 500; } p { color: var(--faint); }
"""
_COLUMNS: Final = (
    "Planner", "0 copies", "1 copy", "2 copies", "3+", "Too few", "Fullness", "Lost", "Moved", "The least", "×", "Plans",
    "CPU of a plan",
)  # fmt: skip


def svg(found: Comparison) -> str:
    """A document by itself."""
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + draw(found).svg(LABEL, STYLE) + "\n"


def html(found: Comparison) -> str:
    """Picture, tables, remarks. Whatever comes from names is escaped."""
    tables = "".join(
        f"<h2>{escape(clean(sentence(situation)))}</h2>{_table(found.of(situation.title))}"
        for situation in found.situations
    )
    notes = "".join(f"<p>{escape(note.plain)}</p>" for note in remarks(found))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f'<title>Planners compared</title><style>{STYLE}{_PAGE_STYLE}</style></head><body><div class="wide">{draw(found).svg(LABEL)}</div>'
        f"{tables}{notes}</body></html>\n"
    )


def _table(listed: Iterable[Figures]) -> str:
    rows = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in _cells(each))}</tr>" for each in listed)
    heads = "".join(f"<th>{escape(column)}</th>" for column in _COLUMNS)
    return f'<div class="wide"><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'


def _cells(figures: Figures) -> list[str]:
    return [
        clean(figures.planner), *(f"{count:,}" for count in shown_histogram(figures)), f"{figures.below_count:,}",
        f"{min(figures.fullness, default=0):.0%}…{max(figures.fullness, default=0):.0%}", f"{figures.lost_count:,}",
        size(figures.moved_bytes), size(figures.bound_bytes), f"{figures.ratio:.2f}", f"{figures.plan_count:,}",
        f"{milliseconds(figures.cpu_seconds_median)}, at most {milliseconds(figures.cpu_seconds_max)}",
    ]  # fmt: skip
