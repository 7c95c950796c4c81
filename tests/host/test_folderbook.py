"""A data folder whose disk is not there is told from one that was never used."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ralnode.api import LocalError
from ralnode.dag import cid
from ralnode.host import folderbook as module
from ralnode.host.folderbook import FOLDER, FolderBook
from ralnode.host.identity import open_identity


class Machine:
    """A folder where a disk is mounted, another one for what is noted, and what the disk has while it is away."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.disk, self.state, self._away = path / "mnt/disk1", path / "state", path / "away"
        self.data_dir = self.disk / "ralnode"
        self.disk.mkdir(parents=True)
        self.is_mounted = True
        self.has_own_disk = True
        monkeypatch.setattr(module, "_device", self._device)
        monkeypatch.setattr(os.path, "ismount", lambda each: each in (self.disk, Path("/")))

    def _device(self, path: Path) -> int:
        return 2 if self.has_own_disk and self.is_mounted and path.is_relative_to(self.disk) else 1

    def book(self) -> FolderBook:
        return FolderBook(self.data_dir, self.state, temporary=())

    def start(self) -> bytes:
        """As a node does; its id."""
        book = self.book()
        book.check()
        self.data_dir.mkdir(exist_ok=True)
        me = open_identity(self.data_dir).id
        book.note(me)
        return me

    def unmount(self) -> None:
        self.disk.rename(self._away)
        self.disk.mkdir()
        self.is_mounted = False

    def mount(self) -> None:
        self.disk.rename(self._away.with_name("was below"))
        self._away.rename(self.disk)
        self.is_mounted = True

    @property
    def records(self) -> list[Path]:
        return list(self.state.rglob("*.json"))


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def test_without_its_disk_no_new_node_is_made_and_with_it_the_old_one_comes_back(machine: Machine) -> None:
    me = machine.start()
    assert machine.start() == me
    machine.unmount()
    with pytest.raises(LocalError, match="not mounted") as caught:
        machine.start()
    for word in (
        cid.peer_id(me),
        str(machine.disk),
        str(machine.records[0]),
        "ralnode restore",
        "there is no node in it",
    ):
        assert word in str(caught.value)
    assert not machine.data_dir.exists(), "nothing was made"
    machine.mount()
    assert machine.start() == me


def test_a_node_that_was_made_below_the_mount_point_is_not_taken_for_it(machine: Machine) -> None:
    machine.start()
    machine.unmount()
    machine.data_dir.mkdir()
    open_identity(machine.data_dir)
    with pytest.raises(LocalError, match="another node is in it"):
        machine.start()


def test_removing_the_record_allows_a_new_node(machine: Machine) -> None:
    me = machine.start()
    machine.unmount()
    machine.records[0].unlink()
    assert machine.start() != me


def test_a_restored_node_may_live_on_the_systems_disk_and_its_record_goes(machine: Machine) -> None:
    me = machine.start()
    key = (machine.data_dir / "identity.key").read_bytes()
    secret = (machine.data_dir / "cluster.secret").read_bytes()
    machine.unmount()
    machine.data_dir.mkdir()
    for name, content in (("identity.key", key), ("cluster.secret", secret)):
        (machine.data_dir / name).write_bytes(content)
        (machine.data_dir / name).chmod(0o600)
    assert machine.start() == me
    assert machine.records == []


def test_a_folder_on_the_systems_disk_needs_no_record_and_may_be_emptied(machine: Machine) -> None:
    machine.has_own_disk = False
    me = machine.start()
    assert machine.records == []
    machine.unmount()
    assert machine.start() != me


@pytest.mark.parametrize("content", ["", "{", "[]", '{"data_dir": "/elsewhere", "node": "x"}'])
def test_a_record_that_says_nothing_is_no_record(machine: Machine, content: str) -> None:
    me = machine.start()
    machine.records[0].write_text(content)
    assert machine.start() == me
    assert cid.peer_id(me) in machine.records[0].read_text()


def test_what_cannot_be_noted_keeps_nobody_from_running(machine: Machine) -> None:
    machine.state.write_text("no folder")
    machine.start()


def test_temporary_folders_and_the_state_folder_itself_are_not_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_device", lambda path: hash(path))
    data_dir, state = tmp_path / "data", tmp_path / "state"
    data_dir.mkdir()
    me = open_identity(data_dir).id
    FolderBook(data_dir, state).note(me)
    assert not state.exists(), "this folder of tests is temporary"
    FolderBook(data_dir, data_dir, temporary=()).note(me)
    assert not (data_dir / FOLDER).exists()
    FolderBook(data_dir, state, temporary=()).note(me)
    assert len(list((state / FOLDER).iterdir())) == 1


def test_services_note_in_their_state_folder_and_users_in_theirs(tmp_path: Path) -> None:
    for environ, place in (
        ({"STATE_DIRECTORY": "/var/lib/ralnode:/other", "HOME": "/root"}, Path("/var/lib/ralnode")),
        ({"HOME": "/home/anna"}, Path("/home/anna/.local/state/ralnode")),
        ({"HOME": "/home/anna", "XDG_STATE_HOME": "/s"}, Path("/s/ralnode")),
        ({}, None),
    ):
        assert FolderBook.of(tmp_path, environ)._place == place
