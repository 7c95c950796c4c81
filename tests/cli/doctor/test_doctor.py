"""Single findings; the command as a whole is in test_without_node.py."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from ralnode.cli.doctor import clock, disk, network, software
from ralnode.cli.doctor.finding import Level


@pytest.mark.parametrize(
    ("version", "bad"),
    [
        ("3.6.23", False), ("3.7.0", True), ("3.40.1", True), ("3.44.5", True), ("3.44.6", False), ("3.45.0", True),
        ("3.50.6", True), ("3.50.7", False), ("3.51.0", True), ("3.51.2", True), ("3.51.3", False), ("3.52.0", False),
    ],
)  # fmt: skip
def test_versions_with_the_wal_reset_bug_are_known(version: str, bad: bool) -> None:
    assert software.has_wal_reset_bug(version) is bad
    assert (software.sqlite(version).level is Level.WARNING) is bad


def test_a_port_in_use_is_found() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert "in use" in network.bind_error(socket.SOCK_STREAM, "127.0.0.1", port)
    assert network.bind_error(socket.SOCK_STREAM, "127.0.0.1", port) == ""


def test_an_address_that_is_not_of_this_machine_is_found() -> None:
    assert network.bind_error(socket.SOCK_DGRAM, "192.0.2.1", 0) != ""
    assert network.multicast("192.0.2.1").level is Level.WARNING


def test_a_folder_that_can_be_written_is_left_as_it_was(tmp_path: Path) -> None:
    assert disk.writable(tmp_path / "not" / "yet").level is Level.OK
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_bad() -> None:
    assert disk.writable(Path("/proc/self")).level is Level.BAD


@pytest.mark.parametrize(
    ("seconds", "level"),
    [(0.5, Level.OK), (-29, Level.OK), (45, Level.WARNING), (-200, Level.WARNING), (400, Level.BAD), (-9e6, Level.BAD)],
)
def test_a_clock_is_judged_by_what_the_others_accept(seconds: float, level: Level) -> None:
    assert clock.skew("attic", seconds).level is level


def test_a_clock_before_the_installation_is_wrong() -> None:
    assert clock.sane(0.0, 1.7e9).level is Level.BAD
    assert clock.sane(1.7e9, 1.7e9 - 5).level is Level.OK
