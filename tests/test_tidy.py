"""The rules of the code, each with its reason in the failure message."""

import ast
import inspect
import re
import sys
import tomllib
from pathlib import Path

import pytest

from ralnode.api import hooks

ROOT = Path(__file__).parents[1]
SOURCES = sorted([*ROOT.glob("ralnode/**/*.py"), *ROOT.glob("plugins/**/*.py")])
MAY_IMPORT = {
    "ralnode.cli": {"ralnode.cli", "ralnode.host", "ralnode.core", "ralnode.dag", "ralnode.api"},
    "ralnode.host": {"ralnode.host", "ralnode.core", "ralnode.dag", "ralnode.api"},
    "ralnode.core": {"ralnode.core", "ralnode.dag", "ralnode.api"},
    "ralnode.dag": {"ralnode.dag", "ralnode.api"},
    "ralnode.api": {"ralnode.api"},
    "ralnode.testing": {"ralnode.testing", "ralnode.core", "ralnode.dag", "ralnode.api"},
}
IO_MODULES = {
    "asyncio", "socket", "ssl", "time", "os", "io", "threading", "subprocess", "selectors", "multiprocessing", "shutil",
    "tempfile", "sqlite3", "aiosqlite", "http", "urllib", "signal", "concurrent", "secrets", "uuid", "datetime",
}  # fmt: skip
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70


def _module(path: Path) -> str:
    base = ROOT / "plugins" if "plugins" in path.relative_to(ROOT).parts[:1] else ROOT
    return ".".join(path.relative_to(base).with_suffix("").parts).removesuffix(".__init__")


def _imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return found


def _layer(module: str) -> str:
    return ".".join(module.split(".")[:2])


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_in_one_direction(path: Path) -> None:
    module = _module(path)
    layer = _layer(module) if module.startswith("ralnode.") else None
    for name in _imports(path):
        is_ours = name == "ralnode" or name.startswith(("ralnode.", "ralnode_"))
        if not is_ours or name in ("ralnode", "ralnode.__version__"):
            continue
        if layer is None and module.startswith("ralnode_"):
            own = module.split(".")[0]
            assert name.split(".")[0] == own or _layer(name) in ("ralnode.api", "ralnode.dag"), (
                f"{module} imports {name}: a plugin imports ralnode.api (and ralnode.dag where it speaks IPFS) and nothing else, "
                "so that any plugin can be swapped without touching another"
            )
        elif layer in MAY_IMPORT:
            assert _layer(name) in MAY_IMPORT[layer] or name in ("ralnode.api", "ralnode.dag"), (
                f"{module} imports {name}: the direction is cli -> host -> core -> dag, api <- plugins; "
                "an arrow back makes the core untestable without the rest"
            )


@pytest.mark.parametrize(
    "path", [p for p in SOURCES if _layer(_module(p)) in ("ralnode.core", "ralnode.dag")], ids=lambda p: p.stem
)
def test_core_and_dag_can_do_no_io_and_tell_no_time(path: Path) -> None:
    used = {name.split(".")[0] for name in _imports(path)} & IO_MODULES
    assert not used, (
        f"{path.name} imports {used}: core and dag are pure, so that a whole cluster runs in one thread from one seed. "
        "Return an effect and let the host do it"
    )
    dice = re.findall(r"\brandom\.(?!Random)\w+\(", path.read_text())
    assert not dice, f"{path.name} rolls {dice}: dice are handed in, seeded"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_and_functions_stay_small(path: Path) -> None:
    text = path.read_text()
    lines = text.count("\n")
    assert lines <= FILE_LINES_MAX, f"{path} has {lines} lines: one file, one noun; split it"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
            size = node.end_lineno - node.lineno + 1
            assert size <= FUNCTION_LINES_MAX, (
                f"{path}:{node.lineno} {node.name} has {size} lines: it does not fit a screen"
            )


@pytest.mark.parametrize(
    "path", [p for p in SOURCES if p.name != "__init__.py"], ids=lambda p: str(p.relative_to(ROOT))
)
def test_every_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text())), (
        f"{path} has no module docstring: what lives here, what must not?"
    )


def test_packaging_is_no_package() -> None:
    assert not (ROOT / "packaging" / "__init__.py").exists(), (
        "packaging/__init__.py shadows the real `packaging`, and `python -m PyInstaller` dies in the repository root"
    )


def test_every_built_in_plugin_is_registered_like_a_third_partys() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    registered = set(project["project"]["entry-points"]["ralnode.plugins"].values())
    folders = {p.parent.name for p in ROOT.glob("plugins/ralnode_*/__init__.py")}
    assert registered == folders
    shipped = {Path(p).name for p in project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]} - {"ralnode"}
    assert shipped == folders


def test_every_hook_is_documented_with_its_arguments() -> None:
    guide = (ROOT / "plugins" / "README.md").read_text()
    for name, hook in inspect.getmembers(hooks, lambda value: hasattr(value, "ralnode_spec")):
        arguments = ", ".join(inspect.signature(hook).parameters)
        assert f"`{name}({arguments})`" in guide, f"plugins/README.md has no row for {name}({arguments})"


def test_the_core_names_no_plugin() -> None:
    for path in ROOT.glob("ralnode/**/*.py"):
        assert not re.search(r"^\s*(from|import) ralnode_\w+", path.read_text(), re.MULTILINE), (
            f"{path} imports a plugin: plugins are found through entry points, built-in or not"
        )


def test_python_is_new_enough() -> None:
    assert sys.version_info >= (3, 11)
