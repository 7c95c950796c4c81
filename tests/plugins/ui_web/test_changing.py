"""Changes by forms and by JSON: first what would happen, then the typed name, then the command to the right node."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from page_client import Web
from page_status import source

ATTIC, CELLAR = "12D3KooWattic", "12D3KooWcellar"


def first_root(web: Web) -> str:
    assert web.node.now is not None
    return web.node.now.sources[0].root


def cases(web: Web) -> list[tuple[str, dict[str, str], str, tuple[str, dict[str, Any], str | None]]]:
    """(action, fields, what is to be typed, the command that comes of it)"""
    root = first_root(web)
    return [
        ("remove", {"source": root}, "file-00000.bin", ("rm", {"source": root}, None)),
        ("capacity", {"node": CELLAR, "capacity": "2 TB"}, "", ("capacity", {"capacity_bytes": 2 * 10**12}, CELLAR)),
        ("capacity", {"node": "cellar", "capacity": "500GB"}, "cellar", ("capacity", {"capacity_bytes": 5 * 10**11}, CELLAR)),
        ("drain", {"node": CELLAR}, "cellar", ("drain", {"draining": True}, CELLAR)),
        ("undrain", {"node": CELLAR}, "", ("drain", {"draining": False}, CELLAR)),
        ("stop", {"node": CELLAR}, "cellar", ("stop", {}, CELLAR)),
        ("stop", {"node": ATTIC, "away_minutes": "30"}, "attic", ("stop", {"away_minutes": 30.0}, ATTIC)),
        ("scrub", {"node": CELLAR, "do": "pause"}, "", ("verify", {"action": "pause"}, CELLAR)),
    ]  # fmt: skip


def performed(web: Web) -> list[tuple[str, dict[str, Any], str | None]]:
    """Commands that change something; what asks what is or would be is left out."""
    return [
        (t.name, dict(t.params), t.node)
        for t in web.node.told
        if t.name != "foresee" and (t.params or t.name == "stop")
    ]


async def test_every_action_shows_first_what_it_would_do_and_needs_no_script(web: Web) -> None:
    admin = await web.admin()
    for action, fields, typed, command in cases(web):
        web.node.told.clear()
        page = await admin.post(f"/actions/{action}", fields)
        assert page.status == 200 and not performed(web), action
        assert (f"would {action}" in page.text) or action == "scrub"
        assert ('name="typed"' in page.text) is bool(typed)
        for name, value in fields.items():
            assert f'name="{name}"' in page.text and (value in page.text or CELLAR in page.text)
        done = await admin.post(
            f"/actions/{action}", {**fields, "typed": typed, "confirmed": "yes", "back": "/dashboard?q=1"}
        )
        assert (done.status, done.headers["location"]) == (303, "/dashboard?q=1"), done.text
        assert performed(web) == [command]
        shown, again = await admin.get("/dashboard"), await admin.get("/dashboard")
        assert shown.text.count('class="flash ') == again.text.count('class="flash ') + 1  # said once


async def test_a_name_that_is_not_typed_or_typed_wrongly_changes_nothing(web: Web) -> None:
    admin = await web.admin()
    for action, fields, typed, _command in cases(web):
        if not typed:
            continue
        for wrong in ("", "x", typed.upper(), typed[:-1]):
            answer = await admin.post(f"/actions/{action}", {**fields, "typed": wrong, "confirmed": "yes"})
            assert answer.status == 400 and "type the name" in answer.text.lower()
    assert not performed(web)


async def test_what_would_be_refused_has_no_button_and_is_not_done(web: Web) -> None:
    admin = await web.admin()
    web.node.refusal = "It is the only node."
    page = await admin.get(f"/actions/drain?node={CELLAR}")
    assert page.status == 200 and "It is the only node." in page.text and 'name="confirmed"' not in page.text
    done = await admin.post("/actions/drain", {"node": CELLAR, "typed": "cellar", "confirmed": "yes"})
    assert done.status == 400
    token = await web.token("admin")
    found = await token.send("/api/v1/actions/drain", {"node": CELLAR, "typed": "cellar"})
    assert found.status == 409 and "only node" in found.json["error"]
    assert not performed(web)


async def test_programs_do_the_same_with_json_and_can_only_look(web: Web) -> None:
    token = await web.token("admin")
    for action, fields, typed, command in cases(web):
        web.node.told.clear()
        look = await token.send(f"/api/v1/actions/{action}", {**fields, "dry_run": True})
        assert look.status == 200 and look.json["typed_name"] == typed and not performed(web)
        if typed:
            assert (await token.send(f"/api/v1/actions/{action}", fields)).status == 409
        done = await token.send(f"/api/v1/actions/{action}", {**fields, "typed": typed})
        assert done.status == 200 and done.json["done"], done.text
        assert performed(web) == [command]


@pytest.mark.parametrize(
    ("action", "fields", "status"),
    [
        ("dance", {}, 404),
        ("stop", {"node": "nobody"}, 404),
        ("stop", {}, 404),
        ("stop", {"node": ATTIC, "away_minutes": "soon"}, 400),
        ("capacity", {"node": ATTIC, "capacity": "lots"}, 400),
        ("capacity", {"node": ATTIC, "capacity": "-5"}, 400),
        ("capacity", {"node": ATTIC, "capacity": "999999999 PB"}, 400),
        ("scrub", {"node": ATTIC, "do": "dance"}, 400),
        ("remove", {"source": "bafynothere"}, 404),
    ],
)
async def test_what_makes_no_sense_is_refused_by_name(
    web: Web, action: str, fields: dict[str, str], status: int
) -> None:
    admin = await web.admin()
    page = await admin.post(f"/actions/{action}", {**fields, "confirmed": "yes"})
    assert page.status == status and "<h1" in page.text
    token = await web.token("admin")
    found = await token.send(f"/api/v1/actions/{action}", fields)
    assert found.status == status and found.json["error"]
    assert not performed(web)


async def test_hostile_names_stay_text_on_the_way_to_a_change(web: Web) -> None:
    evil = '"><script>alert(1)</script>'
    assert web.node.now is not None
    web.node.now = replace(web.node.now, sources=(source(0, (ATTIC, CELLAR), name=evil),))
    admin = await web.admin()
    page = await admin.get(f"/actions/remove?source={first_root(web)}&back=javascript:alert(1)")
    assert "<script>alert" not in page.text and "javascript:" not in page.text
    assert "&lt;script&gt;" in page.text
    done = await admin.post("/actions/remove", {"source": first_root(web), "typed": evil, "confirmed": "yes"})
    assert done.status == 303
    assert "<script>alert" not in (await admin.get("/dashboard")).text


async def test_who_did_what_stands_in_the_event_log(web: Web) -> None:
    admin, token = await web.admin(), await web.token("admin")
    await admin.post("/actions/undrain", {"node": CELLAR, "confirmed": "yes"})
    await token.send("/api/v1/actions/undrain", {"node": CELLAR})
    assert web.node.notes[-2:] == [
        "admin at 127.0.0.1: cellar takes its share again",
        "the token tadmin at 127.0.0.1: cellar takes its share again",
    ]


async def test_two_nodes_of_one_name_have_to_be_told_apart(web: Web) -> None:
    assert web.node.now is not None
    web.node.now = replace(web.node.now, nodes=tuple(replace(n, name="twin") for n in web.node.now.nodes))
    admin = await web.admin()
    page = await admin.get("/actions/drain?node=twin")
    assert page.status == 400 and "say which by its id" in page.text
    assert (await admin.get(f"/actions/drain?node={CELLAR}")).status == 200
