"""The five calls, states, filters and refusals of the Pinning Service API."""

import asyncio
import sqlite3
from urllib.parse import quote, urlencode

import pytest

from ralnode.api import ConfigError, StorageFullError, UnavailableError, httpserver
from ralnode.dag import cid as cids
from ralnode_gateway_pinning import app
from ralnode_gateway_pinning.server import BOOK_FILE

from_text = cids.parse
A, B, C = (cids.to_text(cids.make(cids.RAW, text)) for text in (b"a", b"b", b"c"))
FOLDER_V0 = "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn"


async def test_a_pin_is_accepted_pulled_and_pinned(service, node) -> None:
    node.gate.clear()
    status, accepted = await service.ask("POST", "/pins", {"cid": A, "name": "letter", "meta": {"app": "desk"}})
    assert status == 202
    assert accepted["status"] == "queued"
    assert accepted["pin"] == {"cid": A, "name": "letter", "origins": [], "meta": {"app": "desk"}}
    assert accepted["created"].endswith("Z")
    (delegate,) = accepted["delegates"]
    assert delegate.startswith("/ip4/127.0.0.1/tcp/") and delegate.endswith(f"/p2p/{cids.peer_id(node.me.id)}")
    await service.until(accepted["requestid"], "pinning")
    node.gate.set()
    pinned = await service.until(accepted["requestid"], "pinned")
    assert {**pinned, "status": "", "info": {}} == {**accepted, "status": "", "info": {}}
    assert [(source.name, cids.to_text(source.root)) for source in node.known] == [("letter", A)]


async def test_only_so_many_are_pulled_at_once(service, node) -> None:
    node.gate.clear()
    ids = [await service.pin(cids.to_text(cids.make(cids.RAW, b"%d" % n))) for n in range(5)]
    for request_id in ids[:2]:
        await service.until(request_id, "pinning")
    assert len(node.pulled) == 2
    assert (await service.ask("GET", f"/pins/{ids[4]}"))[1]["status"] == "queued"
    node.gate.set()
    for request_id in ids:
        await service.until(request_id, "pinned")


async def test_what_the_cluster_has_already_is_pinned_at_once_and_stays_when_the_pin_goes(service, node) -> None:
    await node.pull("", from_text(A), "mine")
    node.pulled.clear()
    request_id = await service.pin(A)
    await service.until(request_id, "pinned")
    assert not node.pulled
    assert (await service.ask("DELETE", f"/pins/{request_id}"))[0] == 202
    assert not node.removed


async def test_a_removed_pin_takes_its_content_along_when_nobody_else_wants_it(service, node) -> None:
    first, second = await service.pin(A), None
    await service.until(first, "pinned")
    second = await service.pin(A, name="again")
    await service.until(second, "pinned")
    assert (await service.ask("DELETE", f"/pins/{first}"))[0] == 202
    assert not node.removed
    assert (await service.ask("GET", f"/pins/{first}"))[0] == 404
    assert (await service.ask("DELETE", f"/pins/{second}"))[0] == 202
    assert node.removed == [A]


async def test_removing_a_pin_ends_its_pull(service, node) -> None:
    node.gate.clear()
    request_id = await service.pin(A)
    await service.until(request_id, "pinning")
    assert (await service.ask("DELETE", f"/pins/{request_id}"))[0] == 202
    node.gate.set()
    await asyncio.sleep(0.05)
    assert not node.known and not node.removed


async def test_a_pin_is_replaced(service, node) -> None:
    old = await service.pin(A)
    await service.until(old, "pinned")
    status, new = await service.ask("POST", f"/pins/{old}", {"cid": B})
    assert status == 202 and new["requestid"] != old
    await service.until(new["requestid"], "pinned")
    assert (await service.ask("GET", f"/pins/{old}"))[0] == 404
    assert node.removed == [A]


async def test_places_are_asked_in_turn_until_one_has_it(service, node, quick) -> None:
    node.trouble = lambda url: UnavailableError("not there") if "10.0.0.5" in url else None
    request_id = await service.pin(A, origins=["/ip4/10.0.0.5/tcp/8080/http/p2p/12D3x", "/ip4/10.0.0.6/tcp/4001"])
    await service.until(request_id, "pinned")
    assert [url for url, _ in node.pulled] == ["http://10.0.0.5:8080", "http://192.0.2.7:8080"]


