"""The systemd service of this machine, for commands that change what it starts with."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Final

from ralnode.api import LocalError

UNIT: Final = "ralnode.service"
SERVICE_DATA_DIR: Final = Path("/var/lib/ralnode")
_SYSTEMD_RUNS: Final = Path("/run/systemd/system")
_START_SECONDS_MAX: Final = 100.0


def start(folder: Path) -> bool:
    """Starts the service anew if it is this machine's and works in this folder; False when there is none, or this user may
    not. Raises LocalError when it does not come up."""
    if os.geteuid() != 0 or folder != SERVICE_DATA_DIR or not _SYSTEMD_RUNS.is_dir():
        return False
    if _systemctl("cat", UNIT).returncode:
        return False
    done = _systemctl("restart", UNIT)
    if done.returncode:
        said = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise LocalError(
            f"the secret is stored, but the service does not start: {said}. See: journalctl -u ralnode -n 20"
        )
    return True


def hand_over(folder: Path) -> None:
    """What root has written there belongs to whom the folder belongs to: the service does not run as root."""
    if os.geteuid() != 0:
        return
    owner = folder.stat()
    for path in folder.iterdir():
        with suppress(OSError):
            if path.is_file() and not path.is_symlink() and path.stat().st_uid == 0:
                os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def _systemctl(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemctl", *words], capture_output=True, text=True, check=False, timeout=_START_SECONDS_MAX
    )
