"""What the effects are carried out with, handed from node.py to the classes that each know one kind of effect."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from ralnode.api import Instant, Storage, Transport
from ralnode.host.dagindex import DagIndex
from ralnode.host.inbox import Inbox
from ralnode.host.tasks import Tasks


@dataclass(frozen=True, slots=True)
class Parts:
    """`say(level, text)` writes a line of the event log; `stored` is called whenever the use of the disk has changed."""

    storage: Storage
    transport: Transport
    dag: DagIndex
    inbox: Inbox
    tasks: Tasks
    say: Callable[[str, str], None]
    stored: Callable[[], None]


def clock() -> Instant:
    """The time, as the engine wants it. The only place of the shell that reads both clocks."""
    return Instant(time.monotonic(), time.time_ns() // 1_000_000)