async def test_what_is_nowhere_now_is_looked_for_again(service, node, quick) -> None:
    tries = iter([True, True, False])
    node.trouble = lambda _url: UnavailableError("nobody has it") if next(tries) else None
    found = await service.until(await service.pin(A), "pinned")
    assert len(node.pulled) == 3
    assert found["info"] == {}


async def test_what_does_not_fit_has_failed_and_says_why(service, node) -> None:
    node.trouble = lambda _url: StorageFullError("no room for 5 GB")
    found = await service.until(await service.pin(A), "failed")
    assert "no room for 5 GB" in found["info"]["status_details"]


async def test_unfinished_pins_go_on_after_a_restart(service, node, again) -> None:
    node.gate.clear()
    request_id = await service.pin(A)
    await service.until(request_id, "pinning")
    await service.gateway.stop()
    node.gate.set()
    other = again()
    await other.gateway.start()
    try:
        await other.until(request_id, "pinned")
        assert other.token == service.token
    finally:
        await other.gateway.stop()


class TestListing:
    @pytest.fixture(autouse=True)
    async def three(self, service, node) -> list[str]:
        node.trouble = lambda _url: None
        ids = []
        for cid, name, meta in ((A, "Summer", {"app": "x"}), (FOLDER_V0, "summer house", {"app": "y"}), (C, "", {})):
            ids.append(await service.pin(cid, name=name, meta=meta))
            await service.until(ids[-1], "pinned")
            await asyncio.sleep(0.003)  # their times differ
        return ids

    @pytest.mark.parametrize(("query", "names"), [
        ({}, ["", "summer house", "Summer"]),
        ({"limit": "2"}, ["", "summer house"]),
        ({"name": "Summer"}, ["Summer"]),
        ({"name": "summer", "match": "iexact"}, ["Summer"]),
        ({"name": "summer", "match": "partial"}, ["summer house"]),
        ({"name": "SUMMER", "match": "ipartial"}, ["summer house", "Summer"]),
        ({"cid": f"{A},{C}"}, ["", "Summer"]),
        ({"cid": cids.to_text(cids.to_key(cids.parse(FOLDER_V0)))}, ["summer house"]),
        ({"meta": '{"app":"y"}'}, ["summer house"]),
        ({"meta": '{"app":"z"}'}, []),
        ({"status": "queued,pinning,failed"}, []),
        ({"status": "failed,pinned"}, ["", "summer house", "Summer"]),
        ({"before": "2020-01-01T00:00:00Z"}, []),
        ({"after": "2020-01-01T00:00:00+02:00"}, ["", "summer house", "Summer"]),
    ])  # fmt: skip
    async def test_filters(self, service, query, names) -> None:
        status, found = await service.ask("GET", "/pins?" + urlencode(query))
        assert status == 200
        assert [each["pin"]["name"] for each in found["results"]] == names
        assert found["count"] == (3 if "limit" in query else len(names))

    async def test_pages_by_time(self, service) -> None:
        _, first = await service.ask("GET", "/pins?limit=1")
        _, second = await service.ask("GET", f"/pins?limit=1&before={quote(first['results'][0]['created'])}")
        assert (first["count"], second["count"]) == (3, 2)
        assert [found["results"][0]["pin"]["name"] for found in (first, second)] == ["", "summer house"]

    @pytest.mark.parametrize("query", [
        "limit=0", "limit=1001", "limit=x", "status=lost", "match=like&name=x", "before=yesterday", "cid=nonsense", "meta=[]",
        "meta={", "cid=" + ",".join([A] * 11),
    ])  # fmt: skip
    async def test_nonsense_is_refused(self, service, query) -> None:
        status, found = await service.ask("GET", f"/pins?{query}")
        assert (status, found["error"]["reason"]) == (400, "BAD_REQUEST")
        assert found["error"]["details"]


class TestRefusals:
    @pytest.mark.parametrize(("method", "target"), [
        ("GET", "/pins"), ("POST", "/pins"), ("GET", "/pins/x"), ("POST", "/pins/x"), ("DELETE", "/pins/x"),
    ])  # fmt: skip
    async def test_nobody_without_the_token(self, service, node, method, target) -> None:
        for token in ("", "x", service.token[:-1]):
            status, found = await service.ask(method, target, {"cid": A}, token=token)
            assert (status, found["error"]["reason"]) == (401, "UNAUTHORIZED")
        assert not node.pulled

    async def test_guessing_is_slowed_down(self, service) -> None:
        for _ in range(10):
            assert (await service.ask("GET", "/pins", token="guess"))[0] == 401
        assert (await service.ask("GET", "/pins"))[0] == 401, "also who knows it waits a minute now"

    @pytest.mark.parametrize("body", [
        b"{", b"[]", b"{}", {"cid": 7}, {"cid": "x"}, {"cid": A, "name": "x" * 256}, {"cid": A, "name": "a\x1b[2J"},
        {"cid": A, "origins": "x"}, {"cid": A, "origins": ["x"] * 21}, {"cid": A, "meta": {"a": 1}}, {"cid": A, "meta": []},
        {"cid": "bafyreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"}, b"[" * 100_000, b" " * 70_000,
    ])  # fmt: skip
    async def test_bad_bodies(self, service, node, body) -> None:
        status, found = await service.ask("POST", "/pins", body)
        assert (status, found["error"]["reason"]) == (400, "BAD_REQUEST")
        assert not node.pulled

    async def test_heads_and_bodies_are_bounded_in_size_and_time(self, service, monkeypatch) -> None:
        monkeypatch.setattr(httpserver, "HEAD_SECONDS_MAX", 0.2)
        monkeypatch.setattr(app, "BODY_SECONDS_MAX", 0.2)
        start = b"POST /pins HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + service.token.encode()
        assert await service.raw(b"GET /pins HTTP/1.1\r\nHost: x") == b""
        assert await service.raw(b"") == b""
        assert (await service.raw(start + b"\r\nX: " + b"x" * 20_000)).startswith(b"HTTP/1.1 431")
        slow = await service.raw(start + b"\r\nContent-Length: 100\r\nConnection: close\r\n\r\n{")
        assert slow.startswith(b"HTTP/1.1 400") and b"the body took more than" in slow

    async def test_what_is_not_there(self, service) -> None:
        for method, target in (("GET", "/pins/nobody"), ("DELETE", "/pins/nobody"), ("GET", "/"), ("PUT", "/pins")):
            status, found = await service.ask(method, target)
            assert (status, found["error"]["reason"]) == (404, "NOT_FOUND")

    async def test_the_number_of_pins_is_bounded(self, node, again) -> None:
        service = again(pins_max=2)
        await service.gateway.start()
        try:
            ids = [await service.pin(cid) for cid in (A, B)]
            assert (await service.ask("POST", "/pins", {"cid": C}))[1]["error"]["reason"] == "INSUFFICIENT_FUNDS"
            assert (await service.ask("POST", f"/pins/{ids[0]}", {"cid": C}))[0] == 202, "one goes, one comes"
        finally:
            await service.gateway.stop()


async def test_the_token_and_the_book_are_for_this_user_only(service, tmp_path) -> None:
    for path in (service.gateway.token_path, tmp_path / BOOK_FILE):
        assert path.stat().st_mode & 0o777 == 0o600
    service.gateway.token_path.chmod(0o644)
    await service.gateway.stop()
    with pytest.raises(ConfigError, match="chmod 600"):
        await service.gateway.start()


async def test_an_accepted_pin_is_on_the_disk(service, node, tmp_path) -> None:
    node.gate.clear()
    request_id = await service.pin(A)
    with sqlite3.connect(tmp_path / BOOK_FILE) as other:
        assert other.execute("SELECT request_id FROM pins").fetchall() == [(request_id,)]
    other.close()


@pytest.mark.parametrize("changed", [
    {"port": 70_000}, {"origins": "all"}, {"pulls_max": 0}, {"token_file": "/nowhere/token"},
])  # fmt: skip
async def test_options_that_cannot_be_are_refused(again, changed) -> None:
    with pytest.raises(ConfigError, match=next(iter(changed))):
        await again(**changed).gateway.start()
