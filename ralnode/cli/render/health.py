"""Colours and words for health and liveness."""

from __future__ import annotations

from typing import Final

from rich.text import Text

from ralnode.api import ClusterStatus, Health, Liveness
from ralnode.cli.text import clean

COLOURS: Final = {
    Health.HEALTHY: "green",
    Health.FULL: "yellow",
    Health.REPAIRING: "yellow",
    Health.AT_RISK: "bold red",
    Health.UNAVAILABLE: "bold white on red",
}
LIVENESS: Final = {Liveness.ALIVE: "green", Liveness.SUSPECT: "yellow", Liveness.DEAD: "red", Liveness.LEFT: "dim"}


def sentence(status: ClusterStatus) -> Text:
    """The one sentence of truth, in its colour."""
    return Text.assemble((f" {status.health.value} ", f"{COLOURS[status.health]} reverse"), " ", clean(status.sentence))


def word(health: Health) -> Text:
    return Text(health.value, style=COLOURS[health])
