"""rclone's `http` remote lists, copies and compares a tree of 500 files with awkward names."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from interop_content import TREE_FILES, Content
from interop_pool import Pool
from interop_recipes import filled, recipe
from interop_tools import run, tool


@pytest.fixture
def rclone(tmp_path: Path) -> list[str]:
    program = tool("rclone", "apt-get install rclone")
    return [str(program), "--config", str(tmp_path / "rclone.conf"), "--retries", "1"]


def test_a_tree_is_listed_copied_and_equal(rclone: list[str], pool: Pool, made: Content, tmp_path: Path) -> None:
    remote = f":http,url='{pool.gateways[0]}/ipfs/{pool.roots['tree']}/':"
    listed = run([*rclone, "lsf", "-R", "--files-only", remote]).stdout.decode().splitlines()
    there = {
        str(path.relative_to(made.folder / "tree")) for path in (made.folder / "tree").rglob("*") if path.is_file()
    }
    assert len(there) == TREE_FILES
    assert set(listed) == there
    words = {
        "NAS__8080": pool.gateways[0].removeprefix("http://"),
        "CID": pool.roots["tree"],
        "FOLDER": tmp_path / "copy",
    }
    for line in recipe("rclone"):
        run([*rclone, *shlex.split(filled(line, **words))[1:]])
    copied = {
        str(path.relative_to(tmp_path / "copy")): path.read_bytes()
        for path in (tmp_path / "copy").rglob("*")
        if path.is_file()
    }
    assert copied == {name: (made.folder / "tree" / name).read_bytes() for name in there}
