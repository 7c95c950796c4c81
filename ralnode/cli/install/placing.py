"""The steps of `ralnode install`. The owner's configuration and data are never overwritten."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ralnode.api import RefusedError
from ralnode.cli.install import account, datafolder, units
from ralnode.cli.install.layout import USER, Layout
from ralnode.cli.install.program import Program, build_of
from ralnode.cli.install.step import Step, never, writing
from ralnode.host.wholefile import write_whole

PACKAGED_PROGRAM = "/usr/bin/ralnode"
PROGRAM = "/opt/ralnode/ralnode"


def check(layout: Layout, program: Program) -> None:
    """Raises RefusedError for what stands in the way, before anything is changed."""
    if layout.debian_program.exists():
        raise RefusedError(
            f"the Debian package is installed here ({build_of(layout.debian_papers) or 'another version'}), and nothing was "
            "changed. Upgrade it with: apt install ./ralnode_….deb; or, to use this file instead: apt remove ralnode "
            "(blocks, keys and configuration stay)"
        )
    if os.path.lexists(layout.link) and not _is_ours(layout.link):
        raise RefusedError(f"{layout.link} is not from `ralnode install`; nothing was changed. Move it away first")
    if not program.build:
        raise RefusedError(f"{program.executable} was not made by packaging/build: it lacks what an installation needs")


def _is_ours(link: Path) -> bool:
    return link.is_symlink() and str(link.readlink()) == PROGRAM


def placing(layout: Layout, program: Program, *, start: bool) -> list[Step]:
    papers = program.papers
    is_same = build_of(layout.installed_papers) == program.build and layout.program.exists()
    steps = [
        Step(f"make the system user {USER}", lambda: account.exists(layout),
             lambda: account.make(layout, papers / "ralnode.sysusers")),
        Step(f"make {layout.plugins_dir} for plugins, which only root may write",
             layout.plugins_dir.is_dir, lambda: _make_folder(layout.plugins_dir)),
        _configuration(layout, papers / "ralnode.toml"),
        Step(f"put ralnode {program.build} into {layout.program_dir}", lambda: is_same,
             lambda: _put_program(layout, program)),
        Step(f"make the command {layout.link}", lambda: _is_ours(layout.link), lambda: _put_link(layout.link)),
    ]  # fmt: skip
    steps += [_text(papers / name, place) for name, place in layout.texts().items()]
    steps += datafolder.steps(layout)
    if layout.is_running_system:
        steps += _told_to_systemd(is_same=is_same, start=start)
    return steps


def beside_package(layout: Layout) -> list[Step]:
    """What the Debian package cannot know: which data folders its units need. Empty when the usual one is all."""
    steps = datafolder.steps(layout)
    if steps and layout.is_running_system:
        steps.append(Step("tell systemd of the units", never, units.reload_units))
    return steps


def _told_to_systemd(*, is_same: bool, start: bool) -> list[Step]:
    steps = [Step("tell systemd of the units", never, units.reload_units)]
    if not is_same:
        nodes = units.running()
        steps.append(
            Step(f"restart what runs ({', '.join(nodes) or 'nothing'})", lambda: not nodes, units.restart_running)
        )
    if start:
        steps.append(Step("start ralnode.service, now and at every boot", never, units.start_now_and_at_boot))
    return steps


def _put_program(layout: Layout, program: Program) -> None:
    """Beside the old one first, so that the exchange takes no longer than two renames."""
    place = layout.program_dir
    new, old = place.with_name(".ralnode-new"), place.with_name(".ralnode-old")
    for left in (new, old):
        shutil.rmtree(left, ignore_errors=True)
    new.parent.mkdir(parents=True, exist_ok=True)
    new.mkdir(mode=0o755)
    program.lay_down(new)
    if place.exists():
        place.rename(old)
    new.rename(place)
    shutil.rmtree(old, ignore_errors=True)


def _put_link(link: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(PROGRAM)


def _make_folder(folder: Path) -> None:
    for each in (folder.parent, folder):
        each.mkdir(parents=True, exist_ok=True)
        each.chmod(0o755)


def _configuration(layout: Layout, paper: Path) -> Step:
    """Written when there is none, and when the one there is as an earlier version had written it."""
    file, shipped = layout.config, layout.installed_papers / "ralnode.toml"

    def is_done() -> bool:
        if not file.exists() or file.read_bytes() == paper.read_bytes():
            return file.exists()
        return not (shipped.exists() and shipped.read_bytes() == file.read_bytes())

    def write() -> None:
        write_whole(file, paper.read_text(encoding="utf-8"), 0o640)
        if os.geteuid() == 0:
            os.chown(file, 0, account.group_id(layout) or 0)

    return Step(f"write {file}, every option explained (one that you changed is kept)", is_done, write)


def _text(paper: Path, place: Path) -> Step:
    return writing(place, paper.read_text(encoding="utf-8").replace(PACKAGED_PROGRAM, PROGRAM))
