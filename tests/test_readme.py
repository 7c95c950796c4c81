"""What the README shows is run."""

import re
from pathlib import Path
from typing import Any

import pytest

from ralnode.api import Planner
from ralnode.testing.planner_contract import PlannerContract

ROOT = Path(__file__).parents[1]


def planner_code() -> str:
    text = (ROOT / "README.md").read_text()
    section = text[text.index("## A planner in 20 lines") :]
    found = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert found
    return found[1]


def test_the_planner_of_the_readme_is_about_twenty_lines() -> None:
    assert len([line for line in planner_code().splitlines() if line.strip()]) <= 20


class TestThePlannerOfTheReadme(PlannerContract):
    never_exceeds_copies = False

    def build(self) -> Planner:
        names: dict[str, Any] = {"__name__": "ralnode_mirror"}
        exec(compile(planner_code(), "ralnode_mirror.py", "exec"), names)
        provider = names["provide_planner"]()
        return provider.build(None, provider.options())  # type: ignore[no-any-return]


@pytest.mark.parametrize("command", ["sh packaging/demo", "sh packaging/check"])
def test_the_two_commands_stand_in_the_readme(command: str) -> None:
    assert command in (ROOT / "README.md").read_text()


def test_every_file_the_readme_links_to_exists() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)", (ROOT / "README.md").read_text()):
        assert (ROOT / target).exists(), target
