"""The frozen executable: what is inside, a node that keeps files, and plugins dropped beside it."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from ralnode import __version__

if TYPE_CHECKING:
    from tests.frozen import dropins
    from tests.frozen.conftest import Frozen, FrozenNode
else:
    Frozen = FrozenNode = Any
    spec = importlib.util.spec_from_file_location("dropins", Path(__file__).with_name("dropins.py"))
    dropins = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(dropins)

ROOT = Path(__file__).parents[2]
Start = Callable[..., FrozenNode]


def listed(frozen: Frozen, folder: Path) -> dict[str, Any]:
    answer: dict[str, Any] = frozen.json("plugins", "--plugins-dir", folder)
    return answer


def names(answer: dict[str, Any]) -> set[str]:
    return {each["name"] for each in answer["plugins"]}


def test_it_says_which_version_it_is_and_that_it_is_frozen(frozen: Frozen) -> None:
    first, second = frozen.ok("--version").splitlines()
    assert first == f"ralnode {__version__}"
    assert second.endswith(" or newer"), "the oldest glibc that it runs with"
    assert frozen.json("version")["frozen"] is True


def test_every_built_in_plugin_is_inside_and_loads(frozen: Frozen) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    answer = listed(frozen, dropins.drop(frozen.home / "plugins", "unrelated", ""))
    assert answer["refused"] == []
    assert names(answer) == set(project["entry-points"]["ralnode.plugins"])


def test_the_cid_is_the_same_as_from_source(frozen: Frozen) -> None:
    line = ["cid", str(ROOT / "README.md"), "--json"]
    source = subprocess.run([sys.executable, "-m", "ralnode", *line], capture_output=True, text=True, check=True)
    assert json.loads(frozen.ok(*line)) == json.loads(source.stdout)


def test_a_node_takes_a_folder_and_gives_it_back(run_node: Start) -> None:
    node = run_node()
    (node.folder / "trip/in").mkdir(parents=True)
    (node.folder / "trip/in/film").write_bytes(Random(7).randbytes(5 << 20))
    node.cli.ok("add", "trip")
    node.cli.ok("get", "trip", "-o", "back")
    assert (node.folder / "back/in/film").read_bytes() == (node.folder / "trip/in/film").read_bytes()
    assert node.end() == 0


def test_a_planner_dropped_in_as_one_file_plans(run_node: Start, tmp_path: Path) -> None:
    folder = dropins.drop(tmp_path / "plugins", "ralnode_mirror", dropins.readme_planner())
    node = run_node("--plugins-dir", folder, "--planner", "mirror")
    (node.folder / "note").write_bytes(b"keep me")
    node.cli.ok("add", "note")
    assert node.cli.plan()["planner"].startswith("mirror")
    assert node.cli.ok("cat", "note") == "keep me"


UNUSED = [
    "wave",
    "graphlib",
    "lzma",
    "zoneinfo",
    "xmlrpc.client",
    "multiprocessing.shared_memory",
    "dbm",
    "curses",
    "unittest.mock",
]


def test_a_drop_in_may_import_what_no_part_of_the_node_uses(frozen: Frozen) -> None:
    text = dropins.planner("lonely", "".join(f"import {module}\n" for module in UNUSED))
    answer = listed(frozen, dropins.drop(frozen.home / "plugins", "ralnode_lonely", text))
    assert answer["refused"] == []
    assert "lonely" in names(answer)


def test_a_distribution_installed_into_the_plugin_folder_is_found_and_plans(run_node: Start, tmp_path: Path) -> None:
    folder = tmp_path / "plugins"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index", "--no-compile",
         "--target", folder, dropins.make_wheel(tmp_path, "parcel")], check=True,
    )  # fmt: skip
    node = run_node("--plugins-dir", folder, "--planner", "parcel")
    line = next(each for each in node.cli.json("plugins")["plugins"] if each["name"] == "planner_parcel")
    assert (line["version"], line["active"]) == ("1.2", True)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import a_module_that_is_nowhere", "a_module_that_is_nowhere"),
        ("def broken(:", "SyntaxError"),
        ("raise SystemExit(3)", "SystemExit"),
    ],
)
def test_a_broken_drop_in_is_refused_by_name(frozen: Frozen, text: str, reason: str) -> None:
    answer = listed(frozen, dropins.drop(frozen.home / "plugins", "ralnode_broken", text))
    (refused,) = answer["refused"]
    assert refused["name"] == "broken"
    assert reason in refused["reason"]


def test_a_node_lives_beside_a_broken_drop_in(run_node: Start, tmp_path: Path) -> None:
    folder = dropins.drop(tmp_path / "plugins", "ralnode_broken", "1 / 0")
    node = run_node("--plugins-dir", folder)
    answer = node.cli.json("plugins")
    assert [each["name"] for each in answer["refused"]] == ["broken"]
    assert node.end() == 0


def test_of_two_drop_ins_that_clash_the_first_is_kept_and_the_other_told(frozen: Frozen) -> None:
    folder = dropins.drop(frozen.home / "plugins", "ralnode_one", dropins.planner("twin"))
    dropins.drop(folder, "ralnode_two", dropins.planner("twin"))
    answer = listed(frozen, folder)
    (refused,) = answer["refused"]
    assert refused["name"] == "two"
    assert "'twin'" in refused["reason"]
    assert "one" in names(answer)


def test_a_planner_that_is_nowhere_ends_the_start_with_the_exit_code_of_a_wrong_configuration(frozen: Frozen) -> None:
    done = frozen.run("run", "--data", "data", "--planner", "nowhere")
    assert done.returncode == 78
    assert "nowhere" in done.stderr
