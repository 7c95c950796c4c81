"""Lines for the journal and for people."""

import io
import logging
from collections.abc import Iterator

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


def lines(environ: dict[str, str], level: str = "info") -> list[str]:
    out = io.StringIO()
    logs.set_up(level, environ, out)
    log = logs.logger("node")
    log.debug("d")
    log.info("i %s", 1)
    log.warning("w")
    try:
        raise ValueError("bad")
    except ValueError:
        log.exception("e")
    logging.getLogger("somelibrary").info("chatter")
    logging.getLogger("somelibrary").warning("worth knowing")
    return out.getvalue().splitlines()


def test_every_line_for_the_journal_carries_its_priority() -> None:
    found = lines({"JOURNAL_STREAM": "8:1"})
    assert found[:3] == ["<6>i 1", "<4>w", "<3>e"]
    assert found[3] == "<3>Traceback (most recent call last):"
    assert found[-2:] == ["<3>ValueError: bad", "<4>worth knowing"]


def test_people_see_the_time_and_the_level_when_it_matters() -> None:
    found = lines({})
    assert found[0][8:] == " i 1"
    assert found[1][8:] == " warning: w"
    assert found[2][8:] == " error: e"


def test_the_level_is_for_our_own_lines() -> None:
    assert lines({}, "debug")[0][8:] == " debug: d"
    assert "i 1" not in "".join(lines({}, "warning"))
