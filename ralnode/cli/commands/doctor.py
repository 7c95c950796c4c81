"""`ralnode doctor`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Final

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ralnode.api import ClusterStatus, ConfigError, PluginError, RalnodeError, UnavailableError
from ralnode.cli.client import NodeClient
from ralnode.cli.context import load_config, node_client
from ralnode.cli.doctor import (
    announcements,
    clock,
    descriptors,
    disk,
    filesystem,
    firewall,
    gateways,
    network,
    peers,
    software,
    unit,
)
from ralnode.cli.doctor.finding import Diagnosis, Finding, Level, Patient, bad, ok, warning
from ralnode.cli.output import show
from ralnode.cli.text import clean, count
from ralnode.host.answers import ConfigAnswer, ConfigRow, shown
from ralnode.host.choose import choose, effective
from ralnode.host.config import Config
from ralnode.host.jsonable import from_jsonable
from ralnode.host.plugin_find import Where
from ralnode.host.plugins import load as load_plugins

PARTS: Final = (software, disk, filesystem, descriptors, network, announcements, peers, firewall, gateways, clock, unit)
"""In the order of the report. Each has `look(patient)`."""

_LOOKS = {Level.OK: ("✓", "green"), Level.WARNING: ("!", "yellow"), Level.BAD: ("✗", "bold red")}


def command(
    ctx: typer.Context,
    strict: Annotated[bool, typer.Option("--strict", help="Exit code 2 when there are warnings.")] = False,
) -> None:
    """Examine this machine and its configuration; say what to mend.

    Works whether a node runs or not: software, disk, network, firewall, peers, clock, the service of systemd. Prints the
    effective configuration with where each value came from. Ends with exit code 1 if something is bad.

    \b
    Examples:
      ralnode doctor
      ralnode doctor --json | jq '.findings[] | select(.level == "bad")'
    """
    diagnosis = _examine(ctx)
    show(ctx, diagnosis, _shown)
    if diagnosis.worst is Level.BAD:
        raise typer.Exit(1)
    if strict and diagnosis.worst is Level.WARNING:
        raise typer.Exit(2)


def _examine(ctx: typer.Context) -> Diagnosis:
    try:
        config = load_config(ctx)
    except ConfigError as error:
        return Diagnosis((bad("configuration", str(error), "mend it; no node starts with it"),), (), is_running=False)
    client = node_client(ctx)
    status, running = _running(client)
    patient = Patient(config, client, status)
    findings = [*_configuration(config, is_running=status is not None)]
    with ThreadPoolExecutor(len(PARTS)) as pool:  # several of them wait for the network
        for found in pool.map(lambda part: _looked(part.look, patient), PARTS):
            findings += found
    rows = running.rows if running else _local_rows(config)
    return Diagnosis(tuple(findings), rows, is_running=status is not None)


def _looked(look: Callable[[Patient], Iterable[Finding]], patient: Patient) -> list[Finding]:
    try:
        return list(look(patient))
    except OSError as error:
        remedy = "run doctor as the user that the node runs as (sudo -u ralnode ralnode doctor)"
        return [bad("rights", f"could not look at {error.filename or 'it'}: {error.strerror or error}", remedy)]
    except RalnodeError as error:  # the node has ended meanwhile, or the configuration is not for this part
        return [warning("node", str(error), "mend it, then examine again")]


def _local_rows(config: Config) -> tuple[ConfigRow, ...]:
    """What a node with this configuration would use."""
    found = load_plugins(Where(os.environ))
    try:
        chosen = choose(found, config)
    except PluginError:  # software.py tells it
        chosen = None
    return tuple(ConfigRow(key, shown(value), origin) for key, value, origin in effective(config, chosen))


def _running(client: NodeClient) -> tuple[ClusterStatus | None, ConfigAnswer | None]:
    try:
        status = from_jsonable(ClusterStatus, client.command("status"))
        return status, from_jsonable(ConfigAnswer, client.command("config"))
    except UnavailableError:
        return None, None


def _configuration(config: Config, *, is_running: bool) -> list[Finding]:
    read = f"read from {config.path}" if config.path else "no file; everything is default, environment or flag"
    findings = [ok("configuration", read)]
    findings += [warning("configuration", text, "mend it") for text in config.warnings]
    findings.append(ok("node", "runs; its own configuration is shown" if is_running else "does not run"))
    return findings


def _shown(diagnosis: Diagnosis) -> RenderableType:
    parts: list[RenderableType] = []
    if diagnosis.config:
        made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        for column in ("OPTION", "VALUE", "FROM"):
            made.add_column(column, overflow="fold")
        for row in diagnosis.config:
            made.add_row(
                row.key, clean(row.value), clean(row.origin), style="dim" if row.origin.startswith("default") else ""
            )
        parts += [made, Text()]
    for each in diagnosis.findings:
        sign, style = _LOOKS[each.level]
        parts.append(Text.assemble((sign, style), f" {each.about}: {clean(each.found)}"))
        if each.remedy:
            parts.append(Text(f"  → {clean(each.remedy)}", style="dim"))
    return Group(*parts, Text(), _summary(diagnosis))


def _summary(diagnosis: Diagnosis) -> Text:
    counts = {level: sum(each.level is level for each in diagnosis.findings) for level in Level}
    if counts[Level.BAD]:
        return Text(
            f"{count(counts[Level.BAD], 'thing')} to mend, {count(counts[Level.WARNING], 'warning')}", style="bold red"
        )
    if counts[Level.WARNING]:
        return Text(f"it works, with {count(counts[Level.WARNING], 'warning')}", style="yellow")
    return Text("all is well", style="green")
