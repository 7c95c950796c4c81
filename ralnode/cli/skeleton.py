"""The text of a new planner and of its test, for `ralnode plugins new planner NAME`. They work as they are written."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from ralnode.api.errors import LocalError, RefusedError, UsageError

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")

PLANNER: Final = '''"""Planner `@NAME@`: every node keeps as much of everything as it has room for. Change `plan` into what you want.

Try it:  ralnode run --plugins-dir FOLDER --planner @NAME@
"""

from dataclasses import dataclass

from ralnode.api import BlockSet, Plan, Provider, hookimpl
from ralnode.api.mixing import node_salt
from ralnode.api.planning import my_budget_bytes, take, view_digest


@dataclass(frozen=True)
class Options:
    """What the configuration may say under [planner.@NAME@]; an unknown key there is an error that names it."""

    share: float = 1.0
    """How much of this node's room to use, 0 to 1."""


class @CLASS@:
    """Pure: the same view gives the same plan on every machine, so it reads no clock and rolls no dice."""

    name, version = "@NAME@", 1
    needs_holdings = False  # True: be given what every node has, and plan again when that changes

    def __init__(self, options):
        self.options = options

    def plan(self, view):
        """`view` has me, nodes and sources. `want` says which blocks (by number) of each source this node should own."""
        everything = {source.root: BlockSet.full(source.leaf_count) for source in view.sources}
        budget_bytes = int(my_budget_bytes(view) * self.options.share)
        want = take(view.sources, everything, node_salt(view.me), budget_bytes)
        return Plan(want=want, digest=view_digest("@NAME@/1", view))


@hookimpl
def provide_planner():
    return Provider("@NAME@", lambda context, options: @CLASS@(options), Options, "keeps as much as fits")
'''

TEST: Final = '''"""Run with pytest. The contract has what every planner must keep to; add what yours promises."""

from ralnode.testing.planner_contract import PlannerContract
from ralnode_@NAME@ import @CLASS@, Options


class Test@CLASS@(PlannerContract):
    never_exceeds_copies = False  # it keeps more copies than are asked for; set it to True when yours does not

    def build(self):
        return @CLASS@(Options())
'''


def write_planner(name: str, folder: Path) -> list[Path]:
    """Writes the plugin and its test into `folder`; returns both. Raises UsageError, RefusedError, LocalError, and then
    nothing was written."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} is no name for a planner: small letters, digits and _, beginning with a letter")
    texts = {f"ralnode_{name}.py": PLANNER, f"test_ralnode_{name}.py": TEST}
    paths = [folder / file for file in texts]
    for path in paths:
        if path.exists():
            raise RefusedError(f"{path} is there already; nothing was written. Choose another name, or --into FOLDER")
    class_name = "".join(word.capitalize() for word in name.split("_")) + "Planner"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in zip(paths, texts.values(), strict=True):
            path.write_text(text.replace("@NAME@", name).replace("@CLASS@", class_name), encoding="utf-8")
            path.chmod(0o644)  # a file that others may write would be refused: it is code
    except OSError as error:
        raise LocalError(f"cannot write the planner into {folder}: {error.strerror}") from error
    return paths
