"""Progress bars on standard error: bytes, rate, time left. Silent when nobody watches or JSON is wanted."""

from __future__ import annotations

from types import TracebackType

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from ralnode.cli.context import global_options
from ralnode.cli.output import is_watched
from ralnode.cli.text import clean


class Meter:
    """One bar that is told absolute figures. A context manager; also fine when it shows nothing."""

    def __init__(self, ctx: typer.Context, what: str, total_bytes: int | None) -> None:
        self._progress: Progress | None = None
        self._task = TaskID(0)
        if is_watched() and not global_options(ctx).json:
            self._progress = Progress(
                TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(),
                TimeRemainingColumn(), console=Console(stderr=True), transient=True,
            )  # fmt: skip
            self._task = self._progress.add_task(escape(clean(what)), total=total_bytes)

    def __enter__(self) -> Meter:
        if self._progress:
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress:
            self._progress.stop()

    def at(self, done_bytes: int, total_bytes: int | None = None, what: str | None = None) -> None:
        """So much is done, of so much (None: as before)."""
        if self._progress:
            self._progress.update(
                self._task, completed=done_bytes, total=total_bytes, description=escape(clean(what)) if what else None
            )

    def advance(self, more_bytes: int) -> None:
        if self._progress:
            self._progress.advance(self._task, more_bytes)

    def say(self, text: str) -> None:
        """A line above the bar, only for those who watch."""
        if self._progress:
            self._progress.console.print(escape(clean(text)))
