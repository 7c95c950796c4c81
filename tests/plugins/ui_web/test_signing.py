"""Signing in by link, by password and by token; what ends a session; where the page listens before and after."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from page_client import Client, Web, signed_in

from ralnode.api import ConfigError, NotFoundError, RefusedError, UsageError
from ralnode_ui_web import hashing
from ralnode_ui_web.accounts import Accounts
from ralnode_ui_web.bounds import CONNECTIONS_PER_ADDRESS_MAX, LINK_SECONDS, LINKS_MAX, SESSIONS_MAX, TOKENS_MAX
from ralnode_ui_web.limiter import Limiter, group_of
from ralnode_ui_web.sessions import Sessions

PASSWORD = "correct horse"


async def with_password(web: Web, role: str = "admin") -> Client:
    await web.ui.administer("password", {"role": role, "password": PASSWORD})
    made = web.client()
    await made.get("/sign-in")
    return made


async def test_a_link_signs_in_as_admin_once(web: Web) -> None:
    link = (await web.ui.administer("link", {}))["link"]
    admin = await signed_in(web.client(), link)
    assert (await admin.get("/account")).status == 200
    assert (await admin.get("/api/v1/me")).json["role"] == "admin"
    second = web.client()
    await second.get("/sign-in/link?code=x")
    code = link.partition("code=")[2]
    found = await second.post("/sign-in/link", {"code": code})
    assert found.status == 401 and "used already" in found.text
    assert (await second.get("/account")).status == 303


async def test_a_look_at_a_link_does_not_use_it_up(web: Web) -> None:
    link = (await web.ui.administer("link", {}))["link"]
    for _ in range(3):
        assert (await web.client().get(link.partition(str(web.port))[2])).status == 200
    await signed_in(web.client(), link)


async def test_a_link_needs_the_token_of_the_page_that_shows_it(web: Web) -> None:
    link = (await web.ui.administer("link", {}))["link"]
    victim = web.client()
    await victim.get("/sign-in")
    victim.csrf = "0" * 64
    assert (await victim.post("/sign-in/link", {"code": link.partition("code=")[2]})).status == 403
    await signed_in(web.client(), link)


async def test_a_link_is_too_old_after_15_minutes_and_only_its_hash_is_kept(tmp_path: Path) -> None:
    now = [1_000_000]
    accounts = Accounts(tmp_path, lambda: now[0])
    accounts.load()
    old, fresh = await accounts.new_link(), await accounts.new_link()
    assert old not in (tmp_path / "page.json").read_text()
    now[0] += LINK_SECONDS * 1000 - 1
    assert await accounts.use_link(fresh)
    now[0] += 1
    assert not await accounts.use_link(old)
    links = [await accounts.new_link() for _ in range(LINKS_MAX + 1)]
    assert not await accounts.use_link(links[0])
    again = Accounts(tmp_path, lambda: now[0])
    again.load()
    assert await again.use_link(links[-1])


async def test_a_password_signs_in_and_a_wrong_one_does_not(web: Web) -> None:
    browser = await with_password(web)
    wrong = await browser.post("/sign-in", {"role": "admin", "password": "correct horsf"})
    assert wrong.status == 401 and "not the password" in wrong.text
    assert (await browser.get("/account")).status == 303
    right = await browser.post("/sign-in", {"role": "admin", "password": PASSWORD, "next": "/account"})
    assert (right.status, right.headers["location"]) == (303, "/account")
    assert (await browser.get("/account")).status == 200
    assert any("failed" in note for note in web.node.notes)
    assert not any(PASSWORD in note for note in web.node.notes)


async def test_the_cookie_is_kept_from_scripts_and_from_other_sites(web: Web) -> None:
    browser = await with_password(web)
    answer = await browser.post("/sign-in", {"role": "admin", "password": PASSWORD})
    (cookie,) = [line for line in answer.cookies if line.startswith(f"ralnode-{web.port}=")]
    assert "; HttpOnly" in cookie and "; SameSite=Strict" in cookie and "; Path=/" in cookie
    assert "Secure" not in cookie  # plain HTTP; test_over_tls has the other


async def test_nobody_is_sent_to_another_site_after_signing_in(web: Web) -> None:
    browser = await with_password(web)
    for where in (
        "//evil.example",
        "https://evil.example/",
        "/\\evil.example",
        "javascript:alert(1)",
        "/x\r\nSet-Cookie: a=b",
    ):
        answer = await browser.post("/sign-in", {"role": "admin", "password": PASSWORD, "next": where})
        if answer.status == 429:
            break
        assert answer.headers["location"] == "/dashboard", where
        await browser.get("/sign-in")


async def test_the_sixth_sign_in_of_a_minute_is_refused_even_with_the_right_password(web: Web) -> None:
    browser = await with_password(web)
    for _ in range(5):
        assert (await browser.post("/sign-in", {"role": "admin", "password": "wrong wrong"})).status == 401
    sixth = await browser.post("/sign-in", {"role": "admin", "password": PASSWORD})
    assert sixth.status == 429 and 0 < int(sixth.headers["retry-after"]) <= 61
    link = (await web.ui.administer("link", {}))["link"]
    await signed_in(web.client(), link)  # whoever owns the machine gets in all the same


def test_sign_ins_are_counted_per_address_and_for_all_and_forgotten_after_a_minute() -> None:
    limiter = Limiter(2, 5)
    assert [limiter.wait_seconds("10.0.0.1", now) for now in (0.0, 1.0)] == [0, 0]
    assert limiter.wait_seconds("10.0.0.1", 10.0) == 50.0
    assert limiter.wait_seconds("::ffff:10.0.0.1", 10.0) == 50.0
    assert not limiter.wait_seconds("2001:db8::1", 10.0) and not limiter.wait_seconds("2001:db8::2", 10.0)
    assert limiter.wait_seconds("2001:db8::3", 10.0) == 60.0  # a network of its own counts as one
    assert not limiter.wait_seconds("10.0.0.2", 11.0)
    assert limiter.wait_seconds("10.0.0.3", 12.0) == 48.0  # all together
    assert not limiter.wait_seconds("10.0.0.1", 60.5)
    assert group_of("fe80::1%eth0") == group_of("fe80::2")


async def test_signing_out_ends_the_session_on_the_server_too(web: Web) -> None:
    admin = await web.admin()
    kept = dict(admin.cookies)
    assert (await admin.post("/sign-out")).status == 303
    admin.cookies = kept
    assert (await admin.get("/account")).status == 303


async def test_a_session_ends_when_it_is_idle_or_old(web: Web) -> None:
    for name in ("used_at", "began_at"):
        admin = await web.admin()
        session = next(reversed(web.ui._door.sessions._open.values()))
        setattr(session, name, getattr(session, name) - 86_401)
        assert (await admin.get("/account")).status == 303, name
        answer = await admin.post("/actions/undrain", {"node": "attic", "confirmed": "yes"})
        assert answer.status in (401, 403)
    assert not web.node.told


def test_there_are_at_most_16_sessions_and_the_one_unused_longest_goes() -> None:
    sessions = Sessions(100.0, 1000.0)
    ids = [sessions.begin("admin", float(n)) for n in range(SESSIONS_MAX)]
    assert sessions.find(ids[0], 50.0)
    sessions.begin("viewer", 51.0)
    assert len(sessions) == SESSIONS_MAX
    assert sessions.find(ids[1], 51.0) is None and sessions.find(ids[0], 51.0)
    assert sessions.find(ids[0], 152.0) is None  # idle
    assert len(sessions) == 0


async def test_a_new_password_ends_the_sessions_of_its_role(web: Web) -> None:
    one, two, viewer = await web.admin(), await web.admin(), await web.viewer()
    answer = await one.post("/account/password", {"role": "admin", "password": PASSWORD, "again": PASSWORD})
    assert answer.status == 303
    assert (await one.get("/account")).status == 200
    assert (await two.get("/account")).status == 303
    assert (await viewer.get("/dashboard")).status == 200
    await web.ui.administer("password", {"role": "viewer", "password": "something else"})
    assert (await viewer.get("/dashboard")).status == 303


async def test_a_password_that_is_short_or_mistyped_changes_nothing(web: Web) -> None:
    admin = await web.admin()
    for password, again, says in (("short", "short", "at least 8"), (PASSWORD, PASSWORD + "x", "differ")):
        answer = await admin.post("/account/password", {"role": "admin", "password": password, "again": again})
        assert answer.status == 400 and says in answer.text
    bad_role = await admin.post("/account/password", {"role": "root", "password": PASSWORD, "again": PASSWORD})
    assert bad_role.status == 400
    assert not web.ui._accounts.roles
    with pytest.raises(UsageError):
        await web.ui.administer("password", {"role": "admin", "password": "x" * 2000})


async def test_tokens_may_do_what_their_scopes_say(web: Web) -> None:
    view, add, metrics, admin = [await web.token(scope) for scope in ("view", "add", "metrics", "admin")]
    asked = "/api/v1/actions/undrain", {"node": "attic"}
    assert [(await each.get("/api/v1/status")).status for each in (view, add, metrics, admin)] == [200, 403, 403, 200]
    assert [(await each.send(*asked)).status for each in (view, add, metrics, admin)] == [403, 403, 403, 200]
    assert [t.name for t in web.node.changes_told] == ["drain"]
    put = "/api/v1/upload?name=film"
    assert [(await each.ask("PUT", put, b"data")).status for each in (view, add, metrics)] == [403, 201, 403]


async def test_a_token_that_is_wrong_expired_or_removed_is_refused(web: Web) -> None:
    for secret in ("ral_x", "", "é", "ral_" + "x" * 5000):
        assert (await Client(web.port, secret or " ").get("/api/v1/status")).status in (401, 200 if not secret else 401)
    token = await web.token("view")
    assert (await token.get("/api/v1/status")).status == 200
    (found,) = (await web.ui.administer("show", {}))["tokens"]
    await web.ui.administer("remove_token", {"name": found["id"]})
    answer = await token.get("/api/v1/status")
    assert answer.status == 401 and answer.headers["www-authenticate"].startswith("Bearer")


async def test_tokens_are_bounded_named_expiring_and_kept_as_hashes(tmp_path: Path) -> None:
    now = [0]
    accounts = Accounts(tmp_path, lambda: now[0])
    secret = await accounts.add_token("backup", ("add", "view"), 1)
    assert secret.startswith("ral_") and secret not in (tmp_path / "page.json").read_text()
    assert accounts.token(secret) and accounts.token(secret + "x") is None
    now[0] = 86_400_000
    assert accounts.token(secret) is None
    for name, scopes, days in (("backup", ("view",), 1), ("", ("view",), 1), ("a\nb", ("view",), 1), ("x", (), 1), ("x", ("root",), 1),
                               ("x", ("view",), 0), ("x", ("view",), 99999)):  # fmt: skip
        with pytest.raises(UsageError):
            await accounts.add_token(name, scopes, days)
    for _ in range(TOKENS_MAX - 1):
        accounts._tokens.append(accounts._tokens[0])
    with pytest.raises(RefusedError, match="remove one"):
        await accounts.add_token("one more", ("view",), 1)
    with pytest.raises(NotFoundError):
        await accounts.remove_token("nobody")


async def test_tokens_are_made_and_removed_on_the_page_and_shown_once(web: Web) -> None:
    admin = await web.admin()
    made = await admin.post("/account/tokens", {"name": "backup", "scope": ["view", "add"], "days": "7"})
    secret = made.text.partition("ral_")[2].partition("<")[0].partition('"')[0]
    assert made.status == 200 and len(secret) > 40
    assert secret not in (await admin.get("/account")).text
    assert (await Client(web.port, "ral_" + secret).get("/api/v1/status")).status == 200
    (token,) = web.ui._accounts.tokens
    assert (await admin.post("/account/tokens", {"name": "backup", "scope": "view", "days": "7"})).status == 400
    assert (await admin.post("/account/tokens/remove", {"id": token.id})).status == 303
    assert (await Client(web.port, "ral_" + secret).get("/api/v1/status")).status == 401


async def test_the_file_is_the_owners_alone_and_a_readable_one_is_refused(tmp_path: Path) -> None:
    accounts = Accounts(tmp_path)
    await accounts.set_password("admin", PASSWORD)
    path = tmp_path / "page.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert PASSWORD not in path.read_text()
    again = Accounts(tmp_path)
    again.load()
    assert await again.is_password("admin", PASSWORD) and not await again.is_password("viewer", PASSWORD)
    path.chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        Accounts(tmp_path).load()
    path.chmod(0o600)
    for damage in ("{", "[]", json.dumps({"tokens": [{"id": 1}]}), json.dumps({"passwords": 5})):
        path.write_text(damage)
        with pytest.raises(ConfigError, match="password again"):
            Accounts(tmp_path).load()


def test_passwords_are_hashed_with_scrypt_salt_and_normal_form() -> None:
    one, two = hashing.password_hash("grüße an alle"), hashing.password_hash("grüße an alle")
    assert one["hash"] != two["hash"] and (one["n"], one["r"], one["p"]) == (16384, 8, 5)
    assert hashing.is_password("gru\u0308ße an alle", one)  # the same letters, composed
    assert not hashing.is_password("grüsse an alle", one)
    with pytest.raises(ValueError, match="scrypt"):
        hashing.is_password("x", {**one, "n": 1 << 30})


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers_at(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), 2).close()
    except OSError:
        return False
    return True


async def test_the_page_leaves_this_machine_only_with_a_password(tmp_path: Path) -> None:
    web = Web(tmp_path)
    context = web.ui._context
    web.ui._context = replace(context, settings=replace(context.settings, listen_host="0.0.0.0"))
    await web.ui.start()
    try:
        port = web.port
        assert web.ui.url == f"http://127.0.0.1:{port}/dashboard"
        assert answers_at("127.0.0.1", port) and not answers_at("127.0.0.2", port)
        admin = await web.admin()
        answer = await admin.post("/account/password", {"role": "admin", "password": PASSWORD, "again": PASSWORD})
        assert answer.status == 303
        assert web.ui._moving is not None
        await web.ui._moving
        assert web.port == port and answers_at("127.0.0.2", port)
        assert web.ui.url == f"http://10.0.0.2:{port}/dashboard"
        assert (await admin.get("/account")).status == 200
        assert (await web.client().get("/dashboard")).status == 303  # with a password, looking needs it too
        await web.ui.administer("remove_password", {"role": "admin"})
        assert not answers_at("127.0.0.2", port) and answers_at("127.0.0.1", port)
    finally:
        await web.ui.stop()


async def test_a_page_told_to_listen_elsewhere_without_a_password_shows_nothing_there(tmp_path: Path) -> None:
    web = Web(tmp_path, listen_host="0.0.0.0")
    await web.ui.start()
    try:
        assert answers_at("127.0.0.2", web.port)
        assert (await web.client().get("/dashboard")).status == 200
        far = await web.client().get("/dashboard", X_Forwarded_For="192.168.1.9")
        assert far.status == 303 and far.headers["location"].startswith("/sign-in")
    finally:
        await web.ui.stop()


@pytest.mark.skipif(os.system("openssl version >/dev/null 2>&1") != 0, reason="openssl is not installed")
async def test_over_tls_the_cookie_stays_with_tls(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = f"openssl req -x509 -newkey ed25519 -nodes -subj /CN=attic -days 2 -keyout {key} -out {certificate}"
    assert os.system(f"{command} >/dev/null 2>&1") == 0
    web = Web(tmp_path, tls_certificate=certificate, tls_key=key)
    await web.ui.start()
    try:
        assert web.ui.url.startswith("https://")
        cookie = web.ui._door.sign_in({"type": "http", "scheme": "https", "headers": []}, "admin")
        assert cookie.startswith(f"__Host-ralnode-{web.port}=") and "; Secure" in cookie
    finally:
        await web.ui.stop()
    broken = Web(tmp_path, tls_certificate=key, tls_key=key)
    with pytest.raises(ConfigError, match="tls_certificate"):
        await broken.ui.start()


async def test_a_live_page_ends_with_its_session(tmp_path: Path) -> None:
    web = Web(tmp_path, view_without_sign_in="never")
    await web.ui.start()
    try:
        admin = await web.admin()
        cookies = "; ".join(f"{name}={value}" for name, value in admin.cookies.items())
        reader, writer = await asyncio.open_connection("127.0.0.1", web.port)
        writer.write(f"GET /dashboard/live HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {cookies}\r\n\r\n".encode())
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        await reader.readuntil(b"event: ")
        assert (await admin.post("/sign-out")).status == 303
        assert web.node.now is not None
        for number in range(200):
            web.node.tell(replace(web.node.now, sentence=f"sentence {number}"))
            try:
                rest = await asyncio.wait_for(reader.readuntil(b"0\r\n\r\n"), 0.3)
                break
            except TimeoutError:
                continue
        assert b"sentence" not in rest
        writer.close()
    finally:
        await web.ui.stop()


async def test_links_are_not_tried_without_end_and_do_not_fill_the_event_log(web: Web) -> None:
    client = web.client()
    await client.get("/sign-in/link?code=x")
    found = [(await client.post("/sign-in/link", {"code": f"guess {n}"})).status for n in range(25)]
    assert found == [401] * 20 + [429] * 5
    assert len([note for note in web.node.notes if "one-time link" in note]) <= 3


async def test_one_address_cannot_take_all_connections(web: Web) -> None:
    open_ones = [
        await asyncio.open_connection("127.0.0.1", web.port, local_addr=("127.0.0.2", 0))
        for _ in range(CONNECTIONS_PER_ADDRESS_MAX)
    ]
    reader, writer = await asyncio.open_connection("127.0.0.1", web.port, local_addr=("127.0.0.2", 0))
    with contextlib.suppress(ConnectionResetError):
        assert await asyncio.wait_for(reader.read(), 5) == b""
    assert (await web.client().get("/healthz")).status == 200
    for _reader, each in [*open_ones, (reader, writer)]:
        each.close()
