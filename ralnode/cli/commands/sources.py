"""`ralnode sources`, `sources generate`, `sources import`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from ralnode.api import LocalError, RalnodeError, UsageError
from ralnode.cli import sourcesfile
from ralnode.cli.commands.add import add_linked, add_streamed
from ralnode.cli.context import global_options, node_client
from ralnode.cli.cutting import ChunkSize, MaxLinks, ProfileName, RawLeaves, chosen
from ralnode.cli.hashing import built_of
from ralnode.cli.importing import Imported, ImportReport, profile_of, shown
from ralnode.cli.output import show
from ralnode.cli.progress import Meter
from ralnode.cli.render import sources as render
from ralnode.cli.sourcesfile import Listed
from ralnode.cli.text import clean, count
from ralnode.dag import cid
from ralnode.dag.profile import V1_2025, Profile
from ralnode.host.answers import SourceAnswer, SourcesAnswer
from ralnode.host.jsonable import from_jsonable

app = typer.Typer(rich_markup_mode="rich" if sys.stdout.isatty() else None)


@app.callback(invoke_without_command=True)
def overview(ctx: typer.Context) -> None:
    """List the sources; write or import a sources.json.

    \b
    Examples:
      ralnode sources
      ralnode sources show holiday               one in full, with who has its blocks
      ralnode sources generate sources           writes sources.json for the files in that folder
      ralnode sources import sources.json        adds what it lists; every CID must match
    """
    if ctx.invoked_subcommand is None:
        answer = from_jsonable(SourcesAnswer, node_client(ctx).command("sources"))
        show(ctx, answer, lambda found: render.table(found.sources))


@app.command("list")
def listing(ctx: typer.Context) -> None:
    """List the sources (the same as without a word).

    \b
    Example:
      ralnode sources list --json
    """
    answer = from_jsonable(SourcesAnswer, node_client(ctx).command("sources"))
    show(ctx, answer, lambda found: render.table(found.sources))


@app.command("show")
def one(ctx: typer.Context, reference: Annotated[str, typer.Argument(metavar="NAME|CID")]) -> None:
    """Show one source in full, with who has its blocks.

    \b
    Example:
      ralnode sources show holiday
    """
    show(ctx, from_jsonable(SourceAnswer, node_client(ctx).command("source", {"source": reference})), render.one)


@app.command("generate")
def generate(
    ctx: typer.Context,
    *,
    folder: Annotated[Path, typer.Argument(metavar="[FOLDER]", help="Whose files to list.")] = Path("sources"),
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="- is standard output.")] = Path(
        "sources.json"
    ),
    folders: Annotated[
        bool, typer.Option("--folders", help="Folders too; the proof of concept knew only files.")
    ] = False,
    profile: ProfileName = V1_2025.name,
    chunk_size: ChunkSize = None,
    max_links: MaxLinks = None,
    raw_leaves: RawLeaves = None,
) -> None:
    """Write a sources.json: name, CID and size of each file in a folder; no node is needed.

    Hidden and empty files are listed too, folders are not.

    \b
    Example:
      ralnode sources generate ~/Videos -o videos.json
    """
    cut = chosen(profile, chunk_size, max_links, raw_leaves)
    listed = [_list_one(ctx, path, cut) for path in _entries(folder, folders=folders)]
    text = sourcesfile.encode(listed)
    if output == Path("-"):
        typer.echo(text)
        return
    _write(output, text)
    show(ctx, ImportReport(str(output), tuple(Imported(each.name, each.cid, "listed") for each in listed)), _generated)


@app.command("import")
def import_listed(
    ctx: typer.Context,
    *,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A sources.json.")] = Path("sources.json"),
    folder: Annotated[
        Path | None,
        typer.Option("--folder", metavar="FOLDER", help="Where the files are; beside it, or in sources/ there."),
    ] = None,
    link: Annotated[bool, typer.Option("--link", help="By reference: no second copy here.")] = False,
) -> None:
    """Add every file that a sources.json lists; each must have the CID that is written there.

    How a file was cut is found out from its CID: all known profiles are tried, those of the proof of concept too.

    \b
    Examples:
      ralnode sources import
      ralnode sources import /srv/sources.json --folder /srv/files --link
    """
    if global_options(ctx).node:
        raise UsageError("files are added to the node on this machine; leave --node out")
    listed = sourcesfile.read(file)
    known = {source.root for source in from_jsonable(SourcesAnswer, node_client(ctx).command("sources")).sources}
    places = [folder] if folder else [file.parent / "sources", file.parent]
    report = ImportReport(str(file), tuple(_import_one(ctx, each, places, known, link=link) for each in listed))
    show(ctx, report, shown)
    if report.failed_count:
        raise typer.Exit(1)


def _entries(folder: Path, *, folders: bool) -> list[Path]:
    try:
        found = sorted(folder.iterdir(), key=lambda path: os.fsencode(path.name))
    except OSError as error:
        raise LocalError(f"cannot list {folder}: {error.strerror}") from error
    return [path for path in found if path.is_file() or (folders and path.is_dir())]


def _list_one(ctx: typer.Context, path: Path, cut: Profile) -> Listed:
    with Meter(ctx, path.name, None) as meter:
        built = built_of(path, cut, meter.advance, hidden=True)
    return Listed(path.name, cid.to_text(built.cid), built.content_bytes)


def _write(output: Path, text: str) -> None:
    part = output.with_name(f".{output.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(output)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise LocalError(f"cannot write {output}: {error.strerror}") from error


def _import_one(ctx: typer.Context, listed: Listed, places: list[Path], known: set[str], *, link: bool) -> Imported:
    """Never raises for one file: the others go on, and the report says what is wrong with this one."""
    if cid.to_text(cid.parse(listed.cid)) in known:
        return Imported(listed.name, listed.cid, "already there")
    path = next((place / listed.name for place in places if (place / listed.name).exists()), None)
    if path is None:
        return Imported(listed.name, listed.cid, "missing", f"not in {' or '.join(map(str, places))}")
    try:
        with Meter(ctx, f"checking {listed.name}", listed.size_bytes) as meter:
            cut = profile_of(path, listed, meter)
        params: dict[str, Any] = {"name": listed.name, "profile": cut.name}
        send = add_linked if link else add_streamed
        added = send(ctx, node_client(ctx), path, params, hidden=True)
    except RalnodeError as error:
        return Imported(listed.name, listed.cid, "failed", str(error))
    if cid.parse(added.root) != cid.parse(listed.cid):
        return Imported(listed.name, listed.cid, "failed", f"it became {added.root}: it was changed meanwhile")
    return Imported(listed.name, listed.cid, "added")


def _generated(report: ImportReport) -> Text:
    lines = [f"{each.cid}  {clean(each.name)}" for each in report.sources]
    return Text("\n".join([*lines, f"{count(len(lines), 'file')} listed in {clean(report.file)}"]))
