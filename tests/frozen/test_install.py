"""`ralnode install` of the real executable in one file, into a tree: the folder it makes is a whole ralnode."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.frozen.conftest import Frozen, FrozenNode
else:
    Frozen = FrozenNode = Any

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may install")


def run(program: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    environ = {"HOME": "/nonexistent", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
    return subprocess.run([program, *arguments], env=environ, capture_output=True, text=True, timeout=50, check=False)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """With the user in it, so that no tool is needed to make one."""
    etc = tmp_path / "tree/etc"
    etc.mkdir(parents=True)
    (etc / "passwd").write_text("ralnode:x:990:990::/var/lib/ralnode:/usr/sbin/nologin\n")
    (etc / "group").write_text("ralnode:x:990:\n")
    return tmp_path / "tree"


@needs_root
def test_the_folder_that_one_file_makes_runs_a_node(one_file: Path, tree: Path) -> None:
    done = run(one_file, "install", "--root", tree)
    assert done.returncode == 0, done
    program = tree / "opt/ralnode/ralnode"
    assert program.stat().st_size < one_file.stat().st_size / 2
    assert run(program, "version", "--json").stdout == run(one_file, "version", "--json").stdout
    plugins = [run(each, "plugins", "--json").stdout for each in (program, one_file)]
    assert plugins[0] == plugins[1]
    assert '"refused": []' in plugins[0]
    again = run(program, "install", "--root", tree)
    assert "done: " not in again.stdout, again
    assert run(program, "uninstall", "--root", tree).returncode == 0
    assert not program.parent.exists()
    assert (tree / "etc/ralnode/ralnode.toml").exists()


def test_without_root_nothing_is_installed_and_the_remedy_is_told(executable: Path) -> None:
    """As nobody, if we are root."""
    with tempfile.TemporaryDirectory(prefix="ral-", dir="/tmp") as folder:
        Path(folder).chmod(0o777)
        line: list[str | Path] = [executable, "install", "--root", folder]
        if os.geteuid() == 0:
            line = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *line]
        done = subprocess.run(line, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False)
        assert done.returncode == 77, done
        assert "sudo ralnode install" in done.stderr
        assert list(Path(folder).iterdir()) == []


def test_a_dry_run_tells_everything_to_anybody(executable: Path, tree: Path) -> None:
    done = run(executable, "install", "--dry-run", "--root", tree)
    assert done.returncode == 0, done
    assert re.search(r"would put ralnode \S+ \S+ into .*/opt/ralnode", done.stdout)
    assert not (tree / "opt").exists()


@needs_root
def test_data_is_purged_only_by_the_name_of_this_machine(executable: Path, tree: Path) -> None:
    run(executable, "install", "--root", tree)
    kept = tree / "var/lib/ralnode/blocks"
    kept.parent.mkdir(parents=True)
    kept.touch()
    for words in ([], ["--confirm", "another"]):
        assert run(executable, "uninstall", "--purge-data", "--root", tree, *words).returncode == 77
        assert kept.exists()
        assert (tree / "opt/ralnode/ralnode").exists()
    assert (
        run(executable, "uninstall", "--purge-data", "--root", tree, "--confirm", os.uname().nodename).returncode == 0
    )
    assert not kept.exists()
