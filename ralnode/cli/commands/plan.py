"""`ralnode plan`, `plan simulate`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ralnode.api import UsageError
from ralnode.cli.context import global_options, node_client
from ralnode.cli.lazy import load
from ralnode.cli.output import show
from ralnode.cli.render import plan as render
from ralnode.host.answers import PlanAnswer, WhyAnswer
from ralnode.host.jsonable import from_jsonable

app = typer.Typer(rich_markup_mode="rich" if sys.stdout.isatty() else None)


@app.callback(invoke_without_command=True)
def overview(
    ctx: typer.Context,
    why: Annotated[
        tuple[str, int] | None, typer.Option("--why", metavar="SOURCE INDEX", help="Explain one block of a source.")
    ] = None,
) -> None:
    """Show which blocks this node wants and has, and why.

    \b
    Examples:
      ralnode plan
      ralnode plan --why holiday 17    which nodes block 17 goes to, and why
      ralnode plan --node attic
      ralnode plan simulate --help     compare planners, on this cluster or on one that you describe
    """
    if ctx.invoked_subcommand is not None:
        return
    client = node_client(ctx)
    if why is None:
        show(ctx, from_jsonable(PlanAnswer, client.command("plan")), render.whole)
        return
    source, index = why
    if index < 0:
        raise UsageError("blocks are counted from 0")
    show(ctx, from_jsonable(WhyAnswer, client.command("plan_why", {"source": source, "index": index})), render.why)


@app.command("simulate")
def simulate(
    ctx: typer.Context,
    *,
    planner: Annotated[
        list[str] | None, typer.Option("--planner", metavar="NAME", help="One to compare; all that there are.")
    ] = None,
    nodes: Annotated[
        str | None, typer.Option(metavar="SIZES|FILE", help="4TB,attic=2TB@cellar,500GB*3; the present cluster.")
    ] = None,
    sources: Annotated[
        str | None, typer.Option(metavar="SIZES", help="films=2TB:3,1GB*40 (:3 copies); the present ones.")
    ] = None,
    lose: Annotated[str | None, typer.Option(metavar="N|NAMES", help="Lose so many nodes, or these.")] = None,
    grow: Annotated[str | None, typer.Option(metavar="N|SIZES", help="Add so many usual nodes, or these.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw it into a .html or .svg file.")] = None,
    seed: Annotated[int, typer.Option(help="Other invented nodes, and others lost.")] = 0,
    blocks: Annotated[
        int, typer.Option(min=1, max=100_000_000, help="More blocks are made fewer, larger ones.")
    ] = 100_000,
    rounds: Annotated[int, typer.Option(min=1, max=10_000, help="At most, for planners that look at holdings.")] = 200,
    plugins_dir: Annotated[
        list[Path] | None, typer.Option("--plugins-dir", metavar="FOLDER", help="Look for planners here too.")
    ] = None,
) -> None:
    """Compare planners on the present cluster, or on one that you describe.

    Each planner plans for every node; what comes out is measured: copies of each block, how full the nodes get, the bytes
    that move when nodes are lost or added against the least possible, processor time. Nothing is changed anywhere. The same
    seed gives the same figures, but for the time.

    A FILE for --nodes is TOML or JSON with a list `nodes` (capacity, name, zone, count) and maybe one `sources` (size, name, copies,
    priority, block, count).

    \b
    Examples:
      ralnode plan simulate --nodes 4TB,2TB,500GB --lose 1 --grow 1
      ralnode plan simulate --planner rendezvous --planner mine --plugins-dir . --nodes 2TB*5 --sources 3TB
      ralnode plan simulate --lose attic --out plans.html      the present cluster without attic
    """
    if global_options(ctx).node:
        raise UsageError("a simulation runs on this machine, with the view of the node here; leave --node out")
    asked = load("ralnode.cli.simulating.running", "Asked")(
        tuple(planner or ()), tuple(plugins_dir or ()), nodes, sources, lose, grow, blocks, rounds, seed, out
    )
    load("ralnode.cli.simulating.running", "run")(ctx, asked)
