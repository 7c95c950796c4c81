"""The map of blocks of one source: a row per node, drawn as a few SVG paths. Pure.

Runs of equal cells are one rectangle, so that a full row costs a few bytes: 10,000 sources of many nodes fit a page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from ralnode.api import SourceStatus
from ralnode_ui_web.words import key, percent

_DIGITS: Final = "0123456789"
_FULL: Final = 9
_SHADES: Final[tuple[str, ...]] = ("s1", "s2", "s3", "s4")
_SHADE_OF: Final = ("", "s1", "s1", "s1", "s2", "s2", "s2", "s3", "s3", "s4")
"""By level: the class of what of a stretch is stored."""
CELLS_MAX: Final = 64
"""More than the core ever sends; the strings may come from elsewhere."""


@dataclass(frozen=True, slots=True)
class MapRow:
    key: str
    node: str
    is_me: bool
    is_up: bool
    cells: int
    paths: tuple[tuple[str, str], ...]
    """(class, path in units of one cell by ten): shades of stored, `w` wanted, `m` missing."""
    text: str
    """The same in words."""


@dataclass(frozen=True, slots=True)
class NodeLabel:
    name: str
    is_me: bool
    is_up: bool


def rows(
    source: SourceStatus, nodes: Mapping[str, NodeLabel], wanted: Mapping[str, str] | None = None
) -> tuple[MapRow, ...]:
    """Of every node that stores or wants something of it. `wanted`: what each node's own plan says, where it was asked;
    else only this node's is known."""
    wants = source.wanted if wanted is None else {**source.wanted, **wanted}
    ids = [node for node in {**source.stored, **wants} if source.stored.get(node) or wants.get(node)]
    ids.sort(key=lambda node: (nodes[node].name if node in nodes else node, node))
    return tuple(_row(node, nodes, source.stored.get(node, ""), wants.get(node)) for node in ids)


def _row(node: str, nodes: Mapping[str, NodeLabel], stored: str, wanted: str | None) -> MapRow:
    label = nodes.get(node, NodeLabel(node[:16], False, False))
    count = max(1, min(CELLS_MAX, max(len(stored), len(wanted or ""))))
    have, want = _levels(stored, count), _levels(wanted or "", count)
    shades = [_SHADE_OF[level] for level in have]
    paths = [(shade, _path([each == shade for each in shades], 0, 7)) for shade in _SHADES if shade in shades]
    paths.append(("w", _path([level > 0 for level in want], 8, 2)))
    paths.append(("m", _path([w > h for w, h in zip(want, have, strict=True)], 8, 2)))
    return MapRow(
        key=key(node),
        node=label.name,
        is_me=label.is_me,
        is_up=label.is_up,
        cells=count,
        paths=tuple((css, path) for css, path in paths if path),
        text=_text(label.name, have, want if wanted is not None else None),
    )


def _levels(cells: str, count: int) -> list[int]:
    return [int(cell) if cell in _DIGITS else 0 for cell in cells[:count].ljust(count, "0")]


def _path(cells: list[bool], top: int, height: int) -> str:
    parts, at = [], 0
    for is_on, run in groupby(cells):
        width = len(list(run))
        if is_on:
            parts.append(f"M{at} {top}h{width}v{height}h-{width}z")
        at += width
    return "".join(parts)


def _text(name: str, have: list[int], want: list[int] | None) -> str:
    whole = _FULL * len(have)
    said = f"{name} stores about {percent(sum(have), whole)} % of it"
    if want is None:
        return said
    lacking = sum(max(0, w - h) for w, h in zip(want, have, strict=True))
    said += f", wants {percent(sum(want), whole)} %"
    return said + (f", and lacks {percent(lacking, whole)} %" if lacking else "")
