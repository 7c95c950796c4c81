"""Gives memory back to the system once a burst of work is over: glibc keeps what threads have freed, here up to 30 MiB."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable


def _find_trim() -> Callable[[int], int] | None:
    """`malloc_trim(3)` of glibc; other C libraries give memory back by themselves or not at all."""
    try:
        trim: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError, TypeError):
        return None
    return trim


_TRIM = _find_trim()


def give_back() -> None:
    """Takes a few milliseconds; call it in a thread."""
    gc.collect()
    if _TRIM is not None:
        _TRIM(0)
