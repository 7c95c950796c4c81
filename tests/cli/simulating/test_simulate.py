"""`ralnode plan simulate` as a user has it: tables, JSON, pictures, drop-in planners, refusals, the present cluster."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ralnode.api import UnavailableError
from ralnode.cli.main import main
from ralnode.cli.skeleton import write_planner

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, NodeProcess
else:
    Cli = NodeProcess = Any

SVG = "{http://www.w3.org/2000/svg}"
LAB = ["--nodes", "4TB,attic=2TB@roof,1TB*2", "--sources", "film=1TB,300GB*2", "--blocks", "1500"]


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In this process, with no node and no configuration of whoever runs the tests."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RALNODE_SOCKET", "no-node.sock")


def without_times(found: dict[str, Any]) -> dict[str, Any]:
    figures = [{k: v for k, v in each.items() if not k.startswith("cpu")} for each in found["figures"]]
    return {**found, "figures": figures}


def test_planners_are_compared_on_a_described_cluster(cli: Cli) -> None:
    found = cli.ok("plan", "simulate", *LAB, "--lose", "1", "--grow", "1", "--json").json
    assert found["planners"] == ["random", "rarest", "rendezvous"]
    assert found["situations"][0]["title"] == "as it is"
    assert len(found["figures"]) == 9
    assert found["block_count"] <= 1500 < found["real_block_count"]
    rendezvous = [each for each in found["figures"] if each["planner"] == "rendezvous"]
    assert rendezvous[0]["histogram"] == [0, 0, found["block_count"]]
    for each in rendezvous[1:]:
        assert 0 < each["bound_bytes"] <= each["moved_bytes"] <= 1.3 * each["bound_bytes"]
        assert each["lost_count"] == each["below_count"] == 0
    (random, *_) = found["figures"]
    assert sum(random["histogram"][3:]) > 0, "nodes that do not coordinate keep more copies than are asked for"
    assert all(sum(each["histogram"]) == found["block_count"] for each in found["figures"])


def test_the_same_seed_gives_the_same_figures_in_every_process(cli: Cli) -> None:
    line = ["plan", "simulate", *LAB, "--lose", "2", "--planner", "rendezvous", "--json"]
    first, again = (without_times(cli.ok(*line, "--seed", "1").json) for _ in range(2))
    assert first == again


def test_people_read_a_table_with_every_node(alone: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "simulate", *LAB, "--lose", "attic", "--grow", "2TB,spare=1TB"]) == 0
    out = capsys.readouterr().out
    for words in (
        "The cluster as it is",
        "The cluster without attic",
        "The cluster with new-1 and spare",
        "attic @roof",
        "(new)",
    ):
        assert words in out
    assert re.search(r"rendezvous +0 +0 +1,\d{3} +0 +0 ", out)


def test_the_picture_is_one_file_that_needs_no_other(cli: Cli, tmp_path: Path) -> None:
    for name in ("plans.svg", "plans.html"):
        assert (
            f"Written: {name}"
            in cli.ok(
                "plan", "simulate", *LAB, "--lose", "1", "--planner", "random", "--planner", "rendezvous", "--out", name
            ).out
        )
    drawn = ET.fromstring((tmp_path / "plans.svg").read_text())
    assert drawn.tag == f"{SVG}svg"
    texts = {each.text for each in drawn.iter(f"{SVG}text")}
    assert {"attic", "rendezvous", "random", "Processor time of one plan"} <= texts
    page = (tmp_path / "plans.html").read_text()
    for text in (page, (tmp_path / "plans.svg").read_text()):
        assert "prefers-color-scheme: dark" in text
        assert "<script" not in text
        assert "url(" not in text
        addresses = set(re.findall(r"https?://[^\"' <]+", text))
        assert addresses <= {"http://www.w3.org/2000/svg"}
    assert page.count("<table") == 2
    width = float(drawn.attrib["width"])
    for bar in drawn.iter(f"{SVG}rect"):
        assert float(bar.get("x", 0)) + float(bar.attrib["width"]) <= width + 0.1
    for text in drawn.iter(f"{SVG}text"):
        if "end" not in text.attrib["class"]:
            assert float(text.attrib["x"]) + 6.6 * len(text.text or "") <= width + 20, text.text


def test_hostile_names_stay_text_in_the_picture(alone: None, tmp_path: Path) -> None:
    name = "<script>alert(1)</script>"
    line = ["--nodes", f"{name}=4TB,2TB", "--blocks", "100", "--out", "x.html", "--lose", name]
    assert main(["plan", "simulate", *line]) == 0
    page = (tmp_path / "x.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_a_planner_of_ones_own_is_compared(cli: Cli, tmp_path: Path) -> None:
    write_planner("mine", tmp_path / "plugins")
    line = ["plan", "simulate", "--nodes", "1TB*3", "--blocks", "300", "--plugins-dir", "plugins", "--json"]
    found = cli.ok(*line, "--planner", "mine", "--planner", "rendezvous").json
    assert found["planners"] == ["mine", "rendezvous"]
    mine, rendezvous = found["figures"]
    assert len(mine["histogram"]) == 4, "it keeps everything everywhere"
    assert len(rendezvous["histogram"]) == 3
    assert "mine" in cli.ok(*line).json["planners"]


BROKEN = """
from ralnode.api import Provider, hookimpl

