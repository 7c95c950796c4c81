"""What never gets past the guard: foreign names, foreign pages, missing tokens, missing rights, too much, too slowly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from page_client import Client, Web

from ralnode.api import httpserver
from ralnode_ui_web.guard import HEADERS, needed_scope
from ralnode_ui_web.hosts import Hosts

PUBLIC = {"/healthz", "/readyz", "/sign-in", "/sign-in/link", "/sign-out"}


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "", "evil.example:9080", "localhost.evil.example", "nas.example.evil",
     "user@127.0.0.1", "127.0.0.1/x", "[::1", "evil.example#127.0.0.1", "local host"],
)  # fmt: skip
async def test_foreign_host_names_are_refused_even_for_public_pages(web: Web, host: str) -> None:
    for path in ("/dashboard", "/healthz", "/static/style.css"):
        assert (await web.client().get(path, Host=host)).status == 421


@pytest.mark.parametrize(
    "host",
    ["localhost:9080", "127.0.0.1", "[::1]:9080", "192.168.1.5", "nas.example", "NAS.example:80", "nas.example."],
)
async def test_our_own_host_names_are_answered(web: Web, host: str) -> None:
    assert (await web.client().get("/dashboard", Host=host)).status == 200


def test_this_machine_is_known_by_its_name_with_and_without_its_domain() -> None:
    hosts = Hosts((), "Attic.home.arpa")
    for name in ("attic", "attic.local", "attic.home.arpa", "ATTIC:9080"):
        assert hosts.is_ours(name)
    for name in ("attic.evil.example", "attic.home", "cellar.local"):
        assert not hosts.is_ours(name)


@pytest.mark.parametrize(
    ("origin", "host", "ours"),
    [
        ("http://192.168.1.5:9080", "192.168.1.5:9080", True),
        ("http://192.168.1.6:9080", "192.168.1.5:9080", False),  # a page on another machine of the LAN
        ("http://192.168.1.5:8080", "192.168.1.5:9080", False),  # another service of this machine
        ("http://192.168.1.5", "192.168.1.5:9080", False),
        ("http://localhost", "localhost", True),
        ("https://nas.example", "nas.example", True),  # a proxy that ends TLS
        ("https://nas.example", "127.0.0.1:9080", True),  # and changes the Host, since the owner has named it
        ("null", "localhost", False),
        ("file://", "localhost", False),
        ("http://evil.example", "evil.example", False),
        ("http://localhost.evil.example", "localhost", False),
        ("http://[::1", "[::1]", False),
        ("", "localhost", False),
    ],
)
def test_only_a_page_of_ours_is_an_origin(origin: str, host: str, ours: bool) -> None:
    assert Hosts(("nas.example",), "attic").is_from_us(origin, host, "http") is ours


@pytest.mark.parametrize("method", ["DELETE", "OPTIONS", "PATCH", "TRACE"])
async def test_other_methods_are_refused(web: Web, method: str) -> None:
    assert (await web.client().ask(method, "/dashboard")).status == 405


async def test_every_answer_keeps_the_page_shut(web: Web) -> None:
    for path in ("/dashboard", "/nowhere", "/healthz", "/static/style.css", "/sign-in"):
        found = await web.client().get(path)
        for name, value in HEADERS.items():
            assert found.headers[name.lower()] == value, path
    assert "unsafe" not in HEADERS["Content-Security-Policy"]
    assert (await web.client().get("/dashboard")).headers["cache-control"] == "no-store"


def change(client: Client, **headers: str) -> Any:
    return client.post("/actions/undrain", {"node": "attic", "confirmed": "yes"}, **headers)


async def test_a_change_needs_an_origin_of_ours(web: Web) -> None:
    admin = await web.admin()
    for headers in (
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "", "Referer": "http://evil.example/x"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ):
        assert (await change(admin, **headers)).status == 403, headers
    assert not web.node.changes_told
    assert (await change(admin, Sec_Fetch_Site="same-origin")).status == 303
    assert (await change(admin, Origin="", Referer=f"{admin.origin}/dashboard")).status == 303
    assert len(web.node.changes_told) == 2


async def test_a_change_needs_the_token_of_this_session(web: Web) -> None:
    admin, other = await web.admin(), await web.admin()
    right = admin.csrf
    for wrong in ("", "x", right[:-1], other.csrf, "é" * 20):
        admin.csrf = wrong
        assert (await change(admin)).status == 403, wrong
    assert not web.node.changes_told
    admin.csrf = ""
    assert (await change(admin, X_CSRF_Token=right)).status == 303
    assert (await admin.send("/api/v1/actions/undrain", {"node": "attic"}, Origin=admin.origin)).status == 403
    found = await admin.send("/api/v1/actions/undrain", {"node": "attic"}, Origin=admin.origin, X_CSRF_Token=right)
    assert found.status == 200


async def test_whoever_is_not_signed_in_may_look_on_loopback_but_change_nothing(web: Web) -> None:
    nobody = web.client()
    assert (await nobody.get("/dashboard")).status == 200
    await nobody.get("/sign-in")
    for path in ("/actions/stop", "/account/password", "/account/tokens", "/actions/upload", "/api/v1/actions/stop"):
        assert (await nobody.post(path, {"node": "attic", "confirmed": "yes", "typed": "attic"})).status == 401, path
    assert (await nobody.get("/actions/stop?node=attic")).headers["location"].startswith("/sign-in?next=")
    assert (await nobody.get("/account")).status == 303
    assert not web.node.told


async def test_a_viewer_may_look_and_change_nothing(web: Web) -> None:
    viewer = await web.viewer()
    for path in ("/dashboard", "/api/v1/status", "/metrics"):
        assert (await viewer.get(path)).status == 200, path
    for path in ("/account", "/actions/stop?node=attic", "/actions/upload?name=x&size=1"):
        assert (await viewer.get(path)).status in (303, 403), path
    for path in ("/actions/stop", "/actions/remove", "/account/password", "/account/tokens", "/account/tokens/remove"):
        assert (await viewer.post(path, {"node": "attic", "confirmed": "yes", "typed": "attic"})).status == 403, path
    put = await viewer.ask("PUT", "/actions/upload?name=x", b"x", Origin=viewer.origin, X_CSRF_Token=viewer.csrf)
    assert put.status in (401, 403)
    assert not web.node.told and not web.node.added


@pytest.fixture
async def shut(tmp_path: Path) -> AsyncIterator[Web]:
    made = Web(tmp_path, view_without_sign_in="never")
    await made.ui.start()
    yield made
    await made.ui.stop()


async def test_every_route_that_is_not_named_public_is_shut(shut: Web) -> None:
    nobody = shut.client()
    paths = {route.path for route in shut.ui._site.app._app.routes if hasattr(route, "methods")}
    assert len(paths) > 20
    for path in sorted(paths - PUBLIC - {"/metrics"}):
        asked = path.replace("{root:str}", "bafy").replace("{root}", "bafy").replace("{path:path}", "x")
        asked = asked.replace("{action:str}", "stop").replace("{form}", "json")
        found = await nobody.get(asked)
        assert found.status in (303, 401) and "/sign-in" in found.headers.get("location", "/sign-in"), path
    assert not shut.node.told
    assert needed_scope("GET", "/a/route/of/tomorrow") == "view"
    assert needed_scope("POST", "/a/route/of/tomorrow") == "admin"


async def test_metrics_are_for_this_machine_and_for_tokens(shut: Web) -> None:
    assert (await shut.client().get("/metrics")).status == 200
    assert (await shut.client().get("/metrics", X_Forwarded_For="10.0.0.9")).status == 401
    token = await shut.token("metrics")
    assert (await token.get("/metrics", X_Forwarded_For="10.0.0.9")).status == 200
    assert (await token.get("/api/v1/status")).status == 403


async def test_a_body_that_is_too_large_or_no_form_is_refused(web: Web) -> None:
    admin = await web.admin()
    big = await admin.post("/actions/stop", {"node": "x" * 70_000})
    assert big.status == 413
    odd = {"Origin": admin.origin, "X_CSRF_Token": admin.csrf}
    assert (await admin.ask("POST", "/actions/stop", b"x", Content_Type="text/plain", **odd)).status == 415
    assert (
        await admin.ask("POST", "/api/v1/actions/stop", b"[1]", Content_Type="application/json", **odd)
    ).status == 400
    assert (await admin.ask("POST", "/api/v1/actions/stop", b"{", Content_Type="application/json", **odd)).status == 400
    many = "&".join(f"f{n}=1" for n in range(200)).encode()
    form = "application/x-www-form-urlencoded"
    assert (await admin.ask("POST", "/actions/stop", many, Content_Type=form, **odd)).status == 400
    assert not web.node.told


async def _raw(port: int, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    try:
        return await asyncio.wait_for(reader.read(), 20)
    finally:
        writer.close()


async def test_a_head_that_is_too_large_ends_the_connection(web: Web) -> None:
    head = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + b"X-Filler: " + b"x" * 20_000 + b"\r\n\r\n"
    answer = await _raw(web.port, head)
    assert answer.startswith(b"HTTP/1.1 431")
    assert (await web.client().get("/healthz")).status == 200


async def test_a_client_that_is_too_slow_with_its_head_is_cut_off(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(httpserver, "HEAD_SECONDS_MAX", 0.2)
    assert await _raw(web.port, b"GET /healthz HTTP/1.1\r\nHost: local") == b""
    assert await _raw(web.port, b"") == b""


async def test_hostile_cookies_and_query_texts_are_survived(web: Web) -> None:
    for cookie in ("ralnode", '"', "a=b; =; ;;", f"ralnode-{web.port}=" + "x" * 5000, "\u00e9=1"):
        assert (await web.client().get("/dashboard", Cookie=cookie.encode().decode("latin-1"))).status == 200
    for path in ("/dashboard?q=%00%ff%3Cscript%3E", "/sign-in?next=//evil.example", "/%00", "/static/../options.py"):
        assert (await web.client().get(path)).status in (200, 400, 404)
    body = (await web.client().get("/sign-in/link?code=%22%3E%3Cscript%3Ealert(1)%3C/script%3E")).text
    assert "<script>alert" not in body
