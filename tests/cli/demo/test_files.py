from __future__ import annotations

import hashlib
from pathlib import Path

from ralnode.cli.demo.files import make_files, walk_files


def digest(folder: Path) -> str:
    whole = hashlib.sha256()
    for path in walk_files(folder):
        whole.update(f"{path.relative_to(folder)} {path.stat().st_size}\n".encode() + path.read_bytes())
    return whole.hexdigest()


def test_the_demo_seeds_the_same_bytes_every_time(tmp_path: Path) -> None:
    sizes = [make_files(tmp_path / name, 3_000_000) for name in "ab"]
    assert sizes[0] == sizes[1]
    assert digest(tmp_path / "a") == digest(tmp_path / "b")


def test_the_size_asked_for_comes_beside_the_committed_files(tmp_path: Path) -> None:
    made = make_files(tmp_path / "x", 4_000_000)
    committed = 2_200_000
    assert 0.9 * 4_000_000 < made < 1.1 * 4_000_000 + committed
    assert (tmp_path / "x" / "empty.txt").read_bytes() == b""
    assert (tmp_path / "x" / "photographs").is_dir()
