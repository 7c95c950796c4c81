"""The list of sources: searched, filtered, sorted and cut into pages here, since there may be 10,000. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import urlencode

from ralnode.api import ClusterStatus, Health, SourceStatus
from ralnode_ui_web.blockmap import MapRow, NodeLabel, rows
from ralnode_ui_web.nodecards import UP
from ralnode_ui_web.words import counted, iso, key, percent, size

QUERY_CHARS_MAX: Final = 200
MAP_ROWS_MAX: Final = 120
"""Rows of maps on one page; maps of further sources are one click away."""
_RANK: Final = {
    Health.UNAVAILABLE: 0,
    Health.AT_RISK: 1,
    Health.REPAIRING: 2,
    Health.FULL: 3,
    Health.HEALTHY: 4,
}
_ORDERS: Final[Mapping[str, Callable[[SourceStatus], Any]]] = {
    "health": lambda source: (_RANK[source.health], source.name, source.root),
    "name": lambda source: (source.name, source.root),
    "size": lambda source: (-source.size_bytes, source.name, source.root),
    "new": lambda source: (-source.added_unix_ms, source.name, source.root),
}
ORDER_NAMES: Final = {"health": "worst first", "name": "by name", "size": "largest first", "new": "newest first"}


@dataclass(frozen=True, slots=True)
class Query:
    """What somebody looks for; from the address of the page, so anything may stand in it."""

    text: str = ""
    health: str = ""
    """`short`: only those that are not healthy."""
    order: str = "health"
    page: int = 1

    @staticmethod
    def of(params: Mapping[str, str]) -> Query:
        page = params.get("page", "1")
        order = params.get("order", "health")
        return Query(
            text=params.get("q", "").strip()[:QUERY_CHARS_MAX],
            health="short" if params.get("health") == "short" else "",
            order=order if order in _ORDERS else "health",
            page=int(page) if page.isascii() and page.isdecimal() and len(page) <= 6 else 1,
        )

    def href(self, **changes: Any) -> str:
        """The status page with this query."""
        query = replace(self, **changes)
        given = {"q": query.text, "health": query.health, "order": query.order, "page": query.page}
        plain = Query()
        usual = {"q": plain.text, "health": plain.health, "order": plain.order, "page": plain.page}
        kept = {name: value for name, value in given.items() if value != usual[name]}
        text = urlencode(kept, errors="backslashreplace")
        return f"/dashboard?{text}#sources" if text else "/dashboard#sources"


@dataclass(frozen=True, slots=True)
class SourceRow:
    key: str
    name: str
    root: str
    size: str
    blocks: str
    copies: str
    health: str
    css: str
    added: str
    is_directory: bool
    levels: tuple[tuple[str, int, int], ...]
    """The bar of copies: (class, start, width) in thousandths, fewest copies first."""
    percent: int
    """How many of the copies asked for exist."""
    map: tuple[MapRow, ...] | None
    """None: left out, see MAP_ROWS_MAX."""


@dataclass(frozen=True, slots=True)
class SourcePage:
    query: Query
    rows: tuple[SourceRow, ...]
    matching: int
    total: int
    total_size: str
    first: int
    page: int
    pages: int
    short: int
    """Sources that are not healthy, whatever is looked for."""


def source_page(status: ClusterStatus, query: Query, page_size: int) -> SourcePage:
    found = _matching(status.sources, query)
    found.sort(key=_ORDERS[query.order])
    pages = max(1, -(-len(found) // page_size))
    page = min(max(1, query.page), pages)
    shown = found[(page - 1) * page_size : page * page_size]
    return SourcePage(
        query=replace(query, page=page),
        rows=_rows(shown, labels(status), page_size),
        matching=len(found),
        total=len(status.sources),
        total_size=size(sum(source.size_bytes for source in status.sources)),
        first=(page - 1) * page_size + 1 if found else 0,
        page=page,
        pages=pages,
        short=sum(source.health not in (Health.HEALTHY, Health.FULL) for source in status.sources),
    )


def labels(status: ClusterStatus) -> dict[str, NodeLabel]:
    return {node.id: NodeLabel(node.name, node.is_me, node.liveness in UP) for node in status.nodes}


def css_of(health: Health) -> str:
    return health.value.replace(" ", "-")


def source_row(source: SourceStatus, map_rows: tuple[MapRow, ...] | None) -> SourceRow:
    there = sum(level * count for level, count in enumerate(source.histogram[: source.copies]))
    there += source.copies * sum(source.histogram[source.copies :])
    return SourceRow(
        key=key(source.root),
        name=source.name,
        root=source.root,
        size=size(source.size_bytes),
        blocks=counted(source.leaf_count, "block", "blocks"),
        copies=_copies(source),
        health=source.health.value,
        css=css_of(source.health),
        added=iso(source.added_unix_ms) if source.added_unix_ms else "",
        is_directory=source.is_directory,
        levels=_levels(source),
        percent=100 if source.health is Health.HEALTHY else percent(there, source.copies * source.leaf_count),
        map=map_rows,
    )


def _matching(sources: Sequence[SourceStatus], query: Query) -> list[SourceStatus]:
    found = list(sources)
    if query.health:
        found = [source for source in found if source.health not in (Health.HEALTHY, Health.FULL)]
    if query.text:
        word = query.text.casefold()
        found = [s for s in found if word in s.name.casefold() or s.root.startswith(query.text)]
    return found


def _rows(shown: Sequence[SourceStatus], nodes: Mapping[str, NodeLabel], page_size: int) -> tuple[SourceRow, ...]:
    left, made = MAP_ROWS_MAX, []
    for source in shown:
        map_rows: tuple[MapRow, ...] | None = None
        width = len(source.stored.keys() | source.wanted.keys())
        if width <= left:
            map_rows = rows(source, nodes)
            left -= width
        made.append(source_row(source, map_rows))
    return tuple(made)


def _levels(source: SourceStatus) -> tuple[tuple[str, int, int], ...]:
    made, at, total = [], 0, max(1, source.leaf_count)
    for level, count in enumerate(source.histogram):
        width = 1000 * count // total
        if count:
            enough = level >= source.copies or source.health is Health.HEALTHY
            made.append(("enough" if enough else "none" if not level else "few", at, max(3, width)))
            at += width
    return tuple(made)


def _copies(source: SourceStatus) -> str:
    if source.unreachable_count:
        return f"{source.unreachable_count:,} of {source.leaf_count:,} blocks out of reach"
    counts = source.histogram[: source.copies]
    short = sum(counts)
    if not short or source.health is Health.HEALTHY:
        return f"{source.copies} of {counted(source.copies, 'copy', 'copies')}"
    lowest = next(level for level, count in enumerate(counts) if count)
    return f"at least {lowest} of {source.copies} copies, {counted(short, 'block', 'blocks')} short"
