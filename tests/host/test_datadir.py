"""What survives a restart, and who may use a data directory."""

import json
import os
from pathlib import Path

import pytest

from ralnode.api import Address, ConfigError, LocalError, UnavailableError
from ralnode.host.datadir import NODE_FILE, DataDir


def test_it_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    with DataDir(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700


def test_a_second_node_is_refused_and_told_who_is_there(tmp_path: Path) -> None:
    with DataDir(tmp_path), pytest.raises(UnavailableError, match=rf"process {os.getpid()}\) uses it") as caught:
        DataDir(tmp_path).__enter__()
    assert caught.value.exit_code == 69
    with DataDir(tmp_path):
        pass


def test_a_directory_that_cannot_be_used_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LocalError, match="set \\[node\\] data_dir"):
        DataDir(tmp_path / "file").__enter__()


def test_the_boot_nonce_grows_even_when_the_clock_goes_back_or_the_file_is_lost(tmp_path: Path) -> None:
    nonces = []
    for _ in range(3):
        with DataDir(tmp_path) as data:
            nonces.append(data.next_boot_nonce())
    (tmp_path / NODE_FILE).write_text(json.dumps({"boot_nonce": 2**60}))
    with DataDir(tmp_path) as data:
        nonces.append(data.next_boot_nonce())
    assert nonces == sorted(set(nonces))
    assert nonces[3] == 2**60 + 1
    (tmp_path / NODE_FILE).unlink()
    with DataDir(tmp_path) as data:
        assert data.next_boot_nonce() > nonces[0], "the clock is its floor"


def test_the_capacity_declared_at_the_first_start_never_drifts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = [1000]

    class DiskUsage:
        def __init__(self, _path: Path) -> None:
            self.free = free[0]

    monkeypatch.setattr("shutil.disk_usage", DiskUsage)
    found = []
    for free[0] in (1000, 700, 1200):
        with DataDir(tmp_path) as data:
            found.append(data.declared_capacity(None))
    assert found == [500, 500, 500]


def test_a_configured_capacity_wins_when_it_is_new_and_a_command_until_then(tmp_path: Path) -> None:
    def start(configured: int | None) -> int:
        with DataDir(tmp_path) as data:
            return data.declared_capacity(configured)

    assert start(100) == 100
    with DataDir(tmp_path) as data:
        data.declare_capacity(70)
    assert start(100) == 70, "the owner's command is newer than the file"
    assert start(120) == 120
    assert start(None) == 120


def test_addresses_are_remembered_latest_first_without_repeats(tmp_path: Path) -> None:
    one, two = Address("a", 1), Address("fd00::1", 2)
    with DataDir(tmp_path) as data:
        data.remember_hints([one])
        data.remember_hints([two, one])
    with DataDir(tmp_path) as data:
        assert data.hints() == [two, one]
        data.remember_hints([Address("h", port) for port in range(1, 100)])
        assert len(data.hints()) == 64


@pytest.mark.parametrize("text", ["{", "[1", "\x00"])
def test_a_damaged_file_is_refused_and_left_as_it_is(tmp_path: Path, text: str) -> None:
    (tmp_path / NODE_FILE).write_text(text)
    with pytest.raises(ConfigError, match="Move it away to start afresh"):
        DataDir(tmp_path).__enter__()
    assert (tmp_path / NODE_FILE).read_text() == text
    (tmp_path / NODE_FILE).unlink()
    with DataDir(tmp_path):
        pass
