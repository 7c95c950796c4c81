"""A sheet that grows downwards, and the few SVG shapes that charts are made of. Knows nothing of planners."""

from __future__ import annotations

from typing import Final
from xml.sax.saxutils import escape, quoteattr

WIDTH: Final = 920
MARGIN: Final = 20

STYLE: Final = """
:root { --paper: #ffffff; --ink: #1d2430; --faint: #667085; --rule: #dfe3ea; --empty: #eef1f5; --mark: #1d2430;
  --c0: #d64545; --c1: #e8a33a; --c2: #4c9a6a; --c3: #3d7ea6;
  --p0: #2f6fd0; --p1: #d9762b; --p2: #2f9461; --p3: #9a55c4; --p4: #b8901c; --p5: #2b9b9b; --p6: #c64a6d; --p7: #717b88; }
@media (prefers-color-scheme: dark) { :root { --paper: #14181f; --ink: #e8ebf0; --faint: #98a2b3; --rule: #2c333f; --empty: #222934;
  --mark: #ffffff; --c0: #ef6a6a; --c1: #f0b454; --c2: #5fb583; --c3: #5b9cc6; --p0: #5c97ee; --p1: #ee9450; --p2: #4fb783;
  --p3: #ba7fe0; --p4: #d5b040; --p5: #4abcbc; --p6: #e2708f; --p7: #98a2b3; } }
svg text { font: 13px system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; fill: var(--ink); }
svg .title { font-size: 20px; font-weight: 600; } svg .head { font-size: 15px; font-weight: 600; }
svg .faint { fill: var(--faint); font-size: 12px; } svg .end { text-anchor: end; } svg .rule { stroke: var(--rule); }
svg .mark { stroke: var(--mark); stroke-width: 2; } svg .paper { fill: var(--paper); } svg .empty { fill: var(--empty); }
""" + "".join(f"svg .{kind}{n} {{ fill: var(--{kind}{n}); }} " for kind in "cp" for n in range(8 if kind == "p" else 4))
"""Colours are told apart by people who do not see red and green alike: they differ in lightness too, and numbers stand beside."""


class Canvas:
    """`y` is where the next thing goes."""

    def __init__(self) -> None:
        self.y: float = MARGIN
        self._parts: list[str] = []

    def text(self, x: float, text: str, kind: str = "", *, dy: float = 0) -> None:
        self._parts.append(f'<text x="{x:.1f}" y="{self.y + dy:.1f}" class={quoteattr(kind)}>{escape(text)}</text>')

    def bar(self, x: float, width: float, height: float, kind: str, hint: str = "", *, dy: float = 0) -> None:
        """`hint` is shown where the pointer rests."""
        title = f"<title>{escape(hint)}</title>" if hint else ""
        self._parts.append(
            f'<rect x="{x:.1f}" y="{self.y + dy:.1f}" width="{max(0.0, width):.1f}" height="{height:.1f}" '
            f"class={quoteattr(kind)}>{title}</rect>"
        )

    def line(self, x1: float, x2: float, dy1: float, dy2: float, kind: str) -> None:
        self._parts.append(
            f'<line x1="{x1:.1f}" x2="{x2:.1f}" y1="{self.y + dy1:.1f}" y2="{self.y + dy2:.1f}" class={quoteattr(kind)}/>'
        )

    def down(self, height: float) -> None:
        self.y += height

    def svg(self, label: str, style: str = "") -> str:
        """The whole picture; `style` only where no page around it has one."""
        height = self.y + MARGIN
        inner = f"<style>{style}</style>" if style else ""
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" height="{height:.0f}" '
            f'role="img" aria-label={quoteattr(label)}>{inner}<rect class="paper" width="{WIDTH}" height="{height:.0f}"/>'
            + "".join(self._parts)
            + "</svg>"
        )


def shortened(text: str, length_max: int) -> str:
    return text if len(text) <= length_max else text[: length_max - 1] + "…"
