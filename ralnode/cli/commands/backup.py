"""`ralnode backup`."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from ralnode.api import LocalError, UnavailableError, UsageError
from ralnode.cli.client import NodeClient
from ralnode.cli.context import global_options, load_config, node_client
from ralnode.cli.lazy import load
from ralnode.cli.output import show
from ralnode.cli.passphrase import read_passphrase
from ralnode.cli.text import clean, count, size
from ralnode.host.frames import Tag

if TYPE_CHECKING:
    from ralnode.host.backup.archive import Contents


@dataclass(frozen=True, slots=True)
class BackedUp:
    path: str
    size_bytes: int
    node: str
    name: str
    source_count: int
    is_sealed: bool
    was_running: bool


def command(
    ctx: typer.Context,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Or a folder; - is standard output.")
    ] = None,
    encrypt: Annotated[bool, typer.Option("--encrypt", help="Ask for a passphrase and seal the file with it.")] = False,
    passphrase_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Seal it with the passphrase in this file (its first line).")
    ] = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace a file that exists.")] = False,
    data: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Of a node that does not run.")] = None,
) -> None:
    """Write down what of this node cannot be had again from the others.

    Its key, the cluster's secret, the catalogue and the configuration, in one small file; not the blocks, of which the other
    nodes have copies. Whoever has the file can be this node: keep it like a password, or seal it.

    \b
    Examples:
      ralnode backup
      ralnode backup --encrypt -o /mnt/usb/
    """
    passphrase = read_passphrase(passphrase_file, ask=encrypt, twice=True)
    archive, was_running = _archive(ctx, data)
    contents: Contents = load("ralnode.host.backup.archive", "unpack")(archive)
    payload: bytes = load("ralnode.host.backup.sealing", "seal")(archive, passphrase) if passphrase else archive
    if output == Path("-"):
        sys.stdout.buffer.write(payload)
        sys.stdout.buffer.flush()
        return
    target = _target(output, contents.about.name, is_sealed=bool(passphrase))
    _write(target, payload, force=force)
    about = contents.about
    done = BackedUp(
        str(target), len(payload), about.node, about.name, about.source_count, bool(passphrase), was_running
    )
    show(ctx, done, _shown)


def _archive(ctx: typer.Context, data: Path | None) -> tuple[bytes, bool]:
    """(the archive, whether a running node made it)."""
    if data is None:
        try:
            return _of_running(node_client(ctx)), True
        except UnavailableError:
            if global_options(ctx).socket or global_options(ctx).node:
                raise
    config = load_config(ctx, {"node.data_dir": str(data.expanduser().absolute()) if data else None})
    plugins = load("ralnode.host.plugins", "load")(load("ralnode.host.plugin_find", "Where")(os.environ))
    collect = load("ralnode.host.backup.collecting", "collect_offline")
    contents: Contents = asyncio.run(collect(config, plugins, os.environ))
    archive: bytes = load("ralnode.host.backup.archive", "pack")(contents)
    return archive, False


def _of_running(client: NodeClient) -> bytes:
    return b"".join(frame.payload for frame in client.frames("/v1/backup") if frame.tag == Tag.DATA)


def _target(output: Path | None, name: str, *, is_sealed: bool) -> Path:
    if output is not None and not output.is_dir():
        return output
    word = "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in name)[:64]
    ending = "tar.sealed" if is_sealed else "tar"
    return (output or Path()) / f"ralnode-{word}-{datetime.now().astimezone():%Y%m%d-%H%M%S}.{ending}"


def _write(target: Path, payload: bytes, *, force: bool) -> None:
    """Readable by its owner alone, whole or not at all."""
    if target.exists() and not force:
        raise UsageError(f"{target} exists. Nothing was written. Choose another name, or --force replaces it")
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=".ralnode-", dir=target.parent)  # mkstemp makes it 0600
        with os.fdopen(descriptor, "wb") as file:
            file.write(payload)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(target)
    except OSError as error:
        raise LocalError(f"cannot write {target}: {error.strerror}. Nothing was written") from error


def _shown(done: BackedUp) -> Text:
    text = Text(
        f"{clean(done.path)}  {size(done.size_bytes)}  node {clean(done.name)}, {count(done.source_count, 'source')}\n"
    )
    if done.is_sealed:
        text.append("sealed: without the passphrase it is worth nothing, to nobody\n", "dim")
    else:
        text.append("keep it like a password: whoever has it can join your cluster and be this node\n", "yellow")
    text.append("the blocks are not in it; the other nodes have copies of them. Back with: ralnode restore FILE", "dim")
    return text
