"""Plugins that the tests of the frozen executable drop in: texts, and a wheel made by hand."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]


def readme_planner() -> str:
    """The planner `mirror` that the README shows."""
    text = (ROOT / "README.md").read_text()
    found = re.search(r"```python\n(.*?)```", text[text.index("## A planner in 20 lines") :], re.DOTALL)
    assert found
    return found[1]


def planner(name: str, first_lines: str = "") -> str:
    return first_lines + "\n" + readme_planner().replace('"mirror"', f'"{name}"')


def drop(folder: Path, module: str, text: str) -> Path:
    """Returns the folder, which only its owner may write."""
    folder.mkdir(mode=0o755, exist_ok=True)
    file = folder / f"{module}.py"
    file.write_text(text)
    file.chmod(0o644)
    return folder


def make_wheel(folder: Path, name: str) -> Path:
    """A distribution `ralnode-planner-NAME` with an entry point and a data file."""
    package, info = f"ralnode_planner_{name}", f"ralnode_planner_{name}-1.2.dist-info"
    code = planner(
        name, "from importlib.resources import files\nassert files(__name__).joinpath('word').read_text() == 'here'"
    )
    members = {
        f"{package}/__init__.py": code,
        f"{package}/word": "here",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: ralnode-planner-{name}\nVersion: 1.2\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[ralnode.plugins]\nplanner_{name} = {package}\n",
    }
    members[f"{info}/RECORD"] = "".join(f"{member},,\n" for member in [*members, f"{info}/RECORD"])
    path = folder / f"ralnode_planner_{name}-1.2-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for member, text in members.items():
            wheel.writestr(member, text)
    return path
