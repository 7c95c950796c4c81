"""`ralnode restore`."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.text import Text

from ralnode.api import LocalError, NotFoundError, RefusedError, UsageError
from ralnode.api.limits import GIB
from ralnode.cli.context import global_options, load_config
from ralnode.cli.lazy import load
from ralnode.cli.output import show
from ralnode.cli.passphrase import read_passphrase
from ralnode.cli.text import clean, count

if TYPE_CHECKING:
    from ralnode.host.backup.archive import Contents
    from ralnode.host.backup.restoring import Restored

_FILE_BYTES_MAX: Final = GIB + 65_536


@dataclass(frozen=True, slots=True)
class RestoredNode:
    node: str
    name: str
    group: str
    made_unix_ms: int
    source_count: int
    node_count: int
    data_dir: str
    moved_to: str
    config_copy: str
    warnings: tuple[str, ...]


def command(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `ralnode backup` wrote; - is standard input.")],
    data: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Where the node shall live.")] = None,
    force: Annotated[
        bool, typer.Option("--force", "-f", help="Also where a node lies already; that one is moved aside.")
    ] = False,
    passphrase_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The passphrase of a sealed backup (its first line).")
    ] = None,
) -> None:
    """Make a lost node anew from its backup.

    It comes back under its own identity with its catalogue; its blocks are fetched again from the other nodes once it runs.
    The machine that the backup was made on must not run any more: two nodes of one identity confuse the cluster.

    \b
    Examples:
      ralnode restore ralnode-attic-20261122-201500.tar && ralnode run
      sudo ralnode restore /mnt/usb/attic.tar && sudo systemctl start ralnode
    """
    if global_options(ctx).node:
        raise RefusedError("a node is restored on its own machine; leave --node out")
    contents = _contents(file, passphrase_file)
    config = load_config(ctx, {"node.data_dir": str(data.expanduser().absolute()) if data else None})
    plugins = load("ralnode.host.plugins", "load")(load("ralnode.host.plugin_find", "Where")(os.environ))
    restore = load("ralnode.host.backup.restoring", "restore")
    done: Restored = asyncio.run(restore(contents, config, plugins, os.environ, force=force))
    about = contents.about
    answer = RestoredNode(
        about.node, about.name, about.group, about.made_unix_ms, about.source_count, about.node_count, done.data_dir,
        done.moved_to, done.config_copy, done.warnings,
    )  # fmt: skip
    show(ctx, answer, _shown)


def _contents(file: Path, passphrase_file: Path | None) -> Contents:
    raw = _read(file)
    sealing = load("ralnode.host.backup.sealing")
    if sealing.is_sealed(raw):
        raw = sealing.unseal(raw, read_passphrase(passphrase_file, ask=True, twice=False))
    elif passphrase_file is not None:
        raise UsageError(f"{file} is not sealed; leave --passphrase-file out if you are sure that it is the right file")
    contents: Contents = load("ralnode.host.backup.archive", "unpack")(raw)
    return contents


def _read(file: Path) -> bytes:
    try:
        if file == Path("-"):
            raw = sys.stdin.buffer.read(_FILE_BYTES_MAX + 1)
        else:
            with file.open("rb") as opened:
                raw = opened.read(_FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        raise NotFoundError(f"there is no file {file}. Nothing was changed") from None
    except OSError as error:
        raise LocalError(f"cannot read {file}: {error.strerror}. Nothing was changed") from error
    if len(raw) > _FILE_BYTES_MAX:
        raise UsageError(f"{file} is too large for a backup. Nothing was changed")
    return raw


def _shown(done: RestoredNode) -> Text:
    made = datetime.fromtimestamp(done.made_unix_ms / 1000).astimezone()
    text = Text(
        f"node {clean(done.name)} ({done.node}) is back in {clean(done.data_dir)}, as of {made:%Y-%m-%d %H:%M}: "
        f"{count(done.source_count, 'source')}, {count(done.node_count, 'node')}\n"
    )
    if done.moved_to:
        text.append(f"what lay there is in {clean(done.moved_to)}; delete it when you are sure\n")
    if done.config_copy:
        text.append(f"its configuration lies in {clean(done.config_copy)}; put it where it belongs\n")
    for warning in done.warnings:
        text.append(f"! {clean(warning)}\n", "yellow")
    text.append(
        "next: start it (ralnode run, or systemctl start ralnode). It finds the others, hears what has changed since, and "
        "fetches its blocks again; `ralnode status` shows how far it is. Files that this machine alone had are lost, and so are "
        "those offered by reference unless they still lie here.\n"
    )
    text.append("never run the old machine beside it: one identity, one node", "bold")
    return text
