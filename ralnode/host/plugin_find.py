"""Finds plugins, the same way in a checkout, in site-packages and in the frozen executable; imports none of them.

(1) the drop-in directories are appended to `sys.path`, so that what is built in wins; (2) entry points of the group
`ralnode.plugins`, those of distributions put into such a directory by `pip install --target` among them; (3) single files
`ralnode_*.py` in those directories.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ralnode.api import ENTRY_POINT_GROUP, PluginError
from ralnode.host.plugin_dirs import SINGLE_FILES, directories, refusal, unsafe

OWN_DISTRIBUTION: Final = "ralnode"


@dataclass(frozen=True, slots=True)
class Refused:
    """A plugin, or a directory of them, that was not loaded. `ralnode plugins` shows every one."""

    name: str
    origin: str
    reason: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """A plugin that was found. `load` imports it and may raise anything at all."""

    name: str
    module: str
    origin: str
    version: str
    is_builtin: bool
    load: Callable[[], Any]

    def is_called(self, word: str) -> bool:
        """Whether `RALNODE_PLUGINS` means this plugin: by its name, its module, or the module without `ralnode_`."""
        return word in (self.name, self.module, self.module.removeprefix("ralnode_"))


@dataclass(frozen=True, slots=True)
class Where:
    """What the command line and the environment say about plugins."""

    environ: Mapping[str, str] = field(default_factory=dict)
    extra: tuple[Path, ...] = ()
    """From `--plugins-dir`."""

    def only(self) -> tuple[str, ...] | None:
        """Exactly the plugins to load, or None for all that are found."""
        given = self.environ.get("RALNODE_PLUGINS")
        return None if given is None else tuple(word.strip() for word in given.split(",") if word.strip())


def find(where: Where) -> tuple[list[Candidate], list[Refused]]:
    """All candidates in a fixed order, built-in ones first, and what was refused before it was even looked at."""
    safe, refused = _safe_directories(where)
    _append_to_path(safe)
    candidates = _from_entry_points(safe)
    modules = {each.module.partition(".")[0] for each in candidates}
    for directory in safe:
        candidates += _single_files(directory, modules, refused)
        refused += _stray_folders(directory, modules)
    return candidates, refused


def _safe_directories(where: Where) -> tuple[list[Path], list[Refused]]:
    safe, refused = [], []
    for directory, origin in directories(where.environ, where.extra):
        reason = refusal(directory, origin)
        if reason:
            refused.append(Refused(directory.name, str(directory), reason))
        elif reason == "":
            safe.append(directory)
    return safe, refused


def _append_to_path(safe: Sequence[Path]) -> None:
    for directory in map(str, safe):
        if directory not in sys.path:
            sys.path.append(directory)
    importlib.invalidate_caches()


def _from_entry_points(safe: Sequence[Path]) -> list[Candidate]:
    found = [_of_entry_point(point, safe) for point in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP)]
    return sorted(found, key=lambda each: (not each.is_builtin, each.name, each.origin))


def _of_entry_point(point: importlib.metadata.EntryPoint, safe: Sequence[Path]) -> Candidate:
    distribution = point.dist
    name = distribution.name if distribution else "?"
    version = distribution.version if distribution else ""
    folder = Path(str(distribution.locate_file(""))) if distribution else None
    is_builtin = name == OWN_DISTRIBUTION and folder not in safe
    origin = "built in" if is_builtin else f"{name} in {folder}"
    return Candidate(point.name, point.module, origin, version, is_builtin, point.load)


def _single_files(directory: Path, modules: set[str], refused: list[Refused]) -> list[Candidate]:
    found = []
    for path in sorted(directory.glob(SINGLE_FILES)):
        if path.stem in modules or not path.is_file():
            continue  # a distribution's own module, which its entry point names
        reason = unsafe(path) if path.exists() else "it is a link to nothing"
        if reason:
            refused.append(Refused(_plugin_name(path), str(path), reason))
        else:
            found.append(Candidate(_plugin_name(path), path.stem, str(path), "", False, _loader(path)))
    return found


def _stray_folders(directory: Path, modules: set[str]) -> list[Refused]:
    """A package folder copied by hand would otherwise be passed over in silence."""
    reason = "a folder is found by its entry point only: `pip install --target` it, or make it a single file"
    return [
        Refused(_plugin_name(path), str(path), reason)
        for path in sorted(directory.glob("ralnode_*/__init__.py"))
        if path.parent.name not in modules
        for path in [path.parent]
    ]


def _plugin_name(path: Path) -> str:
    return path.stem.removeprefix("ralnode_")


def _loader(path: Path) -> Callable[[], Any]:
    def load() -> Any:
        spec = importlib.util.find_spec(path.stem)
        if spec is None or spec.origin is None or Path(spec.origin).resolve() != path.resolve():
            raise PluginError(f"a module named {path.stem} is there already ({spec and spec.origin}); rename the file")
        return importlib.import_module(path.stem)

    return load
