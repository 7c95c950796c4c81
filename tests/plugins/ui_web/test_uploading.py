"""Uploads raw and by form: bytes arrive whole, what does not fit is refused with its reason, what was cut off goes on."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator

import pytest
from page_client import Client, Web

from ralnode.api import UsageError
from ralnode_ui_web import uploading
from ralnode_ui_web.multipart import MultipartReader, boundary_of

DATA = random.Random(1).randbytes(300_000)
BOUNDARY = "----x"


def form(*parts: tuple[str, str | None, bytes], boundary: str = BOUNDARY) -> bytes:
    """(name, file name, content)"""
    lines = b""
    for name, filename, content in parts:
        more = "" if filename is None else f'; filename="{filename}"\r\nContent-Type: application/octet-stream'
        lines += (
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + content + b"\r\n"
        )
    return lines + f"--{boundary}--\r\n".encode()


async def send_form(client: Client, *parts: tuple[str, str | None, bytes], accept: str = "text/html") -> object:
    return await client.ask(
        "POST", "/actions/upload", form(*parts), Origin=client.origin, Accept=accept,
        Content_Type=f"multipart/form-data; boundary={BOUNDARY}",
    )  # fmt: skip


async def put(client: Client, query: str, data: bytes) -> object:
    headers = {"Origin": client.origin, "X_CSRF_Token": client.csrf} if client.csrf else {}
    return await client.ask("PUT", f"/actions/upload?{query}", data, **headers)


async def test_a_form_adds_a_file_and_says_so(web: Web) -> None:
    admin = await web.admin()
    for size in (0, 1, 100, 65_535, 300_000):
        parts = (
            ("csrf_token", None, admin.csrf.encode()),
            ("copies", None, b"3"),
            ("file", 'fi;lm "1".mp4'.replace('"', "%22"), DATA[:size]),
        )
        answer = await send_form(admin, *parts)
        assert (answer.status, answer.headers["location"]) == (303, "/dashboard"), answer.text
        content, data = web.node.added[-1]
        assert (content.name, content.size_bytes, content.copies, data) == ('fi;lm "1".mp4', size, 3, DATA[:size])
    assert "Added fi;lm" in (await admin.get("/dashboard")).text


async def test_a_form_whose_token_is_missing_wrong_or_comes_too_late_adds_nothing(web: Web) -> None:
    admin = await web.admin()
    file = ("file", "film", DATA)
    token = ("csrf_token", None, admin.csrf.encode())
    for parts in (
        (file,),
        (file, token),
        (("csrf_token", None, b"0" * 64), file),
        (("csrf_token", "x", admin.csrf.encode()), file),
    ):
        answer = await send_form(admin, *parts)
        assert answer.status == 403
    assert not web.node.added
    answer = await admin.ask("POST", "/actions/upload", form(token, file), Origin="http://evil.example",
                             Content_Type=f"multipart/form-data; boundary={BOUNDARY}")  # fmt: skip
    assert answer.status == 403 and not web.node.added


async def test_a_form_of_several_files_adds_nothing_and_says_why(web: Web) -> None:
    admin = await web.admin()
    token = ("csrf_token", None, admin.csrf.encode())
    answer = await send_form(admin, token, ("file", "a", b"one"), ("file", "b", b"two"))
    assert answer.status == 400 and "one file at a time" in answer.text
    assert not web.node.added
    nothing = await send_form(admin, token, ("file", "", b""))
    assert nothing.status == 400 and "no file was chosen" in nothing.text


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("multipart/form-data", form(), 400),
        ("multipart/form-data; boundary=" + "x" * 300, b"", 400),
        ("text/plain", b"x", 400),
        (f"multipart/form-data; boundary={BOUNDARY}", b"no boundary at all", 400),
        (f"multipart/form-data; boundary={BOUNDARY}", b"------x\r\n" + b"A: b\r\n" * 5000, 400),
        (f"multipart/form-data; boundary={BOUNDARY}", b"------x\r\nA: b\r\n\r\nx", 400),
        (f"multipart/form-data; boundary={BOUNDARY}", form(*[(f"f{n}", None, b"x") for n in range(30)]), 400),
        (f"multipart/form-data; boundary={BOUNDARY}", form(("a", None, b"x" * 10_000)), 400),
    ],
)
async def test_a_malformed_form_is_refused(web: Web, kind: str, body: bytes, status: int) -> None:
    admin = await web.admin()
    answer = await admin.ask(
        "POST", "/actions/upload", body, Origin=admin.origin, X_CSRF_Token=admin.csrf, Content_Type=kind
    )
    assert answer.status == status, answer.text
    assert not web.node.added


async def test_raw_bytes_are_added_under_the_name_alone(web: Web) -> None:
    admin, token = await web.admin(), await web.token("add")
    for client in (admin, token):
        answer = await put(client, "name=..%2F..%2Fetc%2Fpasswd&copies=1", DATA)
        assert answer.status == 201 and answer.json["name"] == "passwd"
        content, data = web.node.added[-1]
        assert (content.size_bytes, content.copies, data) == (len(DATA), 1, DATA)
    assert (await put(token, "name=a%0Ab%00c", b"x")).json["name"] == "a_b_c"


async def test_what_does_not_fit_is_refused_with_its_reason_although_it_was_sent(web: Web) -> None:
    admin = await web.admin()
    web.node.room_bytes = 1000
    answer = await put(admin, "name=film", DATA)
    assert (
        answer.status == 507 and "does not fit" in answer.json["error"]
        if answer.headers["content-type"].startswith("application/json")
        else "does not fit" in answer.text
    )
    token = ("csrf_token", None, admin.csrf.encode())
    assert (await send_form(admin, token, ("file", "film", DATA))).status == 507
    assert not web.node.added


async def test_what_does_not_fit_can_be_known_before_it_is_sent(web: Web) -> None:
    admin = await web.admin()
    web.node.room_bytes = 1000
    assert (await admin.get("/actions/upload?name=film&size=1000")).json == {"offset": 0, "refusal": ""}
    refusal = (await admin.get("/actions/upload?name=film&size=1001")).json["refusal"]
    assert "film does not fit: it needs 1.0 kB, and attic has 1.0 kB free" in refusal
    web.node.partial[("film", 1500, 5_000_000)] = 600
    assert (await admin.get("/actions/upload?name=film&size=1500&mtime_ms=5")).json == {"offset": 600, "refusal": ""}


async def test_an_upload_that_was_cut_off_goes_on_where_it_stopped(web: Web) -> None:
    admin = await web.admin()
    web.node.partial[("film", len(DATA), 1_700_000_000_000_000_000)] = 262_144
    query = f"name=film&size={len(DATA)}&mtime_ms=1700000000000"
    offset = (await admin.get(f"/actions/upload?{query}")).json["offset"]
    assert offset == 262_144
    assert (await put(admin, f"{query}&offset={offset}", DATA[offset:])).status == 201
    content, data = web.node.added[-1]
    assert (content.offset, content.size_bytes, data) == (offset, len(DATA), DATA[offset:])
    assert content.origin and content.mtime_ns == 1_700_000_000_000_000_000
    other = await admin.get(f"/actions/upload?name=film&size={len(DATA)}&mtime_ms=1700000000001")
    assert other.json["offset"] == 0


@pytest.mark.parametrize(
    "query", ["name=x&size=many", "name=x&offset=-1", "name=x&copies=one", "name=x&mtime_ms=" + "9" * 30]
)
async def test_numbers_that_are_none_are_refused(web: Web, query: str) -> None:
    assert (await put(await web.admin(), query, b"x")).status == 400
    assert not web.node.added


async def test_an_upload_without_a_length_or_with_too_many_others_is_refused(web: Web) -> None:
    admin = await web.admin()
    head = (
        f"PUT /actions/upload?name=x HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://127.0.0.1\r\n"
        f"X-CSRF-Token: {admin.csrf}\r\nCookie: {'; '.join(f'{k}={v}' for k, v in admin.cookies.items())}\r\n"
        "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", web.port)
    writer.write(head.encode())
    assert (await reader.readline()).startswith(b"HTTP/1.1 411")
    writer.close()


async def test_an_upload_that_stalls_or_hangs_up_publishes_nothing(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploading, "UPLOAD_STALL_SECONDS", 0.2)
    admin = await web.admin()
    head = (
        f"PUT /actions/upload?name=x HTTP/1.1\r\nHost: 127.0.0.1:{web.port}\r\nOrigin: {admin.origin}\r\n"
        f"X-CSRF-Token: {admin.csrf}\r\nCookie: {'; '.join(f'{k}={v}' for k, v in admin.cookies.items())}\r\n"
        "Accept: application/json\r\nContent-Length: 1000\r\n\r\nonly a little"
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", web.port)
    writer.write(head.encode())
    assert (await reader.readline()).startswith(b"HTTP/1.1 400")
    assert b"nothing came" in await reader.read(4000)
    writer.close()
    _reader, writer = await asyncio.open_connection("127.0.0.1", web.port)
    writer.write(head.encode())
    await writer.drain()
    writer.close()
    assert (await put(admin, "name=after", b"x")).status == 201
    assert [content.name for content, _data in web.node.added] == ["after"]


def pieces_of(data: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def _stream(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


@pytest.mark.parametrize("piece_bytes", [1, 2, 3, 7, 64, 5000])
async def test_a_form_is_read_the_same_however_it_is_cut(piece_bytes: int) -> None:
    tricky = b"\r\n------\r\n------y\r\n" + b"\r\n-" * 30 + b"----x"
    body = form(("csrf_token", None, b"secret"), ("file", "film", tricky))
    reader = MultipartReader(_stream(pieces_of(body, piece_bytes)), b"----x")
    first = await reader.next_part()
    assert first is not None and (first.name, first.filename, await reader.text()) == ("csrf_token", None, "secret")
    second = await reader.next_part()
    assert second is not None and second.filename == "film"
    assert reader.rest_of(len(body)) == len(tricky)
    assert b"".join([piece async for piece in reader.read()]) == tricky
    assert await reader.next_part() is None


async def test_every_cut_off_form_is_noticed() -> None:
    body = form(("a", None, b"1"), ("file", "film", b"x" * 50))
    for length in range(len(body) - 4):
        reader = MultipartReader(_stream(pieces_of(body[:length], 11)), b"----x")
        with pytest.raises(UsageError, match="cut off"):
            while await reader.next_part() is not None:
                pass


def test_boundaries_are_found_quoted_or_not() -> None:
    assert boundary_of('multipart/form-data; boundary="a b"') == b"a b"
    assert boundary_of("multipart/form-data; charset=x; boundary=abc") == b"abc"
    with pytest.raises(UsageError):
        boundary_of("multipart/mixed; boundary=abc")
