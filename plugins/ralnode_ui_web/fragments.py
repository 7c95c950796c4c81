"""The pieces of the page that renew themselves, each under the name of its event in the stream. Renders, sends nothing.

Nodes and sources are groups: while the same ones stand in the same order only the changed ones are sent; else the whole
group is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from jinja2 import Environment
from markupsafe import Markup

from ralnode_ui_web.pages import Page

_SINGLES: Final = ("truth", "copies", "room", "repairs", "events", "plan")


@dataclass(frozen=True, slots=True)
class Group:
    """`shape` is equal while the members alone tell all that has changed."""

    name: str
    shape: object
    members: Mapping[str, Markup]
    whole: Callable[[], Markup]


@dataclass(frozen=True, slots=True)
class Fragments:
    singles: Mapping[str, Markup]
    groups: tuple[Group, ...]

    def by_name(self) -> dict[str, Markup]:
        """For the page as a whole."""
        return {**self.singles, **{group.name: group.whole() for group in self.groups}}


class Seen:
    """What one browser shows: a hash per fragment, so that only news are sent."""

    def __init__(self) -> None:
        self._hashes: dict[str, int] = {}

    def take(self, fragments: Fragments) -> None:
        """The browser has got all of it."""
        for _name, _html in self.news(fragments, render=False):
            pass

    def news(self, fragments: Fragments, *, render: bool = True) -> Iterator[tuple[str, Markup]]:
        """(name, HTML) of what this browser does not show yet; from now on it does."""
        for name, html in fragments.singles.items():
            if self._is_new(name, html):
                yield name, html
        for group in fragments.groups:
            is_reshaped = self._is_new(f"shape of {group.name}", group.shape)
            changed = [(name, html) for name, html in group.members.items() if self._is_new(name, html)]
            if not is_reshaped:
                yield from changed
            elif render:
                yield group.name, group.whole()

    def _is_new(self, name: str, value: object) -> bool:
        fresh = hash(value)
        is_new = self._hashes.get(name) != fresh
        self._hashes[name] = fresh
        return is_new


def fragments_of(templates: Environment, page: Page, *, may_change: bool) -> Fragments:
    def part(name: str, **values: Any) -> Markup:
        # From a template with autoescape on, so what stands in it has been escaped.
        return Markup(templates.get_template(f"parts/{name}.html").render(values))  # noqa: S704

    nodes = {f"node-{node.key}": part("node", node=node) for node in page.nodes}
    sources = {f"source-{row.key}": part("source", source=row) for row in page.sources.rows}
    maps = {f"map-{row.key}": part("map", source=row) for row in page.sources.rows}
    inner = {**nodes, **sources, **maps}
    singles = {name: part(name, may_change=may_change, **{name: getattr(page, name)}) for name in _SINGLES}
    singles["spoken"] = Markup.escape(page.truth.spoken)
    singles["count"] = part("count", sources=page.sources)
    return Fragments(
        singles,
        (
            Group(
                "nodes",
                tuple((node.key, node.name, node.is_up, node.is_draining) for node in page.nodes),
                nodes,
                lambda: part("nodes", nodes=page.nodes, inner=inner, may_change=may_change),
            ),
            Group(
                "sources",
                _list_shape(page),
                {**sources, **maps},
                lambda: part("sources", sources=page.sources, inner=inner, may_change=may_change),
            ),
        ),
    )


def _list_shape(page: Page) -> object:
    listed = page.sources
    rows = tuple((row.key, row.name) for row in listed.rows)
    return rows, listed.query, listed.matching, listed.total, listed.pages
