"""The one place where something is imported while the program runs, so that `ralnode --help` is quick.

The rule elsewhere is that imports stand at the top of a module. The command line departs from it in two cases, both of
them through `load`: the module of the command that was asked for, and, inside a command, a part of the node that only
one of its branches needs (`run` needs the whole node, `run --help` does not).
"""

from __future__ import annotations

from importlib import import_module
from typing import Any


def load(module: str, name: str = "") -> Any:
    """The module, or the attribute `name` of it. Untyped: callers name the type where they take it."""
    loaded = import_module(module)
    return getattr(loaded, name) if name else loaded
