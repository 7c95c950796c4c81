"""The page of a recording node, started and stopped."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from page_client import Web

from ralnode_ui_web import hashing


@pytest.fixture
async def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Web]:
    monkeypatch.setattr(hashing, "_N", 1 << 10)  # what a password really costs is tried in test_signing.py
    made = Web(tmp_path, hosts=("nas.example",))
    await made.ui.start()
    yield made
    await made.ui.stop()
