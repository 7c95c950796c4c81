"""`ralnode uninstall`."""

from __future__ import annotations

import platform
import sys
from pathlib import Path
from typing import Annotated

import typer

from ralnode.api import RefusedError
from ralnode.cli.commands.install import IN_WORDS, refuse_without_root
from ralnode.cli.context import global_options
from ralnode.cli.install.layout import Layout
from ralnode.cli.install.removing import check, removing, what_stays
from ralnode.cli.install.step import carry_out
from ralnode.cli.output import show_json


def command(
    ctx: typer.Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    purge_data: Annotated[
        bool, typer.Option("--purge-data", help="Remove blocks, keys and configuration too; asks for a name.")
    ] = False,
    confirm: Annotated[
        str | None, typer.Option(metavar="NAME", help="For --purge-data: this machine's name, instead of being asked.")
    ] = None,
    root: Annotated[Path, typer.Option(metavar="FOLDER", help="From this tree, as in install.")] = Path("/"),
) -> None:
    """Remove what `ralnode install` has put on this machine.

    Stops the nodes of this machine. Blocks, keys and configuration stay where they are unless --purge-data is said and this
    machine's name is typed. The user ralnode stays, since files on other disks may belong to it.

    \b
    Examples:
      sudo ralnode uninstall
      sudo ralnode uninstall --purge-data
    """
    layout = Layout(root.absolute())
    check(layout)
    if not dry_run:
        refuse_without_root("uninstalling", "uninstall")
        if purge_data:
            _ask_for_the_name(layout, confirm)
    stays = [] if purge_data else what_stays(layout)
    is_json = global_options(ctx).json
    reports = []
    for report in carry_out(removing(layout, purge_data=purge_data), dry_run=dry_run):
        reports.append(report)
        if not is_json:
            typer.echo(IN_WORDS[report.state] + report.what)
    if is_json:
        show_json({"steps": reports, "stays": [str(each) for each in stays]})
    elif stays:
        typer.echo(f"stays: {', '.join(map(str, stays))}; ralnode install takes it up again")


def _ask_for_the_name(layout: Layout, confirm: str | None) -> None:
    """Raises RefusedError unless the name of this machine was typed."""
    name = platform.node()
    if confirm is None and sys.stdin.isatty():
        folders = ", ".join(map(str, what_stays(layout)))
        typer.echo(f"This removes {folders} for good. Blocks without a copy on another node are lost.", err=True)
        confirm = typer.prompt(f"Type this machine's name ({name}) to go on", err=True)
    if confirm != name:
        raise RefusedError(
            f"--purge-data removes blocks and keys for good, so it wants this machine's name ({name}): type it when asked, or "
            f"say --confirm {name}. Nothing was changed"
        )