class Planner:
    name, version, needs_holdings = "broken", 1, False
    def plan(self, view):
        raise ValueError("no idea")

@hookimpl
def provide_planner():
    return Provider("broken", lambda context, options: Planner())
"""


def test_a_planner_that_fails_is_left_out_by_name(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "p").mkdir(mode=0o755)
    (tmp_path / "p" / "ralnode_broken.py").write_text(BROKEN)
    (tmp_path / "p" / "ralnode_broken.py").chmod(0o644)
    line = ["plan", "simulate", "--nodes", "1TB*3", "--blocks", "300", "--plugins-dir", "p", "--planner", "broken"]
    out = cli.ok(*line, "--planner", "rendezvous").out
    assert "broken was left out: planner 'broken' failed: ValueError: no idea" in out
    alone = cli(*line)
    assert (alone.code, alone.err.count("\n")) == (78, 1)
    assert "no idea" in alone.err


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        (["--nodes", "lots"], 64, "lots"),
        (["--nodes", "1TB*3", "--lose", "3"], 64, "1 to 2"),
        (["--nodes", "1TB*3", "--lose", "desk"], 64, "node-1"),
        (["--nodes", "1TB*3", "--grow", "0"], 64, "1 to 1,000"),
        (["--nodes", "1TB*3", "--grow", "lots"], 64, "lots"),
        (["--nodes", "1TB*3", "--out", "plans.png"], 64, ".html or .svg"),
        (["--nodes", "1TB*3", "--planner", "rendezvos"], 66, "did you mean 'rendezvous'"),
        (["--nodes", "1TB", "--node", "attic"], 64, "leave --node out"),
        (["--nodes", "1TB", "--blocks", "20", "--out", "no/such/folder.svg"], 74, "no/such/folder.svg"),
        ([], 69, "--nodes 4TB,2TB,500GB"),
    ],
)
def test_a_wrong_line_is_answered_with_one_line(
    line: list[str], code: int, says: str, alone: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", "simulate", *line]) == code
    out, err = capsys.readouterr()
    assert (err.count("\n"), says in err) == (1, True), out + err


def test_help_teaches_with_an_example(alone: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "simulate", "--help"]) == 0
    assert "ralnode plan simulate --nodes 4TB,2TB,500GB --lose 1" in capsys.readouterr().out


def planned_sources(node: NodeProcess) -> set[str]:
    try:
        return {line["name"] for line in node.ask("plan_view")["sources"]}
    except UnavailableError:  # no plan yet
        return set()


def test_the_present_cluster_is_what_the_running_node_plans_for(node: NodeProcess) -> None:
    (node.folder / "film").write_bytes(bytes(range(256)) * 20_000)
    node.cli.ok("add", "film")
    node.wait_for(lambda: "film" in planned_sources(node))
    found = node.cli.ok("plan", "simulate", "--planner", "rendezvous", "--grow", "2", "--json").json
    (now, grown) = found["situations"]
    assert [each["name"] for each in now["nodes"]] == ["attic"]
    assert len(grown["nodes"]) == 3
    assert found["data_bytes"] == 5_120_000
    assert found["figures"][0]["wanted_bytes"] == [5_120_000]
    described = node.cli.ok("plan", "simulate", "--planner", "rendezvous", "--sources", "100MB", "--json").json
    assert described["data_bytes"] == 100_000_000


def test_nothing_but_the_file_asked_for_is_written(alone: None, tmp_path: Path) -> None:
    assert main(["plan", "simulate", "--nodes", "1TB*2", "--blocks", "50", "--out", "a.svg"]) == 0
    assert [path.name for path in tmp_path.rglob("*")] == ["a.svg"]
