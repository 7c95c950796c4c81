"""Waits for a process that is not our child to end."""

from __future__ import annotations

import os
import select
import time
from typing import Final

_LOOK_SECONDS: Final = 0.05


def wait_for_end(pid: int, seconds_max: float) -> bool:
    """Whether it has ended within the time. True too when there is no such process (any more)."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    except (AttributeError, OSError):  # not Linux, or a kernel before 5.3
        return _poll(pid, seconds_max)
    try:
        return bool(select.select([descriptor], [], [], seconds_max)[0])
    finally:
        os.close(descriptor)


def _poll(pid: int, seconds_max: float) -> bool:
    deadline = time.monotonic() + seconds_max
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            pass  # it is somebody else's, and it is there
        time.sleep(_LOOK_SECONDS)
    return False
