"""What the README shows is run."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest

from ralnode.api import PlanNode, Source, View

ROOT = Path(__file__).parents[1]


def planner_code() -> str:
    text = (ROOT / "README.md").read_text()
    section = text[text.index("## A planner in 20 lines") :]
    found = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert found
    return found[1]


def test_the_planner_of_the_readme_is_about_twenty_lines_and_plans(tmp_path: Path) -> None:
    code = planner_code()
    assert len([line for line in code.splitlines() if line.strip()]) <= 24
    path = tmp_path / "ralnode_mirror.py"
    path.write_text(code)
    spec = importlib.util.spec_from_file_location("ralnode_mirror", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["ralnode_mirror"] = module
    spec.loader.exec_module(module)
    provider = module.provide_planner()
    planner = provider.build(None, provider.options())
    nodes = tuple(PlanNode(bytes([i]) * 32, 10**9 * i) for i in range(1, 4))
    source = Source(b"root", "film", 10**8, 100, 10**8, 1, 100)
    plan = planner.plan(View(nodes[2].id, nodes, (source,)))
    assert plan.want[b"root"]


@pytest.mark.parametrize("command", ["sh packaging/demo", "sh packaging/check"])
def test_the_two_commands_stand_in_the_readme(command: str) -> None:
    assert command in (ROOT / "README.md").read_text()


def test_every_file_the_readme_links_to_exists() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)", (ROOT / "README.md").read_text()):
        assert (ROOT / target).exists(), target
