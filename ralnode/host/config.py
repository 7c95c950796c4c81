"""The effective configuration: one TOML file, then the environment, then flags; and where each value came from.

`[node]` and `[use]` are parsed here. Tables of providers (`[planner.rarest]`) are kept as they are until the plugins are
known: `provider_options` makes them typed. Nothing here is remembered: see datadir.py for what a node writes down.
"""

from __future__ import annotations

import os
import socket
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final, get_type_hints

from ralnode.api import ConfigError
from ralnode.host.node_options import NodeOptions, UseOptions
from ralnode.host.options import convert, convert_text, field_of, parse, suggest
from ralnode.host.rolenames import ROLES

SYSTEM_FILE: Final = Path("/etc/ralnode/ralnode.toml")
SYSTEM_DATA_DIR: Final = Path("/var/lib/ralnode")
PREFIX: Final = "RALNODE_"
NOT_OPTIONS: Final = frozenset({"CONFIG", "PLUGINS", "PLUGINS_DIR", "SOCKET"})
"""Variables with our prefix that are read elsewhere."""

ALIASES: Final[Mapping[str, str]] = {
    "XNODE_NAME": "name",
    "XNODE_GROUP_NAME": "group",
    "XNODE_P2P_PORT": "transport_port",
    "XNODE_GOSSIP_PORT": "gossip_port",
    "XNODE_HTTP_PORT": "page_port",
    "XNODE_KNOWN_PEERS": "known_peers",
}
"""The proof of concept's variables."""

_SECTIONS: Final[Mapping[str, type]] = {"node": NodeOptions, "use": UseOptions}


@dataclass(frozen=True, slots=True)
class Config:
    """What this node was told. `provenance` maps `node.name` to where its value came from; absent means default."""

    node: NodeOptions
    use: UseOptions
    tables: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)
    """Role -> provider -> its table as written."""
    provenance: Mapping[str, str] = field(default_factory=dict)
    path: Path | None = None
    """The file that was read, if any."""
    warnings: tuple[str, ...] = ()

    def provider_options(self, role: str, name: str, cls: type) -> Any:
        """The table of one provider as its dataclass. Raises ConfigError."""
        return parse(cls, self.tables.get(role, {}).get(name, {}), f"[{role}.{name}] in {self.path or 'flags'}")

    def effective(self) -> list[tuple[str, Any, str]]:
        """Rows (key, value, where it came from) of `[node]` and `[use]` for `ralnode doctor`; a secret is not shown."""
        rows = []
        for section, options in (("node", self.node), ("use", self.use)):
            for each in fields(options):
                key, value = f"{section}.{each.name}", getattr(options, each.name)
                shown = "(set)" if each.name == "join_code" and value else value
                rows.append((key, shown, self.provenance.get(key, "default")))
        return rows


def load(
    environ: Mapping[str, str],
    flags: Mapping[str, Any] | None = None,
    path: Path | None = None,
    *,
    hostname: str | None = None,
    is_root: bool | None = None,
) -> Config:
    """Reads the file (`path`, else `RALNODE_CONFIG`, else the usual places) and lays environment and flags over it.

    `flags` has keys like `node.capacity` or `use.planner`; None is "not given", texts are converted. Raises ConfigError.
    """
    is_root = os.geteuid() == 0 if is_root is None else is_root
    layers = _Layers()
    found, document = _read_file(environ, path, is_root, layers.warnings)
    tables = layers.take_file(document, f"in {found}", str(found))
    if found and "join_code" in layers.values["node"] and found.stat().st_mode & stat.S_IROTH:
        layers.warnings.append(f"{found} holds the join code and everybody here may read it; run: chmod o-r {found}")
    layers.take_environment(environ)
    layers.take_flags(flags or {})
    use = UseOptions(**layers.values["use"])
    node = _fill_in(
        _node_options(layers.values["node"]), environ, hostname or socket.gethostname(), is_root, layers.provenance
    )
    return Config(node, use, tables, layers.provenance, found, tuple(layers.warnings))


def _node_options(values: Mapping[str, Any]) -> NodeOptions:
    try:
        return NodeOptions(**values)
    except ValueError as error:
        raise ConfigError(f"[node] {error}") from error


