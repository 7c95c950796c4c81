"""What the demo's nodes are told by their environment."""

from pathlib import Path

import pytest

from ralnode.cli.demo.processes import _environment
from ralnode.host.folderbook import FolderBook


def test_the_nodes_note_nothing_outside_of_their_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/ralnode")
    monkeypatch.setenv("RALNODE_CAPACITY", "1GB")
    found = _environment(tmp_path)
    assert "RALNODE_CAPACITY" not in found
    assert FolderBook.of(tmp_path / "data", found)._place == tmp_path / "ralnode"
