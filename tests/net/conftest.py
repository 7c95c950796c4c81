"""`make_lan(count)`: a LAN of real processes that is taken down after the test; skips with the reason where that is not allowed."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

LAB = Path(__file__).with_name("lab.py")


@pytest.fixture(scope="session")
def lab() -> ModuleType:
    """lab.py, which is no package's: tests are imported by path."""
    spec = importlib.util.spec_from_file_location("lan_lab", LAB)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def make_lan(lab: ModuleType) -> Iterator[Callable[..., Any]]:
    lans: list[Any] = []

    def make(count: int, seed: int = 0) -> Any:
        try:
            lans.append(lab.Lan(count, seed))
        except lab.LanUnavailableError as reason:
            pytest.skip(f"network namespaces are not permitted here: {reason}")
        return lans[-1]

    yield make
    for lan in lans:
        lan.close()
