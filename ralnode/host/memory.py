"""How glibc keeps memory: buffers of block size for reuse while there is work, given back to the system afterwards.

Left alone it asks the kernel for each buffer anew, who has to fill it with zeros: that was half of the time that the
kernel spent on reading over HTTP, and a third of that on adding. Other C libraries do as they please; nothing here fails.
"""

from __future__ import annotations

import ctypes
import gc
import os
from pathlib import Path
from typing import Any, Final

from ralnode.api.limits import MIB

_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
_ARENA_MAX: Final = -8
"""Names for mallopt(3), of malloc.h."""
_MAPPED_BYTES_MIN: Final = 4 * MIB
"""Larger buffers are made and given back one by one; every block is smaller."""
_FREE_BYTES_MAX: Final = 16 * MIB
"""Kept at the end of the heap."""
_ARENAS: Final = 1
"""Of heaps to keep so much in: with two the node took 12 MB more at its peak and no less time."""
_GROWN_BYTES: Final = 8 * MIB
_STATM: Final = Path("/proc/self/statm")


def keep_buffers() -> None:
    """For the start of a process that handles many blocks, before it has threads."""
    for name, value in (
        (_MMAP_THRESHOLD, _MAPPED_BYTES_MIN),
        (_TRIM_THRESHOLD, _FREE_BYTES_MAX),
        (_ARENA_MAX, _ARENAS),
    ):
        _call("mallopt", name, value)


def keep_what_is_made() -> None:
    """For the start, when everything is imported: collections look no longer through what stays for good. A full one took
    45 ms, in which all threads stand still, and the event loop with them."""
    gc.freeze()


class SpareMemory:
    """`give_back` does nothing unless the process has grown since the last time."""

    def __init__(self) -> None:
        self._rest_bytes = 0

    def give_back(self) -> None:
        """Takes a few milliseconds; call it in a thread, when it is quiet."""
        if resident_bytes() <= self._rest_bytes + _GROWN_BYTES:
            return
        gc.collect()
        _call("malloc_trim", 0)
        self._rest_bytes = resident_bytes()


def resident_bytes() -> int:
    """Of this process; 0 where Linux does not tell."""
    try:
        return int(_STATM.read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def _call(name: str, *arguments: int) -> None:
    try:
        function: Any = getattr(ctypes.CDLL(None), name)
    except (OSError, AttributeError, TypeError):
        return
    function(*arguments)
