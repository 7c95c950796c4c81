"""The event log: the newest lines for the page, all of them as a download. Pure."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ralnode.api import EventLine
from ralnode_ui_web.words import clock, iso

SHOWN: Final = 40
MEDIA_TYPES: Final = {"json": "application/json", "csv": "text/csv; charset=utf-8", "txt": "text/plain; charset=utf-8"}
_LEVELS: Final = ("info", "warning", "error")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""A cell that begins so is reckoned by spreadsheets; names come from peers."""


@dataclass(frozen=True, slots=True)
class EventRow:
    time: str
    iso: str
    level: str
    text: str


def newest(events: Sequence[EventLine]) -> tuple[EventRow, ...]:
    return tuple(_row(line) for line in reversed(events[-SHOWN:]))


def export(events: Sequence[EventLine], form: str) -> str:
    """`json`, `csv` or `txt`; the oldest first."""
    rows = [_row(line) for line in events]
    if form == "json":
        lines = [
            {"time": r.iso, "unix_ms": e.unix_ms, "level": r.level, "text": r.text}
            for r, e in zip(rows, events, strict=True)
        ]
        return json.dumps(lines, indent=1)
    if form == "csv":
        out = io.StringIO()
        writer = csv.writer(out)
        writer.writerow(["time", "level", "text"])
        writer.writerows([row.iso, row.level, _harmless(row.text)] for row in rows)
        return out.getvalue()
    return "".join(f"{row.iso} {row.level:7} {' '.join(row.text.splitlines())}\n" for row in rows)


def _row(line: EventLine) -> EventRow:
    level = line.level if line.level in _LEVELS else "info"
    return EventRow(clock(line.unix_ms), iso(line.unix_ms), level, line.text)


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text
