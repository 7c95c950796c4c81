"""`ralnode plugins new planner NAME`: what it writes works, passes its own test, and overwrites nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ralnode.api import RefusedError, UsageError
from ralnode.cli.main import main
from ralnode.cli.skeleton import write_planner


def test_the_new_planner_passes_the_test_that_comes_with_it(tmp_path: Path) -> None:
    write_planner("attic_first", tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", tmp_path], cwd=tmp_path, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout


def test_the_new_planner_is_found_in_its_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", "new", "planner", "mine", "--into", str(tmp_path)]) == 0
    assert "--planner mine" in capsys.readouterr().out
    assert main(["plugins", "--plugins-dir", str(tmp_path), "--json"]) == 0
    assert '"providers": ["mine"]' in capsys.readouterr().out


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "test_ralnode_mine.py").write_text("precious")
    with pytest.raises(RefusedError, match="nothing was written"):
        write_planner("mine", tmp_path)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["precious"]


@pytest.mark.parametrize("name", ["", "Mine", "../mine", "my-planner", "1st", "x" * 41])
def test_a_name_that_is_no_module_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        write_planner(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [["new"], ["new", "planner"], ["new", "storage", "x"], ["frobnicate"]])
def test_other_words_are_told_what_there_is(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", *words]) == 64
    assert "ralnode plugins new planner NAME" in capsys.readouterr().err
