"""The steps of `ralnode uninstall`. Blocks, keys and configuration are removed only when asked for."""

from __future__ import annotations

import shutil
from pathlib import Path

from ralnode.api import RefusedError
from ralnode.cli.install import datafolder, units
from ralnode.cli.install.layout import Layout
from ralnode.cli.install.step import Step, never


def check(layout: Layout) -> None:
    """Raises RefusedError when there is nothing of ours."""
    if layout.program_dir.exists() or any(place.exists() for place in layout.texts().values()):
        return
    if layout.debian_program.exists():
        raise RefusedError("this is the Debian package's; nothing was changed. Remove it with: apt remove ralnode")
    raise RefusedError(
        f"`ralnode install` has put nothing here (there is no {layout.program_dir}); nothing was changed"
    )


def removing(layout: Layout, *, purge_data: bool) -> list[Step]:
    steps = []
    if layout.is_running_system:
        steps.append(Step("stop the nodes, now and at every boot", never, units.stop_for_good))
    steps += [_file(place) for place in (*layout.texts().values(), layout.link)]
    steps += [datafolder.removing(place) for place in datafolder.made(layout)]
    if layout.is_running_system:
        steps.append(Step("tell systemd that the units have gone", never, units.reload_units))
    if purge_data:
        steps += [_folder(folder) for folder in (*layout.data_dirs, layout.config_dir)]
    # Last: until here this may be the program that runs.
    return [*steps, _folder(layout.program_dir)]


def _file(path: Path) -> Step:
    return Step(f"remove {path}", lambda: not (path.is_symlink() or path.exists()), path.unlink)


def _folder(folder: Path) -> Step:
    return Step(f"remove {folder} and everything in it", lambda: not folder.exists(), lambda: shutil.rmtree(folder))


def what_stays(layout: Layout) -> list[Path]:
    return [folder for folder in (*layout.data_dirs, layout.config_dir) if folder.exists()]
