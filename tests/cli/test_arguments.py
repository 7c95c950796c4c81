"""Global options may stand anywhere; the word is found all the same."""

from __future__ import annotations

import pytest

from ralnode.cli.arguments import hoist


@pytest.mark.parametrize(
    ("line", "options", "rest", "word"),
    [
        ("status", "", "status", "status"),
        ("status --json", "--json", "status", "status"),
        ("--json status", "--json", "status", "status"),
        ("add --node attic x", "--node attic", "add x", "add"),
        ("add --node=attic x", "--node=attic", "add x", "add"),
        ("--socket /s --debug get a -o b", "--socket /s --debug", "get a -o b", "get"),
        ("--help", "", "--help", None),
        ("", "", "", None),
        ("add -- --json", "", "add -- --json", "add"),
        ("demo --nodes 3 --config c", "--config c", "demo --nodes 3", "demo"),
        ("status --node", "--node", "status", "status"),
    ],
)
def test_global_options_are_moved_to_the_front(line: str, options: str, rest: str, word: str | None) -> None:
    found = hoist(line.split())
    assert (found.options, found.rest, found.word) == (tuple(options.split()), tuple(rest.split()), word)
