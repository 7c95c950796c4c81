"""Plugins found, and those refused with the reason."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ralnode.cli.text import clean, count
from ralnode.host.answers import PluginsAnswer


def whole(answer: PluginsAnswer) -> RenderableType:
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("NAME", "ROLE", "OFFERS", "", "VERSION", "ORIGIN", "SUMMARY"):
        made.add_column(column, overflow="fold")
    for line in answer.plugins:
        made.add_row(
            clean(line.name), line.role, clean(", ".join(line.providers)),
            Text("active", style="green") if line.active else Text("not used", style="dim"),
            clean(line.version), clean(line.origin), clean(line.summary),
        )  # fmt: skip
    parts: list[RenderableType] = [made]
    if answer.refused:
        parts += [Text(), Text(f"{count(len(answer.refused), 'plugin')} refused:", style="bold red")]
        parts += [Text(f"  {clean(r.name)} ({clean(r.origin)}): {clean(r.reason)}") for r in answer.refused]
    return Group(*parts)
