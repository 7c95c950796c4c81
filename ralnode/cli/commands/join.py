"""`ralnode join`."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from ralnode.api import RefusedError, UnavailableError
from ralnode.cli.client import NodeClient
from ralnode.cli.commands.stop import wait_until_gone
from ralnode.cli.context import data_dir, global_options, node_client
from ralnode.cli.lazy import load
from ralnode.cli.output import show
from ralnode.cli.text import clean

if TYPE_CHECKING:
    from ralnode.host.joincode import JoinCode


@dataclass(frozen=True, slots=True)
class Joined:
    """`state`: stored (start the node now), started (the service runs with it now), told (the running node was already a
    member and knows the addresses now)."""

    state: str
    data_dir: str
    addresses: tuple[str, ...]


def command(
    ctx: typer.Context,
    code: Annotated[str, typer.Argument(metavar="CODE", help="What `ralnode invite` printed on a member.")],
    run: Annotated[
        bool | None,
        typer.Option("--run/--no-run", help="Run the node in the foreground then; at a terminal, without a service."),
    ] = None,
) -> None:
    """Join the cluster of a join code.

    Stores the secret and the addresses for the node on this machine, and starts it: the service where there is one, else
    the node in the foreground. A running node that is a member already is told the addresses; one that stands alone with
    nothing in it is stopped first.

    \b
    Examples:
      ralnode join ral1abc…
      sudo ralnode join ral1abc…       where ralnode is installed as a service
      ralnode join ral1abc… --no-run
    """
    found: JoinCode = load("ralnode.host.joincode", "JoinCode").decode(code)
    folder = data_dir(ctx)
    state = _join(ctx, found, folder)
    is_usual = global_options(ctx).config is None and global_options(ctx).socket is None
    if state == "stored" and run is not True and is_usual and load("ralnode.cli.service", "start")(os.environ):
        state = "started"
    show(ctx, Joined(state, str(folder), tuple(map(str, found.addresses))), _shown)
    at_terminal = sys.stdout.isatty() and not global_options(ctx).json
    if state == "stored" and (at_terminal if run is None else run):
        ctx.invoke(load("ralnode.cli.commands.run", "command"), ctx=ctx)


def _join(ctx: typer.Context, found: JoinCode, folder: Path) -> str:
    """Raises RalnodeError; then nothing was changed."""
    client = node_client(ctx)
    try:
        mine: JoinCode = load("ralnode.host.joincode", "JoinCode").decode(client.command("invite")["code"])
    except UnavailableError:
        _store(folder, found)
        return "stored"
    if mine.secret == found.secret:
        if found.addresses:
            client.command("hint_peer", {"addresses": list(map(str, found.addresses))})
        return "told"
    _leave_empty_cluster(client, folder)
    _store(folder, found)
    return "stored"


def _leave_empty_cluster(client: NodeClient, folder: Path) -> None:
    """Only a cluster of one node without sources is left just so. Raises RefusedError."""
    nodes, sources = client.command("nodes")["nodes"], client.command("sources")["sources"]
    if len(nodes) > 1 or sources:
        raise RefusedError(
            f"the node that runs here belongs to another cluster, with {len(nodes)} nodes and {len(sources)} sources. "
            "Nothing was changed. Stop it and give the new cluster its own data folder ([node] data_dir)"
        )
    wait_until_gone(int(client.command("stop")["pid"]))
    (folder / load("ralnode.host.identity", "SECRET_FILE")).unlink(missing_ok=True)


def _store(folder: Path, code: JoinCode) -> None:
    """The lock of the data folder keeps a node from starting meanwhile."""
    load("ralnode.host.folderbook", "FolderBook").of(folder, os.environ).check()
    with load("ralnode.host.datadir", "DataDir")(folder) as opened:
        load("ralnode.host.identity", "store_secret")(folder, code.secret)
        opened.remember_hints(code.addresses)
    load("ralnode.cli.service", "hand_over")(folder)


def _shown(joined: Joined) -> Text:
    where = f" (peers at {clean(', '.join(joined.addresses))})" if joined.addresses else ""
    if joined.state == "told":
        return Text(f"this node is a member already; it was told where its peers are{where}")
    if joined.state == "started":
        return Text(f"the secret is stored in {clean(joined.data_dir)}{where}, and the service runs with it now")
    return Text(f"the secret is stored in {clean(joined.data_dir)}{where}. Start the node: ralnode run")