class _Layers:
    """Values by section and field, each layer laid over the one before, with where each came from."""

    def __init__(self) -> None:
        self.values: dict[str, dict[str, Any]] = {"node": {}, "use": {}}
        self.provenance: dict[str, str] = {}
        self.warnings: list[str] = []
        self._hints = {section: get_type_hints(cls) for section, cls in _SECTIONS.items()}

    def take_file(self, document: Mapping[str, Any], where: str, origin: str) -> dict[str, dict[str, dict[str, Any]]]:
        """Takes `[node]` and `[use]`; returns the tables of the providers."""
        tables: dict[str, dict[str, dict[str, Any]]] = {}
        for section, table in document.items():
            if section not in _SECTIONS and section not in ROLES:
                raise ConfigError(f"{where}: unknown section [{section}]{suggest(section, (*_SECTIONS, *ROLES))}")
            if not isinstance(table, dict):
                raise ConfigError(f"{where}: {section} must be a table, as [{section}]")
            if section in ROLES:
                tables[section] = _provider_tables(section, table, where)
                continue
            for key, value in table.items():
                name = field_of(_SECTIONS[section], key, value, f"[{section}] {where}")
                if f"{section}.{name}" in self.provenance:
                    raise ConfigError(f"[{section}] {where}: {name!r} is given twice; keep one of them")
                self._set(
                    section, name, convert(value, self._hints[section][name], name, f"[{section}] {where}"), origin
                )
        return tables

    def take_environment(self, environ: Mapping[str, str]) -> None:
        """The proof of concept's names first, so that ours win; an empty variable counts as not set."""
        for variable, name in ALIASES.items():
            if environ.get(variable):
                self._take_text("node", name, environ[variable], f"environment {variable}")
        for variable in sorted(environ):
            if variable.startswith(PREFIX) and variable.removeprefix(PREFIX) not in NOT_OPTIONS and environ[variable]:
                self._take_variable(variable, environ[variable])

    def take_flags(self, flags: Mapping[str, Any]) -> None:
        for key, value in flags.items():
            if value is None:
                continue
            section, _, name = key.partition(".")
            where = f"flag --{name.replace('_', '-')}"
            if isinstance(value, str):
                self._take_text(section, field_of(_SECTIONS[section], name, value, where), value, where)
            else:
                name = field_of(_SECTIONS[section], name, value, where)
                self._set(section, name, convert(value, self._hints[section][name], name, where), where)

    def _take_variable(self, variable: str, text: str) -> None:
        word = variable.removeprefix(PREFIX).lower()
        section, name = ("use", word.removeprefix("use_")) if word.startswith("use_") else ("node", word)
        try:
            name = field_of(_SECTIONS[section], name, text, variable)
        except ConfigError as error:
            self.warnings.append(f"environment variable ignored: {error}")
            return
        self._take_text(section, name, text, f"environment {variable}")

    def _take_text(self, section: str, name: str, text: str, origin: str) -> None:
        self._set(section, name, convert_text(text, self._hints[section][name], name, origin), origin)

    def _set(self, section: str, name: str, value: Any, origin: str) -> None:
        self.values[section][name] = value
        self.provenance[f"{section}.{name}"] = origin


def _provider_tables(role: str, table: Mapping[str, Any], where: str) -> dict[str, dict[str, Any]]:
    for name, inner in table.items():
        if not isinstance(inner, dict):
            raise ConfigError(f"{where}: {name!r} stands directly in [{role}]; it belongs into [{role}.PROVIDER]")
    return dict(table)


def _read_file(
    environ: Mapping[str, str], path: Path | None, is_root: bool, warnings: list[str]
) -> tuple[Path | None, Mapping[str, Any]]:
    explicit = path or (Path(environ["RALNODE_CONFIG"]) if environ.get("RALNODE_CONFIG") else None)
    for each in [explicit] if explicit else _usual_files(environ, is_root):
        try:
            text = each.read_text(encoding="utf-8")
        except FileNotFoundError:
            if explicit:
                raise ConfigError(f"cannot read the configuration {each}: there is no such file") from None
            continue
        except (OSError, UnicodeDecodeError) as error:
            if explicit or not isinstance(error, PermissionError):
                raise ConfigError(f"cannot read the configuration {each}: {error}") from error
            warnings.append(f"the configuration {each} was passed over: {error.strerror}; name another with --config")
            continue
        return each, _parse_toml(each, text)
    return None, {}


def _parse_toml(path: Path, text: str) -> Mapping[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"cannot read the configuration {path}: {error}") from error


def _usual_files(environ: Mapping[str, str], is_root: bool) -> list[Path]:
    """A user's own file wins over the machine's, except for root, who is the machine."""
    mine = user_dir(environ, "XDG_CONFIG_HOME", ".config") / "ralnode.toml"
    return [SYSTEM_FILE, mine] if is_root else [mine, SYSTEM_FILE]


def user_dir(environ: Mapping[str, str], variable: str, fallback: str) -> Path:
    """`ralnode` in an XDG base directory; a relative one is ignored, as its specification says."""
    base = Path(environ.get(variable, ""))
    return (base if base.is_absolute() else Path(environ.get("HOME") or "/") / fallback) / "ralnode"


def _fill_in(
    node: NodeOptions, environ: Mapping[str, str], hostname: str, is_root: bool, provenance: dict[str, str]
) -> NodeOptions:
    """The defaults that depend on this machine."""
    if not node.name:
        node = replace(node, name=hostname)
        provenance["node.name"] = "default: this machine's host name"
    if node.data_dir is None:
        data_dir, why = _default_data_dir(environ, is_root)
        node = replace(node, data_dir=data_dir)
        provenance["node.data_dir"] = f"default: {why}"
    return node


def _default_data_dir(environ: Mapping[str, str], is_root: bool) -> tuple[Path, str]:
    given = environ.get("STATE_DIRECTORY", "").split(":")[0]
    if given:
        return Path(given), "STATE_DIRECTORY from systemd"
    if is_root:
        return SYSTEM_DATA_DIR, "for root"
    return user_dir(environ, "XDG_DATA_HOME", ".local/share"), "XDG_DATA_HOME"
