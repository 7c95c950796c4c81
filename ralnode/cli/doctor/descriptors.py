"""Whether the node may open as many files and connections as it will need."""

from __future__ import annotations

import resource
from collections.abc import Iterator, Mapping
from typing import Any, Final

from ralnode.api import RalnodeError
from ralnode.cli.doctor.finding import Finding, Patient, ok, warning

NEEDED: Final = 512
"""Segments that are read, 64 connections of peers, as many of browsers and gateways, the index; doubled."""

_REMEDY: Final = "raise it: LimitNOFILE= in the unit (systemctl edit ralnode), or ulimit -n before ralnode run"


def look(patient: Patient) -> Iterator[Finding]:
    if patient.status is None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        yield judged(None, soft, "a node started from here", hard)
        return
    try:
        values = process_values(patient.client.command("metrics"))
    except RalnodeError:
        return
    limit = values.get("process_max_fds")
    if limit is not None:
        yield judged(values.get("process_open_fds"), limit, "the node")


def process_values(answer: Mapping[str, Any]) -> dict[str, int]:
    """The process' own figures out of an answer to `metrics`."""
    return {each["name"]: int(each["value"]) for each in answer["metrics"] if each["name"].startswith("process_")}


def judged(open_count: int | None, limit: int, who: str, hard: int | None = None) -> Finding:
    if open_count is not None and open_count > 0.8 * limit:
        return warning("open files", f"{who} has {open_count} of {limit} open", _REMEDY)
    if limit < NEEDED:
        more = f" (it may ask for {hard})" if hard is not None and hard > limit else ""
        return warning("open files", f"{who} may open {limit}{more}, and may need {NEEDED}", _REMEDY)
    return ok("open files", f"{who} may open {limit}" + (f", has {open_count}" if open_count is not None else ""))
