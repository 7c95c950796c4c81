"""The status page of a real cluster in a real browser: it tells the truth, does what is asked, and harms nobody.

The tests share one cluster and go from looking to changing; the last ones stop and kill nodes.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from page_contrast import SCRIPT_FINDS_FAINT_TEXT

from ralnode_ui_web.words import size

EVIL = "<img src=x onerror=alert(1)>.txt"
EVIL_BYTES = 2_500_000
SCRIPT_MAKES_FILE = """([name, size]) => {
  const bytes = new Uint8Array(size);
  for (let i = 0, x = 7; i < size; i++) { x = (Math.imul(x, 1103515245) + 12345) >>> 0; bytes[i] = x >>> 16; }
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name, {lastModified: 1700000000000}));
  return transfer;
}"""


def evil_bytes() -> bytes:
    made, x = bytearray(), 7
    for _ in range(EVIL_BYTES):
        x = (x * 1103515245 + 12345) & 0xFFFFFFFF
        made.append((x >> 16) & 255)
    return bytes(made)


def text(page: Any, selector: str) -> str:
    return " ".join(page.locator(selector).inner_text().split())


def differences(page: Any, status: Any) -> list[str]:
    """What the page says otherwise than the status."""
    shown = {
        "sentence": (page.locator("h1").inner_text(), status["sentence"]),
        "health": (text(page, ".truth .word").lower(), status["health"]),
        "nodes": (page.locator(".node").count(), len(status["nodes"])),
        "histogram": (
            [int(cell.replace(",", "")) for cell in page.locator(".histogram .n").all_inner_texts()],
            status["histogram"],
        ),
        "sources": (
            sorted(page.locator(".source .name").all_inner_texts()),
            sorted(source["name"] for source in status["sources"]),
        ),
        "rows of the first map": (
            page.locator(".source").first.locator(".map .row").count(),
            len({*status["sources"][0]["stored"], *status["sources"][0]["wanted"]}),
        ),
    }
    said = text(page, "#plan"), text(page, ".events")
    cards = {node["name"]: " ".join(card(page, node["name"]).inner_text().split()) for node in status["nodes"]}
    parts = {"planner": (said[0], status["planner"]), "digest": (said[0], status["plan_digest"][:12])}
    parts["event"] = (said[1], status["events"][-1]["text"])
    for node in status["nodes"]:
        counts = f"{node['stored_count']:,} stored of {node['wanted_count']:,} wanted"
        for fact in (counts, node["version"], node["address"], node["activity"], size(node["used_bytes"])):
            parts[f"{node['name']}: {fact}"] = (cards[node["name"]], fact)
    found = [f"{what}: {here} is not {there}" for what, (here, there) in shown.items() if here != there]
    return found + [f"{what} is not in {here!r}" for what, (here, there) in parts.items() if there not in here]


def test_what_is_shown_is_what_the_status_says(page: Any, cluster: Any) -> None:
    found = ["not looked"]
    for _attempt in range(10):  # the cluster lives on between the two looks
        page.reload()
        status = page.request.get(f"{cluster.address}/api/v1/status").json()
        found = differences(page, status)
        if not found:
            break
    assert found == []


def test_every_part_is_there_without_scripts(chromium: Any, cluster: Any, signed_in: Path, watch: Any) -> None:
    context = watch.follow(chromium.new_context(storage_state=signed_in, java_script_enabled=False))
    page = context.new_page()
    page.goto(f"{cluster.address}/dashboard")
    headings = page.locator("h2").all_inner_texts()
    assert headings == ["Nodes", "Copies of blocks", "Files", "Room for more", "Needs a hand", "Events", "Planner"]
    assert page.locator("h1").inner_text() == cluster.status()["sentence"]
    assert page.locator(".map svg path").count() > 4
    page.fill("#q", "LETTERS")
    page.click(".search button")
    page.wait_for_url("**q=LETTERS**")
    assert page.locator(".source .name").all_inner_texts() == ["letters.tar"]
    page.fill("#why-source", "letters.tar")
    page.fill("#why-index", "1")
    page.click("#plan .ask button")
    page.locator("#answer", has_text="Copies here now").wait_for()
    context.close()


def test_a_file_is_added_without_scripts(
    chromium: Any, cluster: Any, signed_in: Path, watch: Any, tmp_path: Path
) -> None:
    (tmp_path / "plain form.bin").write_bytes(b"form" * 300_000)
    context = watch.follow(chromium.new_context(storage_state=signed_in, java_script_enabled=False))
    page = context.new_page()
    page.goto(f"{cluster.address}/dashboard")
    page.set_input_files("#add-files", tmp_path / "plain form.bin")
    page.click("#add button")
    page.locator(".flash", has_text="plain form.bin").wait_for()
    page.locator(".source .name", has_text="plain form.bin").wait_for()
    context.close()


def test_a_dropped_file_with_a_script_for_a_name_is_added_and_comes_back_the_same(page: Any) -> None:
    transfer = page.evaluate_handle(SCRIPT_MAKES_FILE, [EVIL, EVIL_BYTES])
    page.dispatch_event("#add", "drop", {"dataTransfer": transfer})
    line = page.locator(".uploads li", has_text=EVIL)
    line.locator("progress").wait_for()
    line.locator(".done").wait_for()
    assert line.locator("progress").evaluate("bar => bar.value / bar.max") == 1
    row = page.locator(".source", has=page.locator(".name", has_text=EVIL))
    row.locator(".copies", has_text="2 of 2 copies").wait_for()  # live: the page was not loaded anew
    with page.expect_download() as download:
        row.get_by_role("link", name="Download").click()
    data = Path(download.value.path()).read_bytes()
    assert hashlib.sha256(data).digest() == hashlib.sha256(evil_bytes()).digest()
    assert page.locator("img").count() == 0


def test_one_file_in_full_with_everybodys_plan(page: Any, cluster: Any) -> None:
    row = page.locator(".source", has=page.locator(".name", has_text="holiday.mp4"))
    row.get_by_role("link", name="Details").click()
    page.locator("h1", has_text="holiday.mp4").wait_for()
    rows = page.locator(".map .row svg")
    assert rows.count() == len(cluster.demo.nodes)
    for label in rows.evaluate_all("rows => rows.map(row => row.getAttribute('aria-label'))"):
        assert "wants" in label, "each node was asked for its own plan"


def test_why_a_block_is_here_is_answered_in_place(page: Any, cluster: Any) -> None:
    page.fill("#why-source", "holiday.mp4")
    page.fill("#why-index", "3")
    page.click("#plan .ask button")
    page.locator("#why >> text=Copies here now").wait_for()
    said = text(page, "#why")
    why = cluster.first.client.command("plan_why", {"source": "holiday.mp4", "index": 3})
    assert all(holder in said for holder in why["holders"])
    assert page.url.endswith("/dashboard")
    page.fill("#why-index", "999999")
    page.click("#plan .ask button")
    page.locator("#why .problem", has_text="there is no block 999999").wait_for()


def test_events_are_exported(page: Any, cluster: Any) -> None:
    events = page.request.get(f"{cluster.address}/dashboard/events.json").json()
    assert [each["text"] for each in events][:3] == [each["text"] for each in cluster.status()["events"]][:3]
    assert page.request.get(f"{cluster.address}/dashboard/events.csv").text().startswith("time,level,text")
    assert "is here" in page.request.get(f"{cluster.address}/dashboard/events.txt").text()


@pytest.mark.parametrize("width", [320, 400])
def test_a_phone_needs_no_sideways_scrolling(
    chromium: Any, cluster: Any, signed_in: Path, watch: Any, width: int
) -> None:
    size = {"width": width, "height": 700}
    context = watch.follow(chromium.new_context(storage_state=signed_in, viewport=size, is_mobile=True))
    page = context.new_page()
    root = cluster.status()["sources"][0]["root"]
    me = cluster.status()["me"]
    places = (
        "dashboard", f"dashboard/source/{root}", "dashboard/why?source=holiday.mp4&index=0", "account", "sign-in",
        f"actions/drain?node={me}", "nothing-here",
    )  # fmt: skip
    for place in places:
        page.goto(f"{cluster.address}/{place}")
        wide = page.evaluate(
            "[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1 "
            "&& !e.closest('.scroll, .sprite, .unseen, .skip')).map(e => e.outerHTML.slice(0, 80)).slice(0, 3)"
        )
        assert wide == [], f"/{place} is wider than {width}"
        assert page.evaluate("document.documentElement.scrollWidth") <= width, place
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_contrast_and_every_field_a_label(
    chromium: Any, cluster: Any, signed_in: Path, watch: Any, scheme: str
) -> None:
    context = watch.follow(chromium.new_context(storage_state=signed_in, color_scheme=scheme))
    page = context.new_page()
    me = cluster.status()["me"]
    for place in ("dashboard", "account", f"actions/drain?node={me}"):
        page.goto(f"{cluster.address}/{place}")
        assert page.evaluate(SCRIPT_FINDS_FAINT_TEXT) == [], f"/{place} in {scheme}"
        assert page.evaluate(
            "[...document.querySelectorAll('input:not([type=hidden]), select')].filter(e => !e.labels.length).map(e => e.outerHTML)"
        ) == []  # fmt: skip
        assert page.locator("main").count() == 1
        assert page.locator("h1").count() == 1
    context.close()


def confirm(page: Any, typed: str = "") -> None:
    """On the confirmation page: it says what would happen; a wrong name is refused, the right one does it."""
    page.locator("main .lines li").first.wait_for()
    if typed:
        page.fill("#typed", "another name")
        page.click("main form button")
        page.locator(".problem").wait_for()
        page.fill("#typed", typed)
    page.click("main form button")
    page.wait_for_url("**/dashboard*")


def card(page: Any, name: str) -> Any:
    return page.locator(".node", has=page.locator("h3", has_text=name))


def manage(page: Any, name: str) -> Any:
    found = card(page, name)
    found.locator("summary").click()
    return found.locator(".menu")


def test_another_nodes_capacity_is_changed_from_here(page: Any, cluster: Any) -> None:
    menu = manage(page, "closet")
    menu.locator("input[name=capacity]").fill("140 MB")
    menu.locator("button").click()
    confirm(page, "closet")
    card(page, "closet").locator(".amounts", has_text="140 MB").wait_for()
    assert cluster.demo.nodes[2].client.command("capacity")["capacity_bytes"] == 140_000_000


def test_another_node_is_drained_and_taken_back(page: Any) -> None:
    manage(page, "closet").get_by_role("link", name="Drain", exact=True).click()
    confirm(page, "closet")
    card(page, "closet").locator(".state", has_text="draining").wait_for()
    manage(page, "closet").get_by_role("link", name="Stop draining").click()
    confirm(page)
    card(page, "closet").locator(".state", has_not_text="draining").wait_for()


def test_another_nodes_blocks_are_checked(page: Any, cluster: Any) -> None:
    manage(page, "cellar").get_by_role("link", name="start").click()
    confirm(page)
    page.locator(".flash", has_text="check of cellar").wait_for()
    assert cluster.demo.nodes[1].client.command("verify", {"action": "progress"})["bad_count"] == 0


def test_a_file_is_removed_after_its_name_was_typed(page: Any, cluster: Any) -> None:
    row = page.locator(".source", has=page.locator(".name", has_text="letters.tar"))
    row.get_by_role("link", name="Remove").click()
    confirm(page, "letters.tar")
    page.locator(".source .name", has_text="letters.tar").wait_for(state="detached")
    assert "letters.tar" not in [source["name"] for source in cluster.status()["sources"]]


def test_a_killed_node_goes_grey_and_its_share_moves_on(page: Any, cluster: Any) -> None:
    assert page.locator(".node.down").count() == 0
    cluster.demo.nodes[3].kill()
    grey = page.locator(".node.down")
    grey.wait_for()
    assert grey.locator("h3").inner_text() == cluster.demo.nodes[3].name
    assert grey.locator(".state").inner_text() == "offline"
    assert "last seen" in grey.locator(".absence").inner_text()
    page.locator(".node.down .absence", has_text="has moved on").wait_for()
    page.locator(".truth.healthy").wait_for()


def test_another_node_is_stopped(page: Any) -> None:
    manage(page, "cellar").get_by_role("link", name="Stop", exact=True).click()
    confirm(page, "cellar")
    page.locator(".node.down h3", has_text="cellar").wait_for()


def test_a_viewer_can_look_and_change_nothing(chromium: Any, cluster: Any, watch: Any) -> None:
    context = watch.follow(chromium.new_context())
    page = context.new_page()
    page.goto(f"{cluster.address}/dashboard")
    assert page.locator(".node").count() == len(cluster.demo.nodes)
    assert page.locator("#add, .menu, a[href*='/actions/']").count() == 0
    answer = page.request.post(f"{cluster.address}/actions/stop", form={"node": "attic", "confirmed": "yes"})
    assert answer.status in (401, 403)
    context.close()


def test_a_lost_connection_is_told(page: Any, cluster: Any, watch: Any) -> None:
    assert page.locator(".lost").inner_text() == ""
    cluster.first.kill()
    page.locator(".lost", has_text="connection is lost").wait_for()
    assert page.locator("h1").count() == 1, "what was known stays to be read"
    watch.complaints = [each for each in watch.complaints if each != "error: [object Event]"]  # htmx notes the loss
