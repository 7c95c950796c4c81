"""Finds, runs and waits for tools that are not ours."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
TOOLS = Path(os.environ.get("RALNODE_INTEROP", CHECKOUT / ".interop"))
"""Where packaging/interop puts what it fetches and builds."""


def tool(name: str, remedy: str = "`sh packaging/interop` fetches it") -> Path:
    """The program, from packaging/interop's folder or the machine. Skips the test where there is none."""
    own = TOOLS / "bin" / name
    found = str(own) if own.exists() else shutil.which(name)
    if found is None:
        pytest.skip(f"no {name} on this machine: {remedy}")
    return Path(found)


def run(arguments: Sequence[str | Path], *, seconds: float = 120, **options: Any) -> subprocess.CompletedProcess[Any]:
    """A program that must succeed."""
    done = subprocess.run(
        [str(part) for part in arguments], capture_output=True, timeout=seconds, check=False, **options
    )
    assert done.returncode == 0, f"{arguments}: {done.returncode}\n{done.stdout[-2000:]!r}\n{done.stderr[-4000:]!r}"
    return done


def until(condition: Callable[[], Any], seconds: float, what: str) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain for {what}"
        time.sleep(0.1)
    return value
