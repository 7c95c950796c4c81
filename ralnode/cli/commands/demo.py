"""`ralnode demo`."""

from __future__ import annotations

import contextlib
import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Annotated, Final

import typer

from ralnode.api import RalnodeError, UsageError
from ralnode.cli.context import global_options
from ralnode.cli.demo.processes import DemoCluster
from ralnode.cli.demo.stage import Stage
from ralnode.cli.demo.story import Outcome, Story
from ralnode.cli.output import show_json
from ralnode.cli.text import count, size
from ralnode.host.quantities import parse_size

NODES_MIN, NODES_MAX = 3, 20
"""Two nodes must be left for two copies; twenty processes are as many as a small machine bears."""

_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def command(
    ctx: typer.Context,
    nodes: Annotated[int, typer.Option(min=NODES_MIN, max=NODES_MAX, help="How many.")] = 6,
    data_size: Annotated[str, typer.Option("--size", metavar="SIZE", help="How much to generate.")] = "300MB",
    keep: Annotated[bool, typer.Option("--keep", help="Leave it running until Ctrl-C.")] = False,
    folder: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Where to make the temporary folder.")] = None,
) -> None:
    """Start a cluster on this machine, kill a node, prove that nothing is lost.

    Real nodes as processes on loopback, each with its own data folder and capacity. Nothing outside a temporary folder is
    touched, and that is removed in the end.

    \b
    Examples:
      ralnode demo
      ralnode demo --nodes 3 --size 50MB
      ralnode demo --keep            look at the status page, Ctrl-C ends it
    """
    try:
        size_bytes = parse_size(data_size)
    except ValueError as error:
        raise UsageError(f"--size: {error}") from error
    for each in _ENDING:
        signal.signal(each, _interrupt)
    with DemoCluster(folder) as cluster:
        outcome = _tell(Stage(to_stderr=global_options(ctx).json), cluster, nodes, size_bytes)
        if global_options(ctx).json:
            show_json(outcome)
        else:
            typer.secho(verdict(outcome), fg="green", bold=True)
        if keep:
            typer.echo(f"The cluster goes on until Ctrl-C. Status page: {outcome.page}", err=True)
            with contextlib.suppress(KeyboardInterrupt):
                threading.Event().wait()


def _tell(stage: Stage, cluster: DemoCluster, nodes: int, size_bytes: int) -> Outcome:
    with stage:
        try:
            return Story(stage, cluster, nodes, size_bytes).tell()
        except RalnodeError as error:
            if not cluster.nodes:
                raise
            stage.say(str(error), "bold red")  # with the nodes' last words, which are more than a line
            raise type(error)("the demo has failed; what it saw stands above") from error


def verdict(outcome: Outcome) -> str:
    """The one line that says it."""
    return (
        f"Nothing was lost: {count(outcome.files, 'file')} ({size(outcome.size_bytes)}) came back equal to the last byte, before "
        f"and after {outcome.killed} was killed; {size(outcome.repaired_bytes)} were copied again by {outcome.nodes - 1} nodes in "
        f"{outcome.repair_seconds:.1f} s."
    )


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """Once: a second one in the middle of the first one's cleaning up would leave processes behind."""
    for each in _ENDING:
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt
