"""What the kernel says of this process, from /proc; nothing where there is none."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ralnode.api import Metric
from ralnode.host.metering.table import sample

_PROC: Final = Path("/proc/self")
_STAT_THREADS: Final = 17
_STAT_START: Final = 19
"""Fields of /proc/self/stat behind the name (proc(5) numbers them from 1 and has two before it)."""


def samples(proc: Path = _PROC) -> Iterator[Metric]:
    """The start is reckoned from the time since boot, since the service hides /proc/stat (ProcSubset=pid)."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    yield sample("process_cpu_seconds_total", used.ru_utime + used.ru_stime)
    yield sample("process_max_fds", resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    try:
        virtual_pages, resident_pages = map(int, (proc / "statm").read_text().split()[:2])
        fields = (proc / "stat").read_text().rpartition(")")[2].split()
        open_count = sum(1 for _ in (proc / "fd").iterdir()) - 1  # the one that lists is open too
    except OSError:
        return
    page_bytes = resource.getpagesize()
    yield sample("process_resident_memory_bytes", resident_pages * page_bytes)
    yield sample("process_virtual_memory_bytes", virtual_pages * page_bytes)
    yield sample("process_open_fds", open_count)
    yield sample("process_threads", int(fields[_STAT_THREADS]))
    since_boot_seconds = int(fields[_STAT_START]) / os.sysconf("SC_CLK_TCK")
    yield sample(
        "process_start_time_seconds", time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + since_boot_seconds
    )
