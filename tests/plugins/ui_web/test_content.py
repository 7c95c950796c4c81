"""Downloads: ranges and resuming, names that harm nobody, nothing that a browser would run."""

from __future__ import annotations

import http.client
import io
import tarfile
from collections.abc import AsyncIterator
from dataclasses import replace
from urllib.parse import unquote

import pytest
from page_client import FakeFile, FakeFolder, Web

from ralnode.api import UnavailableError
from ralnode.dag import cid
from ralnode_ui_web.content import disposition, safe_name
from ralnode_ui_web.ranges import Part, UnsatisfiableError, is_known, part_of

DATA = bytes(range(256)) * 40
ROOT = cid.to_text(cid.make(cid.RAW, DATA))


@pytest.fixture
def film(web: Web) -> Web:
    web.node.things[f"/ipfs/{ROOT}"] = FakeFile("film", DATA)
    return web


async def test_a_file_comes_whole_as_an_attachment_that_nothing_runs(film: Web) -> None:
    found = await film.client().get(f"/content/{ROOT}")
    assert (found.status, found.body) == (200, DATA)
    assert found.headers["content-type"] == "application/octet-stream"
    assert found.headers["content-disposition"].startswith("attachment;")
    assert "sandbox" in found.headers["content-security-policy"]
    assert found.headers["x-content-type-options"] == "nosniff"
    assert found.headers["accept-ranges"] == "bytes"
    assert found.headers["etag"] == f'"{ROOT}"'
    assert (await film.client().get(f"/api/v1/content/{ROOT}")).body == DATA


async def test_a_download_that_broke_off_is_resumed(film: Web) -> None:
    client = film.client()
    first = await client.get(f"/content/{ROOT}", Range="bytes=0-999")
    rest = await client.get(f"/content/{ROOT}", Range="bytes=1000-", If_Range=first.headers["etag"])
    assert (first.status, rest.status) == (206, 206)
    assert first.body + rest.body == DATA
    assert rest.headers["content-range"] == f"bytes 1000-{len(DATA) - 1}/{len(DATA)}"
    changed = await client.get(f"/content/{ROOT}", Range="bytes=1000-", If_Range='"another"')
    assert (changed.status, changed.body) == (200, DATA)
    beyond = await client.get(f"/content/{ROOT}", Range=f"bytes={len(DATA)}-")
    assert (beyond.status, beyond.headers["content-range"]) == (416, f"bytes */{len(DATA)}")
    known = await client.get(f"/content/{ROOT}", If_None_Match=first.headers["etag"])
    assert (known.status, known.body) == (304, b"")
    head = await client.ask("HEAD", f"/content/{ROOT}")
    assert (head.status, head.headers["content-length"], head.body) == (200, str(len(DATA)), b"")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None), ("bytes=0-0", Part(0, 1)), ("bytes=5-", Part(5, 10)), ("bytes=-3", Part(7, 10)), ("bytes=-30", Part(0, 10)),
        ("bytes=2-100", Part(2, 10)), ("bytes=5-4", None), ("bytes=0-1,3-4", None), ("bytes=", None), ("bytes=-", None),
        ("lines=1-2", None), ("bytes=a-b", None), ("bytes=1-2-3", None), ("bytes=\u0661-\u0662", None),
    ],
)  # fmt: skip
def test_ranges_are_taken_as_the_rfc_says(header: str | None, expected: Part | None) -> None:
    assert part_of(header, None, '"e"', 10) == expected


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-20", "bytes=-0", "bytes=999999999999999999-"])
def test_ranges_without_a_byte_in_them_are_unsatisfiable(header: str) -> None:
    with pytest.raises(UnsatisfiableError):
        part_of(header, None, '"e"', 10)
    assert part_of(header, '"other"', '"e"', 10) is None


def test_what_is_known_already_is_known_by_any_of_its_tags() -> None:
    assert is_known('W/"e"', '"e"') and is_known('"x", "e"', '"e"') and is_known("*", '"e"')
    assert not is_known(None, '"e"') and not is_known('"ee"', '"e"')


