"""A finding, and what the checks are given."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ralnode.api import ClusterStatus
from ralnode.cli.client import NodeClient
from ralnode.host.answers import ConfigRow
from ralnode.host.config import Config


class Level(StrEnum):
    """BAD: the node does not work, or data are in danger; WARNING: something will not work as people expect."""

    OK = "ok"
    WARNING = "warning"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    level: Level
    about: str
    """In a word or two."""
    found: str
    remedy: str = ""
    """What to do; empty when nothing is to be done."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What `doctor` prints."""

    findings: tuple[Finding, ...]
    config: tuple[ConfigRow, ...]
    """The effective configuration, with where each value came from."""
    is_running: bool

    @property
    def worst(self) -> Level:
        return max((each.level for each in self.findings), key=list(Level).index, default=Level.OK)


@dataclass(frozen=True, slots=True)
class Patient:
    """What the checks look at. `status` is None when no node runs here."""

    config: Config
    client: NodeClient
    status: ClusterStatus | None


def ok(about: str, found: str) -> Finding:
    return Finding(Level.OK, about, found)


def warning(about: str, found: str, remedy: str) -> Finding:
    return Finding(Level.WARNING, about, found, remedy)


def bad(about: str, found: str, remedy: str) -> Finding:
    return Finding(Level.BAD, about, found, remedy)
