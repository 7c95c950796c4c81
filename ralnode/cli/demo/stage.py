"""How the demo looks: a live table on a terminal, plain lines elsewhere. It shows scenes and says sentences, no more."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Final

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ralnode.cli.demo.watching import Look, Scene
from ralnode.cli.render.health import sentence
from ralnode.cli.render.nodes import bar, rate
from ralnode.cli.text import clean, size

PLAIN_SECONDS: Final = 2.0
"""Between two lines of progress where there is no terminal."""


class Stage:
    """A context manager. `show` may be called as often as one likes."""

    def __init__(self, *, to_stderr: bool = False) -> None:
        self._console = Console(highlight=False, stderr=to_stderr, soft_wrap=not sys.stdout.isatty())
        self._live: Live | None = None
        self._told_at = 0.0
        self._told = ""

    def __enter__(self) -> Stage:
        if self._console.is_terminal:
            self._live = Live(console=self._console, auto_refresh=False, transient=False)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def say(self, text: str, style: str = "") -> None:
        """A line that stays."""
        self._console.print(Text(text, style=style))
        sys.stdout.flush()

    def show(self, scene: Scene) -> None:
        if self._live:
            self._live.update(_picture(scene), refresh=True)
            return
        now, line = time.monotonic(), _line(scene)
        if now - self._told_at >= PLAIN_SECONDS and line != self._told:
            self._told_at, self._told = now, line
            self.say(line)


def _picture(scene: Scene) -> Group:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("NODE", "STATE", "CAPACITY USED", "WANTED", "STORED", "PEERS", "RATE IN"):
        table.add_column(column, justify="right" if column in ("WANTED", "STORED", "PEERS", "RATE IN") else "left")
    for look in scene.looks:
        table.add_row(*_row(look), style="red" if look.node.killed else "")
    first = next((look.status for look in scene.running if look.status), None)
    return Group(Text(), table, Text(), sentence(first) if first else Text("starting …", style="dim"))


def _row(look: Look) -> tuple[str, ...]:
    me = look.me
    if me is None:
        return (look.node.name, "killed" if look.node.killed else "starting", "", "", "", "", "")
    used = f"{bar(me.used_bytes, me.capacity_bytes, 16)} {size(me.used_bytes)} of {size(me.capacity_bytes)}"
    linked = f" +{me.linked_count:,} seeded" if me.linked_count else ""
    return (
        clean(me.name), clean(me.activity), used, f"{me.wanted_count:,}", f"{me.stored_count:,}{linked}",
        str(look.peer_count), rate(me.receive_bytes_per_second),
    )  # fmt: skip


def _line(scene: Scene) -> str:
    answering = sum(look.status is not None for look in scene.running)
    text = f"  {answering} of {len(scene.running)} nodes answer; {scene.stored_count:,} blocks stored, {scene.wanted_count:,} planned"
    if scene.lacking_bytes:
        text += f"; {size(scene.lacking_bytes)} to copy"
    return text + (f" at {size(scene.rate)}/s" if scene.rate >= 1 else "")
