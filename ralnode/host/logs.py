"""Logging to stderr: for the journal with `<N>` priorities (sd-daemon(3)), for people with the time."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from typing import Final, TextIO

ROOT: Final = "ralnode"
_PRIORITIES: Final = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (0, 7))


class JournalFormatter(logging.Formatter):
    """Every line carries its priority, or the journal would take the rest of a traceback for information."""

    def format(self, record: logging.LogRecord) -> str:
        priority = next(number for level, number in _PRIORITIES if record.levelno >= level)
        return "\n".join(f"<{priority}>{line}" for line in super().format(record).splitlines() or [""])


class PlainFormatter(logging.Formatter):
    """`12:00:01 warning node attic does not answer`"""

    def format(self, record: logging.LogRecord) -> str:
        level = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        return f"{self.formatTime(record, '%H:%M:%S')} {level}{super().format(record)}"


def set_up(level: str, environ: Mapping[str, str], stream: TextIO | None = None) -> None:
    """Sends our records to `stream` (stderr), libraries' from warnings on. Again with other arguments replaces the first."""
    handler = logging.StreamHandler(stream or sys.stderr)
    in_journal = bool(environ.get("JOURNAL_STREAM"))
    handler.setFormatter(JournalFormatter("%(message)s") if in_journal else PlainFormatter("%(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger(ROOT).setLevel(level.upper())
    logging.captureWarnings(True)


def logger(name: str) -> logging.Logger:
    """The logger of a part of the node or of a plugin."""
    return logging.getLogger(f"{ROOT}.{name}")
