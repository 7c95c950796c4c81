"""`ralnode install` into a tree: what is put there, what is kept, what is refused; and `uninstall` after it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ralnode.api import RefusedError
from ralnode.cli.install import removing
from ralnode.cli.install.account import make
from ralnode.cli.install.layout import Layout
from ralnode.cli.install.placing import beside_package, check, placing
from ralnode.cli.install.program import Program
from ralnode.cli.install.step import Report, carry_out

Make = Callable[..., Program]


@pytest.fixture
def another(tmp_path: Path) -> Make:
    """Makes the program of another build."""
    spec = importlib.util.spec_from_file_location("making", Path(__file__).with_name("conftest.py"))
    assert spec and spec.loader
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return lambda build, **options: module.make_program(tmp_path / build.replace(" ", "_"), build, **options)


def install(layout: Layout, program: Program, *, dry_run: bool = False) -> list[Report]:
    check(layout, program)
    return list(carry_out(placing(layout, program, start=False), dry_run=dry_run))


def uninstall(layout: Layout, *, purge_data: bool = False) -> list[Report]:
    removing.check(layout)
    return list(carry_out(removing.removing(layout, purge_data=purge_data), dry_run=False))


def states(reports: list[Report]) -> set[str]:
    return {report.state for report in reports}


def files(layout: Layout) -> dict[str, bytes | str]:
    """Every file below the root; links as their targets."""
    found: dict[str, bytes | str] = {}
    for path in layout.root.rglob("*"):
        if path.is_symlink():
            found[str(path)] = str(path.readlink())
        elif path.is_file():
            found[str(path)] = path.read_bytes()
    return found


def test_an_installation_is_whole(layout: Layout, program: Program) -> None:
    reports = install(layout, program)
    assert states(reports) == {"done", "kept"}
    assert [report.what for report in reports if report.state == "kept"] == ["make the system user ralnode"]
    assert layout.program.read_bytes() == program.executable.read_bytes()
    assert os.access(layout.program, os.X_OK)
    assert (layout.program_dir / "_internal/lib.so").readlink() == Path("lib.so.1")
    assert str(layout.link.readlink()) == "/opt/ralnode/ralnode"
    assert all(place.is_file() for place in layout.texts().values())


def test_the_units_start_the_installed_program(layout: Layout, program: Program) -> None:
    install(layout, program)
    for name in ("ralnode.service", "ralnode@.service"):
        unit = layout.texts()[name].read_text()
        assert "ExecStart=/opt/ralnode/ralnode " in unit
        assert "/usr/bin/ralnode" not in unit


def test_only_root_may_write_and_only_the_node_reads_the_configuration(layout: Layout, program: Program) -> None:
    install(layout, program)
    assert stat.S_IMODE(layout.config.stat().st_mode) == 0o640
    assert stat.S_IMODE(layout.plugins_dir.stat().st_mode) == 0o755
    for path in layout.program_dir.rglob("*"):
        assert path.is_symlink() or not path.stat().st_mode & 0o022
    if os.geteuid() == 0:
        assert (layout.config.stat().st_uid, layout.config.stat().st_gid) == (0, 990)


def test_again_changes_nothing(layout: Layout, program: Program) -> None:
    install(layout, program)
    before = files(layout)
    assert states(install(layout, program)) == {"kept"}
    assert files(layout) == before


def test_a_dry_run_writes_nothing_and_names_everything(layout: Layout, program: Program) -> None:
    before = files(layout)
    would = install(layout, program, dry_run=True)
    assert files(layout) == before
    assert [report.what for report in would] == [report.what for report in install(layout, program)]


def test_an_interrupted_installation_is_completed(layout: Layout, program: Program) -> None:
    for _ in zip(range(3), carry_out(placing(layout, program, start=False), dry_run=False), strict=False):
        pass
    (layout.program_dir.parent / ".ralnode-new").mkdir(parents=True, exist_ok=True)
    install(layout, program)
    assert states(install(layout, program)) == {"kept"}
    assert [path.name for path in layout.program_dir.parent.iterdir()] == ["ralnode"]


def test_an_upgrade_replaces_the_program_and_what_nobody_changed(
    layout: Layout, program: Program, another: Make
) -> None:
    install(layout, program)
    (layout.program_dir / "_internal/gone-in-the-next").touch()
    newer = another("9.9.1 2026-12-01T20:00:00Z", config="[node]\n# new\n")
    install(layout, newer)
    assert layout.config.read_text() == "[node]\n# new\n"
    assert "9.9.1" in (layout.installed_papers / "build").read_text()
    assert "9.9.1" in layout.texts()["ralnode.1"].read_text()
    assert not (layout.program_dir / "_internal/gone-in-the-next").exists()


def test_an_upgrade_keeps_a_configuration_that_was_changed(layout: Layout, program: Program, another: Make) -> None:
    install(layout, program)
    layout.config.write_text("[node]\nname = 'attic'\n")
    install(layout, another("9.9.1 2026-12-01T20:00:00Z", config="[node]\n# new\n"))
    assert layout.config.read_text() == "[node]\nname = 'attic'\n"


def test_beside_the_debian_package_nothing_is_installed(layout: Layout, program: Program) -> None:
    layout.debian_program.parent.mkdir(parents=True)
    layout.debian_program.touch()
    with pytest.raises(RefusedError, match=r"apt install \./ralnode"):
        install(layout, program)
    assert not layout.program_dir.exists()


def test_somebody_elses_command_is_not_overwritten(layout: Layout, program: Program) -> None:
    layout.link.parent.mkdir(parents=True)
    layout.link.write_text("mine")
    with pytest.raises(RefusedError, match="Move it away"):
        install(layout, program)
    assert layout.link.read_text() == "mine"


def test_an_executable_without_its_papers_is_refused(layout: Layout, program: Program) -> None:
    shutil.rmtree(program.papers)
    with pytest.raises(RefusedError, match="packaging/build"):
        install(layout, program)


def test_removing_leaves_data_and_configuration_and_nothing_else(layout: Layout, program: Program) -> None:
    before = files(layout)
    install(layout, program)
    for name in ("ralnode", "ralnode-attic"):
        (layout.at("/var/lib") / name).mkdir(parents=True)
        (layout.at("/var/lib") / name / "blocks").touch()
    uninstall(layout)
    left = set(files(layout)) - set(before)
    assert left == {str(layout.config), *(str(folder / "blocks") for folder in layout.data_dirs)}
    assert len(layout.data_dirs) == 2


def test_purging_leaves_only_the_user(layout: Layout, program: Program) -> None:
    before = files(layout)
    install(layout, program)
    (layout.at("/var/lib/ralnode")).mkdir(parents=True)
    (layout.at("/var/lib/ralnode") / "blocks").touch()
    uninstall(layout, purge_data=True)
    assert files(layout) == before


def test_after_removing_it_can_be_installed_again_with_the_same_configuration(layout: Layout, program: Program) -> None:
    install(layout, program)
    layout.config.write_text("[node]\nname = 'attic'\n")
    uninstall(layout)
    install(layout, program)
    assert layout.config.read_text() == "[node]\nname = 'attic'\n"


def test_where_nothing_was_installed_nothing_is_removed(layout: Layout) -> None:
    with pytest.raises(RefusedError, match="nothing was changed"):
        uninstall(layout)
    layout.debian_program.parent.mkdir(parents=True)
    layout.debian_program.touch()
    with pytest.raises(RefusedError, match="apt remove ralnode"):
        uninstall(layout)


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("systemd-sysusers"), reason="needs root and systemd-sysusers")
def test_the_user_is_made_in_the_tree_and_not_on_this_machine(tmp_path: Path, program: Program) -> None:
    layout = Layout(tmp_path / "bare")
    layout.at("/etc").mkdir(parents=True)
    here = Path("/etc/passwd").read_bytes()
    make(layout, program.papers / "ralnode.sysusers")
    assert "ralnode" in layout.at("/etc/passwd").read_text()
    assert Path("/etc/passwd").read_bytes() == here


# --- data folders on other disks --------------------------------------------------------------------------------------


def drop_in(layout: Layout, unit: str) -> Path:
    return layout.at(f"/etc/systemd/system/{unit}.service.d/50-data-folder.conf")


def test_a_data_folder_elsewhere_may_be_written_and_its_disk_is_waited_for(layout: Layout, program: Program) -> None:
    install(layout, program)
    layout.config.write_text('[node]\ndata_dir = "/mnt/disk1/ralnode"\n')
    (layout.config_dir / "attic.toml").write_text("[node]\ndata_dir = '/mnt/a \"b\" 100%/ral'\n")
    assert drop_in(layout, "ralnode") in {Path(r.what.split()[1]) for r in install(layout, program, dry_run=True)}
    assert not drop_in(layout, "ralnode").exists()
    install(layout, program)
    lines = drop_in(layout, "ralnode").read_text().splitlines()
    assert lines[0].startswith("# Made by `ralnode install` from data_dir in /etc/ralnode/ralnode.toml")
    assert lines[1:] == [
        "[Unit]", 'RequiresMountsFor="/mnt/disk1/ralnode"', "", "[Service]", 'ReadWritePaths="-/mnt/disk1/ralnode"',
    ]  # fmt: skip
    assert 'RequiresMountsFor="/mnt/a \\"b\\" 100%%/ral"' in drop_in(layout, "ralnode@attic").read_text()
    assert states(install(layout, program)) == {"kept"}


@pytest.mark.parametrize(
    "config", ["[node]\n", "", "[node", "node = 3", '[node]\ndata_dir = "relative"', '[node]\ndata_dir = "/a\\nb"',
               '[node]\ndata_dir = "/var/lib/ralnode"', "[node]\ndata_dir = 3"],
)  # fmt: skip
def test_the_usual_folder_and_what_makes_no_sense_need_no_drop_in(
    layout: Layout, program: Program, config: str
) -> None:
    install(layout, program)
    layout.config.write_text('[node]\ndata_dir = "/mnt/disk1/ralnode"\n')
    install(layout, program)
    beside = drop_in(layout, "ralnode").with_name("override.conf")
    beside.write_text("[Service]\n")
    layout.config.write_text(config)
    install(layout, program)
    assert not drop_in(layout, "ralnode").exists()
    assert beside.exists(), "the owner's own"


def test_uninstalling_takes_the_drop_ins_along(layout: Layout, program: Program) -> None:
    install(layout, program)
    layout.config.write_text('[node]\ndata_dir = "/mnt/disk1/ralnode"\n')
    install(layout, program)
    uninstall(layout)
    assert not drop_in(layout, "ralnode").parent.exists()


def test_beside_the_debian_package_only_the_data_folder_is_left_to_do(layout: Layout) -> None:
    layout.config_dir.mkdir(parents=True)
    layout.config.write_text("[node]\n")
    before = set(files(layout))
    assert beside_package(layout) == [], "nothing to do"
    layout.config.write_text('[node]\ndata_dir = "/mnt/disk1/ralnode"\n')
    for state in ("done", "kept"):
        assert states(list(carry_out(beside_package(layout), dry_run=False))) == {state}
    assert set(files(layout)) == before | {str(drop_in(layout, "ralnode"))}
    layout.config.write_text("[node]\n")
    list(carry_out(beside_package(layout), dry_run=False))
    assert set(files(layout)) == before
