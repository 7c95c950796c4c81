"""`ralnode run`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ralnode.api import RalnodeError, RefusedError
from ralnode.cli.context import global_options, load_config
from ralnode.cli.lazy import load
from ralnode.cli.text import clean, size
from ralnode.host.socketpath import node_socket

if TYPE_CHECKING:
    from ralnode.host.config import Config
    from ralnode.host.operations import Operations

Text = str | None


def command(
    ctx: typer.Context,
    join: Annotated[Text, typer.Option(metavar="CODE", help="Join the cluster of this join code.")] = None,
    capacity: Annotated[
        Text, typer.Option(metavar="SIZE", help="Disk to give, e.g. 500GB; half of the free space.")
    ] = None,
    sources: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Offer everything in it, by reference.")
    ] = None,
    data: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Where blocks and the key are kept.")] = None,
    name: Annotated[Text, typer.Option(help="This node's name; the machine's.")] = None,
    group: Annotated[Text, typer.Option(help="Nodes find each other on the LAN within a group.")] = None,
    zone: Annotated[Text, typer.Option(help="Copies are spread over zones, e.g. cellar.")] = None,
    peer: Annotated[list[str] | None, typer.Option(metavar="HOST[:PORT]", help="Where a member listens.")] = None,
    listen: Annotated[Text, typer.Option(metavar="ADDRESS", help="Listen only here; everywhere.")] = None,
    port: Annotated[int | None, typer.Option(help="For the other nodes (TCP); 10090, 0 takes any.")] = None,
    gossip_port: Annotated[int | None, typer.Option(help="For membership (UDP); 9090.")] = None,
    page_port: Annotated[int | None, typer.Option(help="Of the status page; 9080.")] = None,
    planner: Annotated[Text, typer.Option(help="Which planner; rendezvous.")] = None,
    plugins_dir: Annotated[
        list[Path] | None, typer.Option("--plugins-dir", metavar="FOLDER", help="Look for plugins here too.")
    ] = None,
    log_level: Annotated[Text, typer.Option(help="debug, info, warning or error.")] = None,
) -> None:
    """Run a node in the foreground.

    The first one founds a cluster and prints the join code; the others join with it. Options left out come from the
    configuration file and the environment (see: ralnode doctor). Ctrl-C stops it cleanly.

    \b
    Examples:
      ralnode run
      ralnode run --capacity 500GB --sources ~/Videos
      ralnode run --join ral1abc…
    """
    if global_options(ctx).node:
        raise RefusedError("a node is started on its own machine; leave --node out")
    flags = {
        "join_code": join, "capacity": capacity, "sources_dir": _absolute(sources), "data_dir": _absolute(data),
        "name": name, "group": group, "zone": zone, "known_peers": ",".join(peer) if peer else None,
        "listen_host": listen, "transport_port": port, "gossip_port": gossip_port, "page_port": page_port,
        "log_level": log_level or ("debug" if global_options(ctx).debug else None),
    }  # fmt: skip
    config = load_config(ctx, {**{f"node.{key}": value for key, value in flags.items()}, "use.planner": planner})
    raise typer.Exit(_run(ctx, config, tuple(plugins_dir or ())))


def _absolute(path: Path | None) -> str | None:
    return str(path.expanduser().absolute()) if path else None


def _run(ctx: typer.Context, config: Config, plugins_dirs: tuple[Path, ...]) -> int:
    assert config.node.data_dir is not None, "config.load fills it in"
    socket_path = node_socket(global_options(ctx).socket, os.environ, config.node.data_dir)
    where = load("ralnode.host.plugin_find", "Where")(os.environ, plugins_dirs)
    plugins = load("ralnode.host.plugins", "load")(where)
    was_told = load("ralnode.host.joining", "find_join_code")(config.node, os.environ) is not None
    is_first = not (config.node.data_dir / load("ralnode.host.identity", "SECRET_FILE")).exists()

    async def ready(operations: Operations) -> None:
        await _greet(ctx, operations, socket_path, founded=is_first and not was_told)

    run_process = load("ralnode.host.process", "run_process")
    code: int = run_process(config, plugins, os.environ, socket_path=socket_path, on_ready=ready)
    return code


async def _greet(ctx: typer.Context, operations: Operations, socket_path: Path, *, founded: bool) -> None:
    """The join code and the one-time link are passwords: shown to a person at a terminal, never written into a log."""
    me, is_watched = operations.engine.me, sys.stdout.isatty()
    code = operations.join_code() if founded and is_watched else ""
    link = await _login_link(operations) if is_watched else ""
    if global_options(ctx).json:
        table: dict[str, Any] = {
            "name": me.name, "page": me.page_url, "socket": str(socket_path), "join_code": code, "login_link": link,
        }  # fmt: skip
        typer.echo(json.dumps(table))
    else:
        typer.echo(f"{clean(me.name)} is running and gives {size(me.capacity_bytes)}")
        if me.page_url:
            typer.echo(f"status page: {clean(me.page_url)}")
        if link:
            typer.echo(f"sign in to it, once, within 15 minutes: {link}")
        if founded:
            _invite(code)
    sys.stdout.flush()


async def _login_link(operations: Operations) -> str:
    """While nobody can sign in with a password; empty without a page that people sign in to."""
    params = load("ralnode.host.commands.params", "PageParams")
    try:
        known = await operations.tell_page(params("show"))
        return "" if known.accounts else str((await operations.tell_page(params("link"))).link)
    except RalnodeError:
        return ""


def _invite(code: str) -> None:
    if not code:
        typer.echo("this is a new cluster; on another machine: ralnode join CODE (ralnode invite shows it)")
        return
    typer.echo(f"this is a new cluster; on another machine: ralnode join {code}")
    lines = load("ralnode.cli.qr", "qr_lines")(code.upper())
    if len(lines) < os.get_terminal_size(sys.stdout.fileno()).lines:
        typer.echo("\n".join(lines), color=True)
