"""Carries out `ralnode plan simulate`: cluster, planners, comparison, and where it is shown or written."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import typer

from ralnode.api import LocalError, PluginError, UnavailableError, UsageError
from ralnode.cli.context import global_options, load_config, node_client
from ralnode.cli.output import console, is_watched, show_json
from ralnode.cli.render import simulation
from ralnode.cli.simulating import describing
from ralnode.cli.simulating.plot import page
from ralnode.core.whatif import scene as scenes
from ralnode.core.whatif.comparing import Question, compare
from ralnode.core.whatif.scene import Scene
from ralnode.host.answers import ViewAnswer
from ralnode.host.jsonable import from_jsonable
from ralnode.host.plugin_find import Where
from ralnode.host.plugins import load as load_plugins
from ralnode.host.trial import build_planners

GROW_MAX: Final = 1000
WRITERS: Final = {".html": page.html, ".svg": page.svg}


@dataclass(frozen=True, slots=True)
class Asked:
    """The options as typed."""

    planners: tuple[str, ...]
    plugins_dirs: tuple[Path, ...]
    nodes: str | None
    sources: str | None
    lose: str | None
    grow: str | None
    blocks: int
    rounds: int
    seed: int
    out: Path | None


def run(ctx: typer.Context, asked: Asked) -> None:
    """Raises RalnodeError. Nothing is written but the file asked for."""
    write = _writer(asked.out)
    config = load_config(ctx)
    plugins = load_plugins(Where(os.environ, asked.plugins_dirs))
    planners = build_planners(plugins, config, tuple(dict.fromkeys(asked.planners)), asked.seed)
    if not planners:
        raise PluginError("there is no planner to simulate; see: ralnode plugins")
    whole = _scene(ctx, asked)
    scene = replace(whole, sources=scenes.coarser(whole.sources, asked.blocks))
    question = Question(_changes(scene, asked), time.thread_time, asked.rounds, whole.block_count, asked.seed)
    if is_watched() and not global_options(ctx).json:
        typer.echo(f"{', '.join(planners)}: {scene.block_count:,} blocks on {len(scene.machines)} nodes …", err=True)
    found = compare(planners, question)
    if asked.out and write:
        _write(asked.out, write(found))
    if global_options(ctx).json:
        show_json(found)
    else:
        console().print(simulation.whole(found))
        if asked.out:
            typer.echo(f"\nWritten: {asked.out}")
    if len(found.failures) == len(planners):
        raise PluginError("no planner could be simulated: " + "; ".join(each.reason for each in found.failures))


def _scene(ctx: typer.Context, asked: Asked) -> Scene:
    """As described; the present cluster for what is not described."""
    words: list[describing.SourceWords] = []
    if asked.nodes:
        nodes, words = describing.nodes_in(asked.nodes)
        scene = Scene("as it is", tuple(describing.machines(nodes, asked.seed, set())), ())
    else:
        scene = _present(ctx)
    if asked.sources:
        words = describing.sources_in(asked.sources)
    if words:
        return replace(scene, sources=tuple(describing.sources(words, asked.seed)))
    if scene.sources:
        return scene
    return replace(scene, sources=tuple(describing.usual_sources(scene, asked.seed)))


def _present(ctx: typer.Context) -> Scene:
    try:
        scene = describing.present(from_jsonable(ViewAnswer, node_client(ctx).command("plan_view")))
    except UnavailableError as error:
        raise UnavailableError(f"{error}; or describe a cluster: --nodes 4TB,2TB,500GB") from error
    if not scene.machines:
        raise UnavailableError("the running node plans for no node yet; try again, or describe a cluster with --nodes")
    return scene


def _changes(scene: Scene, asked: Asked) -> tuple[Scene, ...]:
    made = [scene]
    if asked.lose:
        lost = _lost(scene, asked.lose, asked.seed)
        if len(lost) >= len(scene.machines):
            raise UsageError(f"--lose {asked.lose}: one of the {len(scene.machines)} nodes must be left")
        made.append(scenes.without(scene, lost))
    if asked.grow:
        made.append(scenes.with_more(scene, _grown(scene, asked.grow, asked.seed)))
    return tuple(made)


def _lost(scene: Scene, words: str, seed: int) -> Sequence[str]:
    names = [machine.name for machine in scene.machines]
    if words.isdecimal() and words not in names:
        count = int(words[:6])
        if not 1 <= count < len(names):
            raise UsageError(f"--lose {words}: of {len(names)} nodes 1 to {len(names) - 1} can be lost")
        return scenes.chosen_to_lose(scene.machines, count, seed)
    wanted = {word.strip() for word in words.split(",")}
    if unknown := wanted - set(names):
        raise UsageError(f"--lose: there is no node {sorted(unknown)[0]!r}; there are: {', '.join(names[:20])}")
    return tuple(name for name in names if name in wanted)


def _grown(scene: Scene, words: str, seed: int) -> tuple[scenes.Machine, ...]:
    if words.isdecimal():
        count = int(words[:6])
        if not 1 <= count <= GROW_MAX:
            raise UsageError(f"--grow {words}: 1 to {GROW_MAX:,} nodes can be added")
        return scenes.usual_machines(scene, count, seed)
    taken = {machine.name for machine in scene.machines}
    return tuple(describing.machines(describing.nodes_in(words)[0], seed, taken, "new"))


def _writer(out: Path | None) -> page.Writer | None:
    """Before anything is reckoned: a wrong ending is told at once."""
    if out is None:
        return None
    if out.suffix not in WRITERS:
        raise UsageError(f"--out {out}: the plot is written as .html or .svg, by the ending of the file")
    return WRITERS[out.suffix]


def _write(out: Path, text: str) -> None:
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise LocalError(f"cannot write {out}: {error.strerror}. Nothing else was changed") from error
