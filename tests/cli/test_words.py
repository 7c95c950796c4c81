"""The table of words agrees with the modules behind it."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path

import pytest

from ralnode.cli import commands
from ralnode.cli.words import WORDS, Word

COMMANDS_FOLDER = Path(inspect.getfile(commands)).parent


@pytest.mark.parametrize("word", WORDS, ids=lambda word: word.name)
def test_each_word_has_a_module_that_begins_with_its_summary_and_teaches_by_example(word: Word) -> None:
    module = importlib.import_module(word.module)
    documented = module.command if hasattr(module, "command") else module.overview
    help_text = inspect.getdoc(documented) or ""
    assert help_text.splitlines()[0] == word.summary
    assert "Example" in help_text
    assert f"ralnode {word.name}" in help_text


def test_each_module_of_a_command_is_a_word() -> None:
    modules = {path.stem for path in COMMANDS_FOLDER.glob("*.py")} - {"__init__"}
    assert modules == {word.module.rpartition(".")[2] for word in WORDS}
