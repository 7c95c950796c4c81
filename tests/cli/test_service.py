"""What commands that change a node's data do for the service of this machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ralnode.cli import service


def test_another_node_than_the_services_is_left_to_its_owner() -> None:
    for name in ("RALNODE_CONFIG", "RALNODE_DATA_DIR", "RALNODE_SOCKET"):
        assert not service.start({name: "/somewhere/else"})


def test_where_no_systemd_runs_nothing_is_started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(service, "_SYSTEMD_RUNS", tmp_path / "none")
    assert not service.start({})


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_root_writes_belongs_to_the_services_user_afterwards(tmp_path: Path) -> None:
    (tmp_path / "cluster.secret").write_bytes(bytes(32))
    outside = tmp_path.parent / "outside"
    outside.touch()
    (tmp_path / "link").symlink_to(outside)
    os.chown(tmp_path, 65534, 65534)
    service.hand_over(tmp_path)
    assert (tmp_path / "cluster.secret").stat().st_uid == 65534
    assert outside.stat().st_uid == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may")
def test_a_plain_user_starts_no_service_and_gives_nothing_away(tmp_path: Path) -> None:
    assert not service.start({})
    service.hand_over(tmp_path)
