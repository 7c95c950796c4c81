"""The status page of 10,000 sources on six nodes: its size, the time to make it, what a change costs the stream.

The baseline beside it is json.dumps of the same status, which /api/v1/status would cost in any case.
"""

from __future__ import annotations

import dataclasses
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pairs import Figure, report, speed_ratio

import ralnode_ui_web
from ralnode.api import ClusterStatus
from ralnode_ui_web.fragments import Fragments, Seen, fragments_of
from ralnode_ui_web.history import History
from ralnode_ui_web.options import WebOptions
from ralnode_ui_web.pages import make_page
from ralnode_ui_web.sourcelist import ORDER_NAMES, Query
from ralnode_ui_web.visitors import Visitor
from ralnode_ui_web.words import day, size

sys.path.append(str(Path(__file__).parents[1] / "support"))
from page_status import status

SOURCES = 10_000
TEMPLATES = Environment(
    loader=FileSystemLoader(Path(ralnode_ui_web.__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
)
TEMPLATES.filters.update(size=size, day=day)
ADMIN = Visitor("bench", "", frozenset({"view", "admin"}), "admin", "token")


def fragments(now: ClusterStatus) -> tuple[object, Fragments]:
    page = make_page(now, Query(), WebOptions().sources_shown, History())
    return page, fragments_of(TEMPLATES, page, may_change=True)


def whole(now: ClusterStatus) -> str:
    page, made = fragments(now)
    values = {"page": page, "part": made.by_name(), "orders": tuple(ORDER_NAMES.items()), "live_url": "/"}
    return TEMPLATES.get_template("dashboard.html").render(who=ADMIN, **values)


def median_ms(action: Callable[[], object], times: int = 9) -> float:
    action()
    found = []
    for _ in range(times):
        began = time.perf_counter()
        action()
        found.append(1000 * (time.perf_counter() - began))
    return statistics.median(found)


def bytes_of_a_change(now: ClusterStatus) -> int:
    """What the stream sends when one node begins to download."""
    seen = Seen()
    seen.take(fragments(now)[1])
    busy = replace(now.nodes[0], activity="downloading", receive_bytes_per_second=5e7)
    changed = replace(now, nodes=(busy, *now.nodes[1:]))
    return sum(len(html.encode()) for _name, html in seen.news(fragments(changed)[1]))


def main() -> int:
    now = status(SOURCES)
    return report(
        [
            Figure("page of 10,000 sources", len(whole(now).encode()) / 1000, "kB", 300.0, at_least=False),
            Figure("page of 50 nodes", len(whole(status(SOURCES, 50)).encode()) / 1000, "kB", 300.0, at_least=False),
            Figure("to make that page", median_ms(lambda: whole(now)), "ms", 200.0, at_least=False),
            Figure("sent when one node changes", bytes_of_a_change(now) / 1000, "kB", 4.0, at_least=False),
            speed_ratio(
                "the page against the JSON of the same status",
                lambda: whole(now),
                lambda: json.dumps(dataclasses.asdict(now)),
                2.0,
            ),
        ]
    )


if __name__ == "__main__":
    raise SystemExit(main())
