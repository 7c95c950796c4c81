"""Lines for the journal and for people."""

import io
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TextIO

import pytest

from ralnode.host import logs


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger(logs.ROOT)
    before = root.handlers[:], root.level, ours.level
    yield
    logging.captureWarnings(False)
    root.handlers[:], level, our_level = before[0], before[1], before[2]
    root.setLevel(level)
    ours.setLevel(our_level)


def said(environ: Mapping[str, str], level: str, out: TextIO) -> None:
    logs.set_up(level, environ, out)
    log = logs.logger("node")
    log.debug("d")
    log.info("i %s", 1)
    log.warning("w")
    try:
        raise ValueError("bad")
    except ValueError:
        log.exception("e")
    logs.logger("transport http").info("listens")
    logging.getLogger("somelibrary").info("chatter")
    logging.getLogger("somelibrary").warning("worth knowing")


def lines(level: str = "info") -> list[str]:
    out = io.StringIO()
    said({}, level, out)
    return out.getvalue().splitlines()


def test_every_line_for_the_journal_carries_its_priority(tmp_path: Path) -> None:
    with (tmp_path / "journal").open("w+") as journal:
        found = os.fstat(journal.fileno())
        said({"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}, "info", journal)
        journal.seek(0)
        shown = journal.read().splitlines()
    assert shown[:4] == ["<6>i 1", "<4>w", "<3>e", "<3>Traceback (most recent call last):"]
    assert shown[-3:] == ["<3>ValueError: bad", "<6>transport http: listens", "<4>somelibrary: worth knowing"]


def test_a_stream_that_is_not_the_journal_s_shows_no_priorities(tmp_path: Path) -> None:
    """A terminal inherits JOURNAL_STREAM from the service that it was started by."""
    with (tmp_path / "other").open("w+") as other:
        said({"JOURNAL_STREAM": "8:1"}, "info", other)
        other.seek(0)
        assert "<6>" not in other.read()
    assert not logs.is_journal({"JOURNAL_STREAM": "8:1"}, io.StringIO())
    assert not logs.is_journal({}, sys.stderr)


def test_people_see_the_time_the_level_when_it_matters_and_who_speaks() -> None:
    found = lines()
    assert found[0][8:] == " i 1"
    assert found[1][8:] == " warning: w"
    assert found[2][8:] == " error: e"
    assert found[-2][8:] == " transport http: listens"


def test_the_level_is_for_our_own_lines() -> None:
    assert lines("debug")[0][8:] == " debug: d"
    assert "i 1" not in "".join(lines("warning"))
