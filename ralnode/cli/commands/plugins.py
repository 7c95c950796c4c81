"""`ralnode plugins`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ralnode.api import PluginError, UnavailableError, UsageError
from ralnode.cli.context import global_options, load_config, node_client
from ralnode.cli.lazy import load
from ralnode.cli.output import show
from ralnode.cli.render import plugins as render
from ralnode.host.answers import PluginLine, PluginsAnswer, RefusedLine
from ralnode.host.jsonable import from_jsonable

if TYPE_CHECKING:
    from ralnode.host.config import Config
    from ralnode.host.plugins import PluginSet


def command(
    ctx: typer.Context,
    new: Annotated[
        list[str] | None, typer.Argument(metavar="[new planner NAME]", help="Write a planner to start from.")
    ] = None,
    plugins_dir: Annotated[
        list[Path] | None,
        typer.Option("--plugins-dir", metavar="FOLDER", help="Look here too (no node is asked then)."),
    ] = None,
    into: Annotated[Path, typer.Option(metavar="FOLDER", help="Where `new` writes.")] = Path(),
) -> None:
    """List the plugins found, and every refusal with its reason.

    Asks the running node; without one, looks for itself.

    \b
    Examples:
      ralnode plugins
      ralnode plugins --plugins-dir ./mine
      ralnode plugins new planner attic_first    writes a planner that works, and its test
    """
    if new:
        _make(new, into)
        return
    show(ctx, _answer(ctx, tuple(plugins_dir or ())), render.whole)


def _make(words: list[str], into: Path) -> None:
    if len(words) != 3 or words[:2] != ["new", "planner"]:
        raise UsageError(f"cannot understand {' '.join(words)!r}; there is: ralnode plugins new planner NAME")
    plugin, test = load("ralnode.cli.skeleton", "write_planner")(words[2], into)
    typer.echo(f"{plugin}\n{test}\ntry it:  ralnode run --plugins-dir {plugin.parent} --planner {words[2]}")


def _answer(ctx: typer.Context, extra: tuple[Path, ...]) -> PluginsAnswer:
    if not extra:
        try:
            return from_jsonable(PluginsAnswer, node_client(ctx).command("plugins"))
        except UnavailableError:
            if global_options(ctx).node:
                raise
    return local_plugins(load_config(ctx), extra)


def local_plugins(config: Config, extra: tuple[Path, ...] = ()) -> PluginsAnswer:
    """What a node with this configuration would find and use."""
    where = load("ralnode.host.plugin_find", "Where")(os.environ, extra)
    found: PluginSet = load("ralnode.host.plugins", "load")(where)
    refused = [RefusedLine(each.name, each.origin, each.reason) for each in found.refused]
    active: frozenset[tuple[str, str]] = frozenset()
    try:
        active = load("ralnode.host.choose", "choose")(found, config).active
    except PluginError as error:
        refused.append(RefusedLine("[use]", "the configuration", str(error)))
    rows = [
        PluginLine(r.name, r.origin, r.version, r.role, r.providers, r.active, r.summary) for r in found.rows(active)
    ]
    return PluginsAnswer(tuple(rows), tuple(refused))
