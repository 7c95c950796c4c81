"""The units of systemd: no error, hardened, and the template differs from the service in names and folders only."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from ralnode.api.limits import STOP_SECONDS
from ralnode.host.joining import CREDENTIAL
from ralnode.host.socketpath import SYSTEM_SOCKET

UNITS = Path(__file__).parents[2] / "systemd"
SERVICES = ("ralnode.service", "ralnode@.service")
EXPOSURE_MAX = 1.5
needs_analyze = pytest.mark.skipif(
    not shutil.which("systemd-analyze"), reason="no systemd-analyze here: it is in Debian's package systemd"
)


def settings(name: str) -> list[str]:
    lines = (UNITS / name).read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def installed(name: str, folder: Path) -> Path:
    """The unit in a tree that has the program it starts. Returns the tree."""
    program = folder / "usr/bin/ralnode"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    place = folder / "etc/systemd/system"
    place.mkdir(parents=True)
    for target in ("sysinit", "basic", "multi-user", "network-online", "shutdown"):
        (place / f"{target}.target").write_text(f"[Unit]\nDescription={target}\n")
    for slice_ in ("system", "-"):
        (place / f"{slice_}.slice").write_text("[Unit]\nDescription=a slice\n")
    (place / "system-ralnode.slice").write_text("[Unit]\nDescription=a slice\n")
    shutil.copy(UNITS / name, place / name)
    return folder


def verify(name: str, tree: Path) -> subprocess.CompletedProcess[str]:
    # Without --recursive-errors an unknown key would only be printed, and the exit code would be 0.
    return subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=yes", f"--root={tree}",
         name.replace("@.", "@attic.")], capture_output=True, text=True, check=False,
    )  # fmt: skip


@needs_analyze
@pytest.mark.parametrize("name", SERVICES)
def test_systemd_finds_no_fault_in_the_unit(name: str, tmp_path: Path) -> None:
    done = verify(name, installed(name, tmp_path))
    assert (done.returncode, done.stderr) == (0, "")


@needs_analyze
def test_a_misspelt_key_would_be_found(tmp_path: Path) -> None:
    tree = installed("ralnode.service", tmp_path)
    unit = tree / "etc/systemd/system/ralnode.service"
    unit.write_text(unit.read_text().replace("ProtectSystem=", "ProtectSytem="))
    assert "ProtectSytem" in verify("ralnode.service", tree).stderr


@needs_analyze
@pytest.mark.parametrize("name", SERVICES)
def test_a_broken_into_node_could_do_little(name: str) -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", f"--threshold={round(EXPOSURE_MAX * 10)}", "--no-pager",
         str(UNITS / name)], capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-200:] + done.stderr


@needs_analyze
def test_every_hardening_that_is_left_out_is_known() -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--json=short", str(UNITS / "ralnode.service")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    left_out = {line["json_field"] for line in json.loads(done.stdout) if line["set"] is False}
    assert left_out <= {
        "PrivateNetwork", "RestrictAddressFamilies_AF_INET_INET6", "RestrictAddressFamilies_AF_UNIX",
        "RestrictAddressFamilies_AF_NETLINK", "IPAddressDeny", "RootDirectoryOrRootImage", "DeviceAllow",
    }  # fmt: skip


def test_the_template_is_the_service_with_other_names() -> None:
    differing = {"Description", "ExecStart", "StateDirectory", "RuntimeDirectory", "LoadCredential"}

    def kept(name: str) -> list[str]:
        return [line for line in settings(name) if line.partition("=")[0] not in differing]

    assert kept("ralnode.service") == kept("ralnode@.service")


def test_every_setting_of_the_service_has_its_reason() -> None:
    """Above each group of settings stands a comment."""
    lines = (UNITS / "ralnode.service").read_text().splitlines()
    headings = [n for n, line in enumerate(lines) if line.startswith("[Service]")]
    assert sum(line.startswith("#") for line in lines[headings[0] :]) >= 25


def test_the_unit_agrees_with_the_program() -> None:
    found = settings("ralnode.service")
    assert f"LoadCredential={CREDENTIAL}" in found
    assert f"RuntimeDirectory={SYSTEM_SOCKET.parent.name}" in found
    assert "RestartPreventExitStatus=64 78" in found
    (stop,) = [line for line in found if line.startswith("TimeoutStopSec=")]
    assert int(stop.removeprefix("TimeoutStopSec=").removesuffix("s")) > STOP_SECONDS


def test_nobody_but_root_may_write_where_plugins_lie() -> None:
    assert "d /etc/ralnode/plugins 0755 root root -" in (UNITS / "ralnode.tmpfiles").read_text()
