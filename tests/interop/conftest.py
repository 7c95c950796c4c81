"""A cluster of real nodes in which no single one holds the large file, for IPFS tools that are not ours to read from.

`sh packaging/interop` fetches the tools and runs these tests; the ordinary check runs what needs no Go and no Node.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import interop_content
import pytest
from interop_pool import Pool


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The cluster is made in the first test's time, and a foreign tool may take a while."""
    for item in items:
        if Path(item.fspath).parent == Path(__file__).parent and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(300))


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> interop_content.Content:
    """The files, before any cluster has seen them."""
    return interop_content.make(tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="session")
def pool(made: interop_content.Content) -> Iterator[Pool]:
    """Four nodes that hold all of `made` in two copies, none of them the whole film. Whoever brought it is gone."""
    with tempfile.TemporaryDirectory(prefix="ral-", dir="/tmp") as folder, Pool(Path(folder)) as cluster:
        cluster.take_over(made)
        yield cluster
