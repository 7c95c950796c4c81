"""Logging to stderr: for the journal with `<N>` priorities (sd-daemon(3)), for people with the time. A line begins with the
part that speaks ("transport http: …") unless that is the node itself.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from typing import Final, TextIO

ROOT: Final = "ralnode"
_NODE: Final = f"{ROOT}.node"
_PRIORITIES: Final = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (0, 7))


class JournalFormatter(logging.Formatter):
    """Every line carries its priority, or the journal would take the rest of a traceback for information."""

    def format(self, record: logging.LogRecord) -> str:
        priority = next(number for level, number in _PRIORITIES if record.levelno >= level)
        text = _speaker(record) + super().format(record)
        return "\n".join(f"<{priority}>{line}" for line in text.splitlines() or [""])


class PlainFormatter(logging.Formatter):
    """`12:00:01 warning: node attic does not answer`"""

    def format(self, record: logging.LogRecord) -> str:
        level = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        return f"{self.formatTime(record, '%H:%M:%S')} {level}{_speaker(record)}{super().format(record)}"


def _speaker(record: logging.LogRecord) -> str:
    return "" if record.name in (_NODE, ROOT, "root") else f"{record.name.removeprefix(f'{ROOT}.')}: "


def set_up(level: str, environ: Mapping[str, str], stream: TextIO | None = None) -> None:
    """Sends our records to `stream` (stderr), libraries' from warnings on. Again with other arguments replaces the first."""
    out = stream or sys.stderr
    handler = logging.StreamHandler(out)
    in_journal = is_journal(environ, out)
    handler.setFormatter(JournalFormatter("%(message)s") if in_journal else PlainFormatter("%(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger(ROOT).setLevel(level.upper())
    logging.captureWarnings(True)


def is_journal(environ: Mapping[str, str], stream: TextIO) -> bool:
    """Whether the journal reads this stream: JOURNAL_STREAM names its device and inode (systemd.exec(5)). A terminal that
    was itself started by a service inherits the variable, and must not show priorities."""
    named = environ.get("JOURNAL_STREAM", "")
    if not named:
        return False
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return named == f"{found.st_dev}:{found.st_ino}"


def logger(name: str) -> logging.Logger:
    """The logger of a part of the node or of a plugin."""
    return logging.getLogger(f"{ROOT}.{name}")
