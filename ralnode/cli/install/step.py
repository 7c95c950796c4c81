"""One thing that an installation consists of, and carrying a list of them out, or only saying what would be done."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ralnode.host.wholefile import write_whole


@dataclass(frozen=True, slots=True)
class Step:
    what: str
    """Completes "would …" and "done: …"."""
    is_done: Callable[[], bool]
    do: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Report:
    what: str
    state: str
    """`done`, `kept` (nothing to do), or `would`."""


def carry_out(steps: Iterable[Step], *, dry_run: bool) -> Iterator[Report]:
    """One report per step, after it. What fails ends it with its own error; running it again goes on from there."""
    for step in steps:
        if step.is_done():
            yield Report(step.what, "kept")
        elif dry_run:
            yield Report(step.what, "would")
        else:
            step.do()
            yield Report(step.what, "done")


def never() -> bool:
    """For what is done each time."""
    return False


def writing(place: Path, text: str) -> Step:
    """A file for everybody to read."""
    return Step(
        f"write {place}",
        lambda: place.is_file() and place.read_text(encoding="utf-8") == text,
        lambda: write_whole(place, text, 0o644),
    )
