"""The systemd service of this machine, for commands that change what it starts with."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from ralnode.api import LocalError

UNIT: Final = "ralnode.service"
_OVERRIDES: Final = ("RALNODE_CONFIG", "RALNODE_DATA_DIR", "RALNODE_SOCKET", "STATE_DIRECTORY")
"""With one of these a command means another node than the service's."""

_SYSTEMD_RUNS: Final = Path("/run/systemd/system")
_START_SECONDS_MAX: Final = 100.0


def start(environ: Mapping[str, str]) -> bool:
    """Starts the service anew with what was just changed; False when there is none, when this user may not, or when the
    environment names another node. Raises LocalError when it does not come up."""
    if os.geteuid() != 0 or any(environ.get(name) for name in _OVERRIDES) or not _SYSTEMD_RUNS.is_dir():
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
