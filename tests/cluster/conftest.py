"""Four real ralnodes on four machines of a LAN in namespaces, one for all tests here: starting them costs more than each test does.
Every test begins with a whole cluster, whatever the one before it did.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ralnode.api import RalnodeError
from ralnode.cli.client import NodeClient
from ralnode.testing.lan.lan import Lan, LanUnavailableError
from ralnode.testing.lan.nodes import LanNodes, Recipe

START_SECONDS = 120


@pytest.fixture(scope="session")
def recipe() -> Recipe:
    return Recipe(connect=lambda path: NodeClient([path]), refusals=(RalnodeError,), capacity_bytes=300_000_000)


@pytest.fixture(scope="module")
def started(recipe: Recipe) -> Iterator[LanNodes]:
    folder = Path(tempfile.mkdtemp(prefix="ral-lan-", dir="/tmp"))  # a short path, for unix sockets
    try:
        lan = Lan(4, seed=1, folder=folder)
    except LanUnavailableError as reason:
        folder.rmdir()
        pytest.skip(f"network namespaces are not permitted here: {reason}")
    with lan:
        yield LanNodes(lan, 4, folder, recipe)
    assert not folder.exists(), "the LAN removes its folder"


@pytest.fixture
def four(started: LanNodes) -> LanNodes:
    for node in started.all:
        started.lan.mend(node.number)
    started.start()
    started.await_whole(START_SECONDS)
    return started
