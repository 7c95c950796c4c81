"""What systemd is told: new units, restarts of nodes that run, stopping them. Nothing where no systemd runs."""

from __future__ import annotations

import subprocess
from typing import Final

from ralnode.api import LocalError

NODES: Final = ("ralnode.service", "ralnode@*.service")


def reload_units() -> None:
    systemctl("daemon-reload")


def running() -> list[str]:
    """Units of nodes that run or try to."""
    lines = systemctl(
        "list-units", "--plain", "--no-legend", "--state=active,activating,reloading,failed", *NODES
    ).splitlines()
    return [line.split()[0] for line in lines if line.strip()]


def restart_running() -> None:
    """A node that cannot start again says why in its own log."""
    for unit in running():
        systemctl("try-restart", unit, may_fail=True)


def start_now_and_at_boot() -> None:
    systemctl("enable", "--now", "ralnode.service")


def stop_for_good() -> None:
    names = {*running(), *enabled()}
    if names:
        systemctl("disable", "--now", *sorted(names))
        systemctl("reset-failed", *sorted(names), may_fail=True)


def enabled() -> list[str]:
    lines = systemctl("list-unit-files", "--plain", "--no-legend", "--state=enabled", *NODES).splitlines()
    return [line.split()[0] for line in lines if line.strip()]


def systemctl(*words: str, may_fail: bool = False) -> str:
    """Its output. Raises LocalError with what it said."""
    done = subprocess.run(["systemctl", *words], capture_output=True, text=True, check=False)
    if done.returncode and not may_fail:
        said = " ".join(done.stderr.split())
        raise LocalError(f"systemctl {' '.join(words)} failed: {said}. See: journalctl -u ralnode -n 20")
    return done.stdout
