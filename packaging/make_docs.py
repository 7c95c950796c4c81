"""What an installation says about itself, made from the program: its configuration file, man page, completions.

`make_docs.py config` prints packaging/ralnode.toml with a table for each built-in plugin's options behind it;
`make_docs.py man` prints ralnode(1); `make_docs.py all FOLDER` writes these, the completions of three shells, the units of
systemd and the name of this build: what `ralnode install` and the Debian package put beside the program.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
import os
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from ralnode import __version__
from ralnode.cli.arguments import hoist
from ralnode.cli.main import COMPLETION_VARIABLE, build
from ralnode.host.plugin_find import Where
from ralnode.host.plugins import load

COMMON = Path(__file__).with_name("ralnode.toml")
UNITS = Path(__file__).parents[1] / "systemd"
COMPLETIONS = {"bash": "ralnode.bash", "zsh": "_ralnode", "fish": "ralnode.fish"}


def config() -> str:
    common = COMMON.read_text(encoding="utf-8")
    return common + "".join(tables(written=common))


def tables(written: str) -> Iterator[str]:
    """A commented-out table for each provider with options that is not `written` by hand. Plugins of this machine are left
    out."""
    for offer in load(Where({"RALNODE_PLUGINS_DIR": "", "HOME": "/nonexistent"})).offers:
        fields = dataclasses.fields(offer.provider.options)
        table = f"[{offer.role}.{offer.provider.name}]\n"
        if offer.origin == "built in" and fields and table not in written:
            yield f"\n# {offer.provider.summary}\n{table}"
            meanings = docstrings(offer.provider.options)
            for field in fields:
                for line in textwrap.wrap(meanings.get(field.name, ""), 116):
                    yield f"# {line}\n"
                yield f"#{field.name} = {toml(default(field))}\n"


def default(field: dataclasses.Field[Any]) -> Any:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def docstrings(cls: type) -> dict[str, str]:
    """The text under each field of a dataclass, which Python itself throws away."""
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    assert isinstance(body, ast.ClassDef)
    found = {}
    for one, after in zip(body.body, body.body[1:], strict=False):
        if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name) and isinstance(after, ast.Expr):
            found[one.target.id] = inspect.cleandoc(str(ast.literal_eval(after.value))).replace("\n", " ")
    return found


def toml(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(toml, value))}]"
    if value is None:
        return '""'
    return json.dumps(value if isinstance(value, (bool, int, float)) else str(value))


def man() -> str:
    os.environ[COMPLETION_VARIABLE] = "none"  # every word with its options, not only the one that was asked for
    whole = typer.main.get_command(build(hoist([])))
    lines = [
        f'.TH RALNODE 1 "" "ralnode {__version__}" "User Commands"', ".SH NAME",
        r"ralnode \- machines on a LAN pool their spare disk", ".SH SYNOPSIS", r"ralnode [\fIOPTIONS\fR] \fICOMMAND\fR ...",
        ".SH DESCRIPTION", escaped(whole.help or ""), ".SH OPTIONS", *options(whole.params), ".SH COMMANDS",
    ]  # fmt: skip
    for name, command in sorted(whole.commands.items()):
        lines += [f".SS ralnode {escaped(name)}", *paragraphs(command.help or ""), *options(command.params)]
    lines += [
        ".SH FILES", ".TP", "/etc/ralnode/ralnode.toml", "the configuration, every option explained", ".TP",
        "/etc/ralnode/plugins", "drop-in plugins: files ralnode_*.py", ".TP", "/var/lib/ralnode", "blocks, key and secret",
        ".SH EXIT STATUS", r"0 done, 64 wrong command line, 66 not found, 69 no node or no copy reachable, 74 this machine's "
        "disk or network, 77 refused, 78 wrong configuration",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def paragraphs(text: str) -> list[str]:
    """What follows a \\b keeps its lines, as in the terminal's help."""
    lines = []
    for part in inspect.cleandoc(text).split("\n\n"):
        is_kept = part.startswith("\b")
        lines += [
            ".PP",
            *([".nf"] if is_kept else []),
            escaped(part.removeprefix("\b\n")),
            *([".fi"] if is_kept else []),
        ]
    return lines


def options(params: list[Any]) -> list[str]:
    lines = []
    for param in params:
        names = ", ".join(param.opts) if param.param_type_name == "option" else (param.metavar or param.name.upper())
        meaning = " ".join((getattr(param, "help", None) or "").split())
        lines += [".TP", rf"\fB{escaped(names)}\fR", escaped(meaning) or escaped(names)]
    return lines


def escaped(text: str) -> str:
    """As troff wants it: no line begins with a dot or an apostrophe by accident."""
    text = text.replace("\\", r"\e").replace("-", r"\-")
    return "\n".join(rf"\&{line}" if line.startswith((".", "'")) else line for line in text.splitlines())


def write_all(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for unit in UNITS.glob("ralnode*"):
        shutil.copyfile(unit, folder / unit.name)
    (folder / "ralnode.toml").write_text(config(), encoding="utf-8")
    (folder / "ralnode.1").write_text(man(), encoding="utf-8")
    for shell, name in COMPLETIONS.items():
        (folder / name).write_text(completion(shell), encoding="utf-8")
    built = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    (folder / "build").write_text(f"{__version__} {built}\n", encoding="utf-8")


def completion(shell: str) -> str:
    environ = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", COMPLETION_VARIABLE: f"source_{shell}"}
    done = subprocess.run([sys.executable, "-m", "ralnode"], env=environ, text=True, capture_output=True, check=True)
    return done.stdout.replace("python -m ralnode", "ralnode")


if __name__ == "__main__":
    if sys.argv[1] == "all":
        write_all(Path(sys.argv[2]))
    else:
        sys.stdout.write({"config": config, "man": man}[sys.argv[1]]())
