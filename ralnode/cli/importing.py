"""What `sources import` finds out and reports: by which profile a file has the CID it is said to have."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from ralnode.api import RefusedError
from ralnode.cli.hashing import built_of
from ralnode.cli.progress import Meter
from ralnode.cli.sourcesfile import Listed
from ralnode.cli.text import clean
from ralnode.dag import cid
from ralnode.dag.profile import PROFILES, Profile

GOOD: Final = frozenset({"added", "already there", "listed"})


@dataclass(frozen=True, slots=True)
class Imported:
    name: str
    cid: str
    state: str
    """added, already there, listed, missing or failed."""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ImportReport:
    file: str
    sources: tuple[Imported, ...]

    @property
    def failed_count(self) -> int:
        return sum(each.state not in GOOD for each in self.sources)


def profile_of(path: Path, listed: Listed, meter: Meter) -> Profile:
    """The profile under which the file has the CID of the list. Raises RefusedError when there is none."""
    wanted = cid.parse(listed.cid)
    is_v0 = listed.cid.startswith("Qm")
    fitting = [profile for profile in PROFILES.values() if (profile.cid_version == 0) is is_v0]
    for profile in fitting:
        meter.at(0)
        if built_of(path, profile, meter.advance, hidden=True).cid == wanted:
            return profile
    tried = ", ".join(profile.name for profile in fitting)
    raise RefusedError(f"{path} does not have this CID (tried {tried}). It was not added: is it the right file?")


def shown(report: ImportReport) -> RenderableType:
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("NAME", "STATE", "CID", ""):
        made.add_column(column, overflow="fold")
    for each in report.sources:
        style = "green" if each.state in GOOD else "bold red"
        made.add_row(clean(each.name), Text(each.state, style=style), each.cid, clean(each.reason))
    return made
