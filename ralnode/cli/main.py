"""`ralnode`: takes the command line apart, builds just the part of the app that it asks for, turns errors into one line.

The typer app is made anew for each command line: every word is listed, but only the one that was asked for has its
module imported (`ralnode.cli.lazy`). Words that plugins add are looked for only when the built-in ones do not have it.
"""

from __future__ import annotations

import errno
import inspect
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from ralnode.cli.arguments import Globals, Line, hoist
from ralnode.cli.lazy import load
from ralnode.cli.words import BY_NAME, WORDS, Word

COMPLETION_VARIABLE: Final = "_RALNODE_COMPLETE"
INTERRUPTED: Final = 130
NOBODY_READS: Final = 141
"""As shells show a program that SIGPIPE ended."""

ONE_THREAD: Final = ("OPENBLAS_NUM_THREADS", "1")
"""numpy's library for matrices, which we do not use, else begins a thread per core when it is imported: 50 to 100 ms."""

EVERYWHERE: Final = "Everywhere: --json, --node NAME, --socket PATH, --config FILE, --debug (see ralnode --help)."
EPILOG: Final = "Start with: ralnode demo (a whole cluster on this machine), or: ralnode run, then ralnode add FILE."


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command line; returns the exit code. Never raises for anything a user can cause."""
    os.environ.setdefault(*ONE_THREAD)
    line = hoist(sys.argv[1:] if arguments is None else arguments)
    try:
        app = build(line)
        result = app(args=[*line.options, *line.rest], prog_name="ralnode", standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        return _nobody_reads()
    except SystemExit as end:  # typer makes one of a broken pipe; commands of plugins may end so
        if isinstance(end.__context__, OSError) and end.__context__.errno == errno.EPIPE:
            return _nobody_reads()
        raise
    except Exception as error:
        return int(load("ralnode.cli.failure", "report")(error, line))


def _nobody_reads() -> int:
    """Whoever read us has enough (`ralnode ls | head`). Python must not complain about it at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return NOBODY_READS


def build(line: Line) -> typer.Typer:
    """The app for one command line. All modules are imported only for shell completion."""
    app = typer.Typer(
        name="ralnode",
        rich_markup_mode="rich" if sys.stdout.isatty() else None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["--help", "-h"]},
        epilog=EPILOG,
    )
    app.callback(invoke_without_command=True)(root)
    everything = COMPLETION_VARIABLE in os.environ
    for word in WORDS:
        _add(app, word, whole=everything or word.name == line.word)
    if everything or line.word not in BY_NAME:
        load("ralnode.cli.pluginwords", "add_plugin_words")(app)
    return app


def _add(app: typer.Typer, word: Word, *, whole: bool) -> None:
    """Registers a word: its own function or sub-app, or, when it is only to be listed, a placeholder."""
    if not whole:
        app.command(word.name, help=word.summary, rich_help_panel=word.panel)(_not_loaded)
        return
    module = load(word.module)
    if hasattr(module, "app"):
        text = unwrapped(module.overview)
        app.add_typer(module.app, name=word.name, help=text, epilog=EVERYWHERE, rich_help_panel=word.panel)
    else:
        text = unwrapped(module.command)
        app.command(word.name, help=text, epilog=EVERYWHERE, rich_help_panel=word.panel)(module.command)


def unwrapped(documented: Callable[..., Any]) -> str:
    """Its docstring with each paragraph in one line, for typer to wrap to the terminal; those that begin with \\b stay."""
    paragraphs = (inspect.getdoc(documented) or "").split("\n\n")
    return "\n\n".join(part if part.startswith("\b") else " ".join(part.split("\n")) for part in paragraphs)


def _not_loaded() -> None:
    raise AssertionError("the command line was taken apart wrongly: this word was only to be listed")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(load("ralnode.cli.versions", "headline")())
        raise typer.Exit


def root(
    ctx: typer.Context,
    *,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
    node: Annotated[
        str | None, typer.Option(metavar="NAME", help="Send the command to this node of the cluster.")
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    socket: Annotated[Path | None, typer.Option(help="The running node's socket.", envvar="RALNODE_SOCKET")] = None,
    config: Annotated[Path | None, typer.Option(help="Configuration file.", envvar="RALNODE_CONFIG")] = None,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Machines on a LAN pool their spare disk: files are split into IPFS blocks, spread, kept in copies, and healed."""
    ctx.obj = Globals(json=json, node=node, debug=debug, socket=socket, config=config)
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())


def entry() -> Any:
    """For `python -m ralnode` and the executable."""
    sys.exit(main())
