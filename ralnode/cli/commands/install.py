"""`ralnode install`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from ralnode.api import RefusedError
from ralnode.cli.context import global_options
from ralnode.cli.install.layout import Layout
from ralnode.cli.install.placing import beside_package, check, placing
from ralnode.cli.install.program import Program, build_of, this_program
from ralnode.cli.install.step import Report, carry_out
from ralnode.cli.output import show_json

IN_WORDS = {"done": "done: ", "kept": "is so already: ", "would": "would "}


@dataclass(frozen=True, slots=True)
class Installed:
    build: str
    steps: list[Report]


def command(
    ctx: typer.Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    now: Annotated[bool, typer.Option("--now", help="Start the service at once and at every boot.")] = False,
    root: Annotated[Path, typer.Option(metavar="FOLDER", help="Into this tree, to make an image of a disk.")] = Path(
        "/"
    ),
) -> None:
    """Make this executable a service of this machine.

    Puts it into /opt/ralnode, makes the user ralnode, the units of systemd, the command in /usr/local/bin, a configuration
    with every option explained, a man page and completions. Again is harmless; a newer file upgrades what is there and
    restarts nodes that run. Configuration and data are kept. ralnode uninstall removes it. Where the Debian package has done
    all that, only what a data_dir outside of /var/lib needs is left to do.

    \b
    Examples:
      sudo ./ralnode install --now
      ./ralnode install --dry-run
    """
    layout, program = Layout(root.absolute()), this_program()
    if is_packaged := _is_the_packages(layout, program):
        steps = beside_package(layout)
        if not steps:
            typer.echo(
                f"ralnode {program.version} is installed here by its Debian package, whole; there is nothing to do"
            )
            return
    else:
        check(layout, program)
        steps = placing(layout, program, start=now)
    if not dry_run:
        refuse_without_root("installing", "install")
    reports = []
    for report in carry_out(steps, dry_run=dry_run):
        reports.append(report)
        if not global_options(ctx).json:
            typer.echo(IN_WORDS[report.state] + report.what)
    if global_options(ctx).json:
        show_json(Installed(program.build, reports))
    elif not (dry_run or now or is_packaged):
        typer.echo("to start it now and at every boot: systemctl enable --now ralnode")


def _is_the_packages(layout: Layout, program: Program) -> bool:
    return bool(program.build) and layout.debian_program.exists() and build_of(layout.debian_papers) == program.build


def refuse_without_root(doing: str, word: str) -> None:
    if os.geteuid() != 0:
        raise RefusedError(
            f"{doing} needs root, and nothing was changed: sudo ralnode {word}, or --dry-run to look first"
        )