@pytest.mark.parametrize(
    "name",
    ['a".html', "a\r\nSet-Cookie: x=y", "../../etc/passwd", "C:\\x\\y", "\u202egpj.exe", "\x00", "..", "", "x" * 1000, "grüße.txt",
     "\udcff", "a;b=c", "<script>alert(1)</script>.html"],
)  # fmt: skip
def test_hostile_names_become_harmless_file_names(name: str) -> None:
    header = disposition(name)
    header.encode("ascii")
    assert "\r" not in header and "\n" not in header and header.count('"') == 2
    assert header.startswith('attachment; filename="') and "; filename*=UTF-8''" in header
    whole = unquote(header.partition("UTF-8''")[2])
    assert whole == safe_name(name) and whole.isprintable()
    assert not set(whole) & set('/\\:*?"<>|') and whole not in (".", "..") and 0 < len(whole) <= 200


async def test_the_name_of_the_catalogue_is_the_file_name(film: Web) -> None:
    assert film.node.now is not None
    (one, *rest) = film.node.now.sources
    film.node.now = replace(film.node.now, sources=(replace(one, root=ROOT, name="böse\r\n.mp4"), *rest))
    found = await film.client().get(f"/content/{ROOT}")
    assert "filename*=UTF-8''b%C3%B6se__.mp4" in found.headers["content-disposition"]


async def test_what_is_not_there_or_no_cid_is_said_so(film: Web) -> None:
    assert (await film.client().get("/content/film")).status == 400
    other = cid.to_text(cid.make(cid.RAW, b"other"))
    found = await film.client().get(f"/content/{other}")
    assert found.status == 404 and "<h1" in found.text
    assert (await film.client().get(f"/api/v1/content/{other}")).json["exit_code"] == 66


def _folder(web: Web) -> tuple[str, FakeFolder]:
    inner = FakeFolder("inner", {"c": FakeFile("c", b"C" * 600)})
    evil = "<img src=x onerror=alert(1)>"
    top = FakeFolder("album", {"a": FakeFile("a", b"A"), evil: FakeFile(evil, b"E"), "..": FakeFile("..", b"up"), "in": inner, "x/y": FakeFile("x", b"")})  # fmt: skip
    root = cid.to_text(top.cid)
    web.node.things |= {f"/ipfs/{root}": top, f"/ipfs/{root}/in": inner, f"/ipfs/{root}/in/c": inner.children["c"]}  # type: ignore[dict-item]
    return root, top


async def test_a_folder_is_listed_and_its_files_are_fetched_by_path(web: Web) -> None:
    root, _top = _folder(web)
    listed = await web.client().get(f"/content/{root}")
    assert listed.status == 200 and f'href="/content/{root}/in"' in listed.text
    assert "<img src=x" not in listed.text and "&lt;img" in listed.text
    inner = await web.client().get(f"/content/{root}/in")
    assert f'href="/content/{root}"' in inner.text
    found = await web.client().get(f"/content/{root}/in/c")
    assert found.body == b"C" * 600 and 'filename="c"' in found.headers["content-disposition"]


async def test_a_folder_comes_as_a_tar_without_what_leads_out_of_it(web: Web) -> None:
    root, _top = _folder(web)
    found = await web.client().get(f"/content/{root}?format=tar")
    assert found.headers["content-disposition"].endswith(".tar")
    with tarfile.open(fileobj=io.BytesIO(found.body)) as opened:
        names = [member.name.partition("/")[2] for member in opened.getmembers()]
        assert names == ["", "a", "<img src=x onerror=alert(1)>", "in", "in/c"]
        inner = opened.extractfile(opened.getmembers()[-1])
        assert inner is not None and inner.read() == b"C" * 600


class LostFile(FakeFile):
    """Its second half is on a node that has gone."""

    async def read(self, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        yield self.data[: self.size_bytes // 2]
        raise UnavailableError("no live node has the rest")


async def test_a_file_that_cannot_be_read_on_is_cut_off_and_never_taken_for_whole(web: Web) -> None:
    web.node.things[f"/ipfs/{ROOT}"] = LostFile("film", DATA)
    with pytest.raises(http.client.IncompleteRead) as broken:
        await web.client().get(f"/content/{ROOT}")
    assert broken.value.partial == DATA[: len(DATA) // 2]
    assert (await web.client().get("/healthz")).status == 200
