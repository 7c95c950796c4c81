"""The IPFS project's own suite for gateways, against a real node: nothing of it may fail. What it skips is IPNS, DNSLink,
subdomains and the groups that another run is for."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from interop_conformance import HOME, Report, put_fixtures, run_suite
from interop_pool import SingleNode
from interop_tools import tool

SPECS = {
    "trustless-block-gateway": 26,
    "trustless-car-gateway": 347,
    "path-unixfs-gateway,path-range-gateway": 68,
    "path-raw-gateway": 23,
    "path-tar-gateway": 18,
    "path-dag-gateway": 157,
}
"""Spec -> how many checks pass: fewer are a failure as well, so that an empty run, or one that skips, is no success."""


@pytest.fixture(scope="module")
def suite() -> Path:
    program = tool("gateway-conformance")
    tool("go", "the suite runs `go test`")
    if not HOME.is_dir():
        pytest.skip("the source of gateway-conformance is not here: `sh packaging/interop` fetches it")
    return program


@pytest.fixture(scope="module")
def gateway(suite: Path) -> Iterator[str]:
    """One node that holds the blocks of all fixtures and cannot ask anybody for the one that is left out."""
    with tempfile.TemporaryDirectory(prefix="ral-", dir="/tmp") as folder, SingleNode(Path(folder)) as node:
        node.stop()
        assert asyncio.run(put_fixtures(node.data_dir)) > 300
        node.start()
        yield node.gateway


@pytest.fixture(scope="module")
def run(suite: Path, gateway: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Report]:
    folder = tmp_path_factory.mktemp("reports")

    def call(spec: str) -> Report:
        report = run_suite(suite, gateway, spec, folder / f"{spec}.json")
        print("\n" + report.line(spec))
        return report

    return call


@pytest.mark.parametrize("spec", list(SPECS))
def test_the_suite_passes_whole(run: Callable[[str], Report], spec: str) -> None:
    report = run(spec)
    assert report.failed == ()
    assert len(report.passed) >= SPECS[spec]
