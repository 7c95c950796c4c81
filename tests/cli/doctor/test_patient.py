"""Findings that need a configuration and a data folder, provoked one by one on a node that does not run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType

import pytest

from ralnode.cli.client import NodeClient
from ralnode.cli.doctor import disk, network, peers, software
from ralnode.cli.doctor.finding import Finding, Level, Patient
from ralnode.host.config import load
from ralnode.host.identity import KEY_FILE, SECRET_FILE, open_identity


def patient(folder: Path, **flags: str) -> Patient:
    known: Mapping[str, str] = {"node.data_dir": str(folder), "node.listen_host": "127.0.0.1"}
    config = load({}, {**known, **{key.replace("__", "."): value for key, value in flags.items()}}, is_root=False)
    return Patient(config, NodeClient([folder / "no socket"]), None)


def worst(part: ModuleType, about: str, of: Patient) -> Finding:
    found = [each for each in part.look(of) if each.about == about]
    return max(found, key=lambda each: list(Level).index(each.level))


def test_a_healthy_folder_has_nothing_to_mend(tmp_path: Path) -> None:
    open_identity(tmp_path)
    assert {each.level for each in disk.look(patient(tmp_path))} == {Level.OK}


@pytest.mark.parametrize(
    ("flags", "level", "words"),
    [
        ({"node__disk_floor": "9000 PB"}, Level.BAD, "less than the floor"),
        ({"node__capacity": "9000 PB"}, Level.WARNING, "the capacity promises"),
        ({"node__capacity": "1 MB"}, Level.OK, "free of"),
    ],
)
def test_room_is_judged_by_floor_and_capacity(tmp_path: Path, flags: dict[str, str], level: Level, words: str) -> None:
    found = worst(disk, "room", patient(tmp_path, **flags))
    assert found.level is level and words in found.found


def _open_to_all(folder: Path) -> None:
    (folder / KEY_FILE).chmod(0o644)


def _cut_short(folder: Path) -> None:
    (folder / SECRET_FILE).write_bytes(b"short")


@pytest.mark.parametrize(
    ("damage", "words"), [(_open_to_all, "chmod 600"), (_cut_short, "Restore the file from a backup")]
)
def test_keys_that_others_may_read_or_that_are_damaged_are_bad(
    tmp_path: Path, damage: Callable[[Path], None], words: str
) -> None:
    open_identity(tmp_path)
    damage(tmp_path)
    found = worst(disk, "membership", patient(tmp_path))
    assert found.level is Level.BAD and words in found.found
    assert list(peers.look(patient(tmp_path, node__known_peers="127.0.0.1:1"))) == [], "without keys nobody is dialled"


def test_a_socket_path_that_is_too_long_is_bad(tmp_path: Path) -> None:
    found = worst(disk, "control socket", patient(tmp_path / ("x" * 100)))
    assert found.level is Level.BAD and "too long" in found.found


def test_a_planner_that_is_not_there_is_bad(tmp_path: Path) -> None:
    found = worst(software, "plugins", patient(tmp_path, use__planner="rendezvouz"))
    assert found.level is Level.BAD and "rendezvous" in found.found


def test_known_peers_are_tried_also_before_this_node_has_any_keys(tmp_path: Path) -> None:
    found = worst(network, "known peers", patient(tmp_path, node__known_peers="127.0.0.1:1"))
    assert found.level is Level.WARNING and "127.0.0.1:1" in found.found


def test_looking_makes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "not yet"
    for part in (disk, network, peers, software):
        list(part.look(patient(folder)))
    assert list(tmp_path.iterdir()) == []
