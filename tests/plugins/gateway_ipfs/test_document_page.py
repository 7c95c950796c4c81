"""The page of an IPLD document in a real browser: its style is allowed, nothing else is, links lead on, a phone suffices."""

import shutil
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ralnode.dag import cid as cids
from ralnode.dag import dagcbor
from ralnode.dag.ipld import Link

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
INNER = dagcbor.encode({"hello": "inside"})
DOCUMENT = dagcbor.encode({
    "inner": Link(cids.make(cids.DAG_CBOR, INNER)), "<script>alert(1)</script>": "</bdi><img src=x onerror=alert(2)>", "long": "x" * 5000,
    "deep": [[[["end"]]]],
})  # fmt: skip
WIDTHS = "[document.documentElement.scrollWidth, window.innerWidth]"


@pytest.fixture
async def browser() -> AsyncIterator[Any]:
    api = pytest.importorskip("playwright.async_api", reason="Playwright is not installed (pip install -e .[dev])")
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed (apt-get install chromium)")
    async with api.async_playwright() as playwright:
        made = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"], timeout=30_000
        )
        yield made
        await made.close()


async def test_a_document_is_read_in_a_browser(client, node, browser) -> None:
    node.here |= {cids.make(cids.DAG_CBOR, block): block for block in (INNER, DOCUMENT)}
    base = f"http://127.0.0.1:{client.port}/ipfs"
    root, inner = (cids.to_text(cids.make(cids.DAG_CBOR, block)) for block in (DOCUMENT, INNER))
    complaints: list[str] = []
    colours = []
    for scheme in ("light", "dark"):
        page = await browser.new_page(color_scheme=scheme, viewport={"width": 390, "height": 800})
        page.on("console", lambda message: complaints.append(message.text))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        await page.goto(f"{base}/{root}")
        assert "<script>alert(1)</script>" in await page.inner_text("main")
        assert await page.evaluate("document.scripts.length + document.images.length") == 0
        wide, width = await page.evaluate(WIDTHS)
        assert wide <= width
        colours.append(await page.evaluate("getComputedStyle(document.body).backgroundColor"))
        await page.click(f'main a[href="/ipfs/{inner}"]')
        await page.wait_for_url(f"{base}/{inner}")
        assert "inside" in await page.inner_text("main")
        await page.close()
    assert complaints == []
    assert len(set(colours)) == 2, "the policy lets the style through, which knows light and dark"
