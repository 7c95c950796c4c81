"""The system user `ralnode`: who it is in the tree that is installed into, and making it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from ralnode.api import LocalError
from ralnode.cli.install.layout import USER, Layout


def exists(layout: Layout) -> bool:
    return group_id(layout) is not None


def group_id(layout: Layout) -> int | None:
    """The number of the group ralnode; a user of that name has one."""
    for line in _lines(layout.at("/etc/group")):
        name, _password, number, *_ = [*line.split(":"), "", "", ""]
        if name == USER and number.isdigit() and _has_user(layout):
            return int(number)
    return None


def _has_user(layout: Layout) -> bool:
    return any(line.startswith(f"{USER}:") for line in _lines(layout.at("/etc/passwd")))


def _lines(file: Path) -> list[str]:
    return file.read_text(errors="replace").splitlines() if file.is_file() else []


def make(layout: Layout, sysusers: Path) -> None:
    """By systemd-sysusers from its file, or by useradd where that is not. Raises LocalError."""
    if shutil.which("systemd-sysusers"):
        line = ["systemd-sysusers", f"--root={layout.root}", str(sysusers.resolve())]
    elif shutil.which("useradd"):
        line = ["useradd", "--root", str(layout.root), "--system", "--user-group", "--no-create-home",
                "--home-dir", "/var/lib/ralnode", "--shell", "/usr/sbin/nologin", USER]  # fmt: skip
    else:
        raise LocalError(
            f"cannot make the user {USER}: neither systemd-sysusers nor useradd is here. Make it, run this again"
        )
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if not exists(layout):
        raise LocalError(
            f"cannot make the user {USER}: {' '.join(line)} said: {done.stderr.strip() or done.returncode}"
        )
