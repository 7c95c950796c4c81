"""Words that plugins add to the command line by `register_commands`. Built-in words always win.

Looked for only when the built-in words do not have what was asked for, or for the list of `ralnode --help`; and then
only when there is any plugin that is not ours (ours add no words), since loading them takes as long as all the rest.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final

import typer

from ralnode.cli.lazy import load
from ralnode.cli.text import clean
from ralnode.cli.words import BY_NAME

PANEL: Final = "Added by plugins"


def add_plugin_words(app: typer.Typer) -> None:
    """Lets every plugin that is not ours add its words; says which failed, and which words are taken."""
    if not may_have_strangers(os.environ):
        return
    where = load("ralnode.host.plugin_find", "Where")(os.environ)
    plugins = load("ralnode.host.plugins", "load")(where, builtin=False)
    offered = typer.Typer()
    plugins.register_commands(offered)
    _take(app.registered_commands, offered.registered_commands, _command_name)
    _take(app.registered_groups, offered.registered_groups, lambda group: str(group.name))
    for each in plugins.refused:
        _warn(f"plugin {each.name} ({each.origin}) adds no words: {each.reason}")


def may_have_strangers(environ: Mapping[str, str]) -> bool:
    """Whether it is worth loading the plugin host. Too often True does no harm; the rules are in plugin_dirs.py."""
    configuration = environ.get("XDG_CONFIG_HOME") or Path(environ.get("HOME") or "/") / ".config"
    places = (Path("/etc/ralnode/plugins"), Path(configuration) / "ralnode/plugins")
    if environ.get("RALNODE_PLUGINS_DIR") or any(place.is_dir() for place in places):
        return True
    return any(not (point.dist and point.dist.name == "ralnode") for point in entry_points(group="ralnode.plugins"))


def _take(ours: list[Any], theirs: list[Any], name_of: Callable[[Any], str]) -> None:
    for each in theirs:
        name = name_of(each)
        if name in BY_NAME:
            _warn(f"a plugin offers the word {name!r}, which is built in; it was passed over")
            continue
        each.rich_help_panel = PANEL
        ours.append(each)


def _command_name(command: Any) -> str:
    """As typer makes it from the function when none was given."""
    return str(command.name or command.callback.__name__.replace("_", "-"))


def _warn(text: str) -> None:
    typer.echo(f"ralnode: {clean(text)}", err=True)
