"""The committed files under sources/ are exactly what their recipe makes."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]


def recipe() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_sources", ROOT / "packaging" / "make_sources.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_committed_sources_are_what_the_recipe_makes() -> None:
    folder = ROOT / "sources"
    made = dict(recipe().files())
    assert {name: (folder / name).read_bytes() for name in made} == made


def test_nothing_else_lies_among_the_committed_sources_but_the_readme() -> None:
    folder = ROOT / "sources"
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert found - {"README.md"} == {name for name, _ in recipe().files()}


def test_sources_have_an_empty_file_a_nested_folder_a_large_file_and_a_name_that_is_not_ascii() -> None:
    made = dict(recipe().files())
    assert made["empty.txt"] == b""
    assert any(name.count("/") > 2 for name in made)
    assert max(map(len, made.values())) > 1 << 20
    assert any(not name.isascii() for name in made)
    assert 1_000_000 < sum(map(len, made.values())) < 3_000_000
