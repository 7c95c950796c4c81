"""Leftovers in words: in their own command, in the status, in the doctor's report."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType

from ralnode.api import ClusterStatus, Health, Liveness, NodeStatus
from ralnode.cli.client import NodeClient
from ralnode.cli.doctor import disk
from ralnode.cli.doctor.finding import Finding, Level, Patient
from ralnode.cli.render import leftovers, status
from ralnode.host.config import load
from ralnode.host.leftoversanswer import LeftoverLine, LeftoversAnswer

GB = 10**9
ME = NodeStatus("id", "attic", True, Liveness.ALIVE, "", 9 * GB, 3 * GB, "", "", "", "", 0, 0, 0, 0.0, None)
STATUS = ClusterStatus("", Health.HEALTHY, "id", "g", "p", "", True, (ME,), (), (), 0, 0, None, (), 0, "1")
OLD = LeftoverLine("add", "trip\x1b[2J", "/home/anna/trip/a", 3 * 86_400.0, 1200, 2 * GB)
YOUNG = LeftoverLine("pull", "film", "bafyfilm", 120.0, 30, GB)
ANSWER = LeftoversAnswer("attic", "done", (OLD, YOUNG), 1300, 3 * GB + 900, 60, 900, 0)


def text(shown: RenderableType) -> str:
    console = Console(width=300, file=io.StringIO(), record=True)
    console.print(shown)
    return console.export_text()


def test_what_there_is_is_told_by_name_size_and_age() -> None:
    said = text(leftovers.whole(ANSWER)).splitlines()
    assert said == [
        "attic: 1,300 blocks (3.0 GB) of no source",
        "  add of trip\\x1b[2J (/home/anna/trip/a): 1,200 blocks (2.0 GB), last worked on 3 d 0 h ago",
        "  pull of film (bafyfilm): 30 blocks (1.0 GB), last worked on 2 min ago",
        "  10 blocks of smaller adds and pulls",
        "  60 blocks (900 B) of which nothing tells what they come from: ends of broken adds, broken imports (--all)",
        "To finish an add or pull, repeat it. To free the room: ralnode leftovers --delete",
    ]


def test_only_what_is_old_enough_would_go_and_the_rest_only_when_asked() -> None:
    assert leftovers.going(ANSWER, 3600, everything=False) == (1200, 2 * GB)
    assert leftovers.going(ANSWER, 3600, everything=True) == (1260, 2 * GB + 900)
    assert leftovers.going(ANSWER, 60, everything=False) == (1230, 3 * GB)
    assert leftovers.going(ANSWER, 10 * 86_400, everything=False) == (0, 0)


def test_a_deletion_tells_what_is_gone_and_why_something_stayed() -> None:
    done = replace(ANSWER, works=(), block_count=0, other_count=0, deleted_count=1200, deleted_bytes=2 * GB)
    assert text(leftovers.whole(done, is_deleting=True)).splitlines() == [
        "deleted 1,200 blocks (2.0 GB)",
        "attic: no leftovers; every block belongs to a source",
    ]
    assert "but: an add runs" in text(leftovers.whole(replace(done, remark="an add runs"), is_deleting=True))
    assert "nothing of it was deleted" in text(leftovers.whole(ANSWER, is_deleting=True))
    failed = replace(ANSWER, state="failed", remark="the disk is read-only")
    assert "the disk is read-only" in text(leftovers.whole(failed))


def test_the_status_says_so_in_one_line_when_it_is_worth_a_word() -> None:
    line = "3.0 GB here belong to adds and pulls that were never finished: ralnode leftovers"
    assert line in text(status.whole(replace(STATUS, leftover_bytes=3 * GB))).splitlines()
    assert "leftovers" not in text(status.whole(STATUS))


def found(folder: Path, shown: ClusterStatus) -> list[Finding]:
    flags: dict[str, Any] = {"node.data_dir": str(folder), "node.name": "attic"}
    patient = Patient(load({}, flags, is_root=False), NodeClient([folder / "no socket"]), shown)
    return [each for each in disk.look(patient) if each.about == "leftovers"]


def test_the_doctor_says_what_frees_the_room(tmp_path: Path) -> None:
    assert found(tmp_path, STATUS) == []
    (told,) = found(tmp_path, replace(STATUS, leftover_bytes=3 * GB))
    assert told.level is Level.WARNING
    assert "3.0 GB" in told.found
    assert "ralnode leftovers --delete" in told.remedy
