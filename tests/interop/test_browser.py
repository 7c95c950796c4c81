"""A browser seeks in a sound that lies in the cluster, and opens a web site that does."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from interop_content import TONE_SECONDS
from interop_pool import Pool

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SEEK = """async seconds => {
    const sound = document.querySelector('video, audio')
    const seeked = new Promise(resolve => sound.addEventListener('seeked', resolve, {once: true}))
    sound.pause()
    sound.currentTime = seconds
    await seeked
    return [sound.currentTime, sound.duration, sound.readyState]
}"""


@pytest.fixture(scope="module")
def page() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed (pip install -e .[dev])")
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed (apt-get install chromium)")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"], timeout=30_000
        )
        yield browser.new_page()
        browser.close()


def test_one_can_seek_in_a_sound(pool: Pool, page: Any) -> None:
    """Near its end first: it is read by ranges, not from the beginning."""
    answers: list[tuple[int, str]] = []
    page.on("response", lambda answer: answers.append((answer.status, answer.headers.get("content-range", ""))))
    page.goto(f"{pool.gateways[1]}/ipfs/{pool.roots['tone.wav']}?filename=tone.wav")
    page.wait_for_function("document.querySelector('video, audio').readyState >= 1")
    for second in (TONE_SECONDS - 4, 3, 21):
        at, length, ready = page.evaluate(SEEK, second)
        assert abs(at - second) < 0.5
        assert abs(length - TONE_SECONDS) < 0.5
        assert ready >= 2, "there is sound at that place"
    assert any(status == 206 for status, _ in answers), answers


def test_a_web_site_is_opened_with_its_index_and_style(pool: Pool, page: Any) -> None:
    page.goto(f"{pool.gateways[2]}/ipfs/{pool.roots['site']}")
    assert page.title() == "Our garden"
    assert page.url.endswith(f"{pool.roots['site']}/"), "relative links need the slash"
    colour = "getComputedStyle(document.getElementById('top')).color"
    assert page.evaluate(colour) == "rgb(1, 120, 60)"
    page.click("text=Deeper")
    page.wait_for_url("**/deeper/")
    assert page.title() == "Deeper"
