"""Debian's Chromium driven by Playwright, and a cluster of real processes to look at.

The synchronous API of Playwright runs a loop of its own in this thread, so browser and tests of asyncio must not
overlap: everything here lives no longer than its module.
"""

from __future__ import annotations

import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ralnode.api import RalnodeError
from ralnode.cli.demo.processes import DemoCluster, DemoNode

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
CAPACITIES = (200_000_000, 120_000_000, 150_000_000, 120_000_000)
FILES = {"holiday.mp4": 9_000_000, "letters.tar": 4_000_000}
NOT_OURS = ("Failed to load resource",)
"""Chromium's word for any answer that is no success, also for refusals that a test asks for."""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A browser; skips where there is none."""
    api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed (pip install -e .[dev])")
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed (apt-get install chromium)")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"], timeout=30_000
        )
        yield browser
        browser.close()


class Watch:
    """What must not happen on any page: errors, violations of the content security policy, dialogs."""

    def __init__(self) -> None:
        self.complaints: list[str] = []

    def follow(self, context: Any) -> Any:
        context.set_default_timeout(40_000)  # CI is slow and loaded
        context.on("console", self._console)
        context.on("weberror", lambda error: self.complaints.append(f"error: {error.error}"))
        context.on("dialog", self._dialog)
        return context

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning") and not message.text.startswith(NOT_OURS):
            self.complaints.append(f"{message.type}: {message.text}")

    def _dialog(self, dialog: Any) -> None:
        self.complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()


@pytest.fixture
def watch() -> Iterator[Watch]:
    made = Watch()
    yield made
    assert made.complaints == []


def until(condition: Callable[[], bool], what: str, seconds: float = 40) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds:.0f} s in vain: {what}"
        time.sleep(0.1)


class Cluster:
    """Nodes of the demo with two files on them, each in two copies."""

    def __init__(self, demo: DemoCluster) -> None:
        self.demo = demo

    @property
    def first(self) -> DemoNode:
        return self.demo.nodes[0]

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.first.ports.page}"

    def status(self) -> Any:
        return self.first.client.command("status")

    def link(self) -> str:
        """Signs one browser in as admin."""
        link: str = self.first.client.command("page", {"action": "link"})["link"]
        return link

    def is_well(self) -> bool:
        try:
            status = self.status()
        except RalnodeError:
            return False
        alive = sum(node["liveness"] == "alive" for node in status["nodes"])
        return alive == len(CAPACITIES) and len(status["sources"]) == len(FILES) and status["health"] == "healthy"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    handlers = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        with DemoCluster(tmp_path_factory.mktemp("cluster")) as demo:
            demo.files.mkdir()
            for number, (name, size_bytes) in enumerate(FILES.items()):
                (demo.files / name).write_bytes(random.Random(number).randbytes(size_bytes))
            demo.start(CAPACITIES)
            demo.seed()
            made = Cluster(demo)
            until(made.is_well, f"four nodes with two copies\n{demo.nodes[0].last_words()}")
            yield made
    finally:
        for each, handler in handlers.items():
            signal.signal(each, handler)


@pytest.fixture(scope="module")
def signed_in(chromium: Any, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cookies of an admin."""
    state = tmp_path_factory.mktemp("cookies") / "state.json"
    context = chromium.new_context()
    page = context.new_page()
    page.goto(cluster.link())
    page.click("main button")
    page.wait_for_url("**/account")
    context.storage_state(path=state)
    context.close()
    return state


@pytest.fixture
def page(chromium: Any, cluster: Cluster, signed_in: Path, watch: Watch) -> Iterator[Any]:
    """The status page as its admin sees it on a desk."""
    context = watch.follow(chromium.new_context(storage_state=signed_in, viewport={"width": 1200, "height": 900}))
    page = context.new_page()
    page.goto(f"{cluster.address}/dashboard")
    yield page
    context.close()
