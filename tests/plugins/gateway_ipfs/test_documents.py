"""IPLD documents over HTTP: paths through them, and the page that a browser gets; whatever a stranger wrote into them."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ralnode.dag import cid as cids
from ralnode.dag import dagcbor, dagjson, pb
from ralnode.dag.ipld import Link, Value
from ralnode_gateway_ipfs.docpage import (
    BYTES_SHOWN_MAX,
    CHARS_IN_ALL_MAX,
    CHARS_SHOWN_MAX,
    SECURITY_POLICY,
    VALUES_SHOWN_MAX,
    Download,
    render_page,
)
from ralnode_gateway_ipfs.options import IpfsOptions

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
LEAF = cids.make(cids.RAW, b"leaf")
GONE = cids.make(cids.RAW, b"gone")
INNER = cids.make(cids.DAG_CBOR, b"\xa1\x61x\x01")
FOLDER_BLOCK = pb.encode([pb.Link(LEAF, b"leaf.txt", 4)], b"\x08\x01")
FOLDER = cids.make(cids.DAG_PB, FOLDER_BLOCK)
DOCUMENT: Value = {
    "foo": {"link": Link(INNER), "number": 1}, "list": ["text", Link(LEAF)], "folder": Link(FOLDER), "gone": Link(GONE),
}  # fmt: skip
CODECS = {"dag-cbor": (cids.DAG_CBOR, dagcbor.encode), "dag-json": (cids.DAG_JSON, dagjson.encode)}
HREF = re.compile(r"/ipfs/[a-zA-Z0-9]+(\?format=(raw|car|json|cbor|dag-json|dag-cbor)(&download=true)?)?")


ALLOWED = {
    "html": {"lang"}, "head": set(), "meta": {"charset", "name", "content"}, "title": set(), "style": set(), "body": set(),
    "h1": set(), "small": set(), "dl": set(), "dt": set(), "dd": set(), "nav": {"aria-label"}, "a": {"href"}, "main": set(),
    "p": {"role"}, "details": {"open"}, "summary": set(), "ul": set(), "li": {"class"}, "b": set(), "bdi": {"class"},
    "i": {"class"}, "span": {"class"}, "code": set(),
}  # fmt: skip
"""Tags and their attributes: nothing else may stand on such a page."""


@pytest.fixture(autouse=True)
def blocks(node) -> None:
    node.here |= {LEAF: b"leaf", INNER: b"\xa1\x61x\x01", FOLDER: FOLDER_BLOCK}


def put(node, kind: str, value: Value = DOCUMENT) -> str:
    codec, encode = CODECS[kind]
    return put_block(node, codec, encode(value))


def put_block(node, codec: int, block: bytes) -> str:
    key = cids.make(codec, block)
    node.here[key] = block
    return cids.to_text(key)


class Page(HTMLParser):
    """Refuses what is not allowed there."""

    def __init__(self, body: bytes) -> None:
        super().__init__()
        self.text, self.links, self.open = "", list[str](), list[str]()
        self.feed(body.decode("utf-8"))
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert {name for name, _ in attrs} <= ALLOWED[tag]
        self.links += [str(value) for name, value in attrs if name == "href"]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)


@pytest.mark.parametrize("kind", CODECS)
@pytest.mark.parametrize(("path", "status", "body"), [
    ("/foo/link", 200, b"\xa1\x61x\x01"),
    ("/list/1", 200, b"leaf"),
    ("/folder/leaf.txt", 200, b"leaf"),
    ("/foo", 501, b""), ("/foo/", 501, b""), ("/foo/number", 501, b""), ("/list/0", 501, b""), ("/foo/link/x", 501, b""),
    ("/nothing", 404, b""), ("/foo/nothing", 404, b""), ("/list/2", 404, b""), ("/foo/link/y", 404, b""), ("/foo/number/x", 404, b""),
    ("/gone", 404, b""), ("/gone/x", 404, b""), ("/list/1/x", 404, b""),
])  # fmt: skip
async def test_a_path_goes_through_maps_lists_and_links(client, node, kind, path, status, body) -> None:
    root = put(node, kind)
    for method in ("GET", "HEAD"):
        answer = await client.ask(f"/ipfs/{root}{path}", method)
        assert answer.status == status
        assert method == "HEAD" or status != 200 or answer.body == body
    if status == 501:
        assert b"not a link" in (await client.ask(f"/ipfs/{root}{path}")).body


async def test_every_link_that_was_crossed_is_named(client, node) -> None:
    answer = await client.ask(f"/ipfs/{put(node, 'dag-json')}/folder/leaf.txt")
    assert answer.headers["x-ipfs-roots"].split(",")[1:] == [cids.to_text(FOLDER), cids.to_text(LEAF)]


@pytest.mark.parametrize(
    ("target", "status"), [("/foo/link?format=raw", 200), ("/foo?format=raw", 501), ("/x?format=raw", 404)]
)
async def test_a_raw_block_is_found_through_a_document(client, node, target, status) -> None:
    answer = await client.ask(f"/ipfs/{put(node, 'dag-cbor')}{target}")
    assert (answer.status, answer.body if status == 200 else b"") == (
        status,
        b"\xa1\x61x\x01" if status == 200 else b"",
    )


@pytest.mark.parametrize("kind", CODECS)
async def test_a_car_brings_what_a_document_links_to_and_proves_paths_through_it(client, node, kind) -> None:
    root = put(node, kind, {"a": Link(INNER), "b": [Link(LEAF)]})
    assert (await client.ask(f"/ipfs/{root}?format=car")).cids == [root, cids.to_text(INNER), cids.to_text(LEAF)]
    assert (await client.ask(f"/ipfs/{root}/b/0?format=car")).cids == [root, cids.to_text(LEAF)]


async def test_documents_that_are_nothing_but_links_do_not_lead_on_for_ever(client, node) -> None:
    text = cids.to_text(INNER)
    for _ in range(300):
        text = put(node, "dag-cbor", Link(cids.parse(text)))
    assert (await client.ask(f"/ipfs/{text}/x")).status == 422


@pytest.mark.parametrize(("codec", "block"), [
    (cids.DAG_CBOR, b"\xa2\x61a\x01\x61a\x02"), (cids.DAG_CBOR, b"\x81" * 5000), (cids.DAG_CBOR, b"\xa1\x61a\xd8\x23\x63(a*"),
    (cids.DAG_CBOR, b"\x9a\x00\x1f\xff\xf0" + bytes(0x1FFFF0)), (cids.DAG_JSON, b'{"a":1,"a":2}'), (cids.DAG_JSON, b"[" * 100_000),
    (cids.DAG_JSON, b'{"a":{"/":"x"}}'), (cids.DAG_JSON, b'{"a":"\\ud800"}'), (cids.CBOR, b"\xd8\x2a\x41\x01"), (cids.JSON, b"{"),
])  # fmt: skip
async def test_a_malformed_document_has_no_paths_but_a_page_that_says_why(client, node, codec, block) -> None:
    root = put_block(node, codec, block)
    below = await client.ask(f"/ipfs/{root}/a")
    assert below.status == (422 if codec in (cids.DAG_CBOR, cids.DAG_JSON) else 404)
    page = await client.ask(f"/ipfs/{root}", Accept=BROWSER)
    assert page.status == 200
    assert "It cannot be shown" in Page(page.body).text
    assert (await client.ask(f"/ipfs/{root}")).body == block


@pytest.mark.parametrize("kind", CODECS)
@pytest.mark.parametrize("slash", ["", "/"])
async def test_a_browser_gets_a_page(client, node, kind, slash) -> None:
    root = put(node, kind)
    answer = await client.ask(f"/ipfs/{root}{slash}", Accept=BROWSER)
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-disposition"] is None
    assert re.fullmatch(rf'"DagIndex-[0-9a-f]+_CID-{root}"', answer.headers["etag"])
    assert answer.headers["cache-control"] == "public, max-age=604800, stale-while-revalidate=2678400"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; style-src 'sha256-")
    assert answer.headers["vary"] == "Accept"
    assert answer.header_bytes < 2048
    page = Page(answer.body)
    assert root in page.text
    for cid in (INNER, LEAF, FOLDER, GONE):
        assert f"/ipfs/{cids.to_text(cid)}" in page.links
    assert {link.partition("?")[2] for link in page.links if "?" in link} == {
        f"format={kind}&download=true",
        "format=raw",
        "format=car",
    }
    for link in page.links:
        assert HREF.fullmatch(link)
        assert (await client.ask(link)).status == (
            404 if cids.to_text(GONE) in link else 301 if cids.to_text(FOLDER) in link else 200
        )
    head = await client.ask(f"/ipfs/{root}{slash}", "HEAD", Accept=BROWSER)
    assert (head.status, head.headers["content-length"]) == (200, str(len(answer.body)))
    again = await client.ask(f"/ipfs/{root}{slash}", Accept=BROWSER, If_None_Match=answer.headers["etag"])
    assert (again.status, again.body) == (304, b"")


@pytest.mark.parametrize(("query", "accept"), [
    ("", "*/*"), ("", ""), ("", "application/vnd.ipld.dag-cbor, text/html;q=0.5"), ("", "text/html;q=0, */*"), ("?format=dag-cbor", BROWSER),
    ("?download=true", BROWSER), ("?format=cbor", "text/html"), ("?format=raw", "text/html"),
])  # fmt: skip
async def test_programs_get_the_block_itself(client, node, query, accept) -> None:
    root = put(node, "dag-cbor")
    answer = await client.ask(f"/ipfs/{root}{query}", Accept=accept)
    assert (answer.status, answer.body) == (200, dagcbor.encode(DOCUMENT))
    assert answer.headers["cache-control"] == "public, max-age=29030400, immutable"


@pytest.mark.parametrize(
    ("codec", "block"), [(cids.JSON, b'{"a":{"/":"bafkqaaa"}}'), (cids.CBOR, b"\xa1\x61a\x68bafkqaaa")]
)
async def test_plain_json_and_cbor_have_a_page_without_links(client, node, codec, block) -> None:
    root = put_block(node, codec, block)
    page = Page((await client.ask(f"/ipfs/{root}", Accept=BROWSER)).body)
    assert "bafkqaaa" in page.text
    assert all(link.startswith(f"/ipfs/{root}?") for link in page.links)


async def test_a_document_that_nobody_has_has_no_page(client) -> None:
    gone = cids.to_text(cids.make(cids.DAG_CBOR, b"\xa0"))
    assert (await client.ask(f"/ipfs/{gone}", Accept=BROWSER)).status == 404


class TestWhereConversionIsAllowed:
    @pytest.fixture
    def options(self) -> IpfsOptions:
        return IpfsOptions(port=0, tls=False, convert=True)

    async def test_the_page_offers_the_other_codec(self, client, node) -> None:
        root = put(node, "dag-cbor")
        page = Page((await client.ask(f"/ipfs/{root}", Accept=BROWSER)).body)
        assert f"/ipfs/{root}?format=dag-json&download=true" in page.links
        assert (await client.ask(f"/ipfs/{root}?format=dag-json&download=true")).body == dagjson.encode(DOCUMENT)


def render(value: Value, path: str = "/ipfs/x") -> Page:
    block = dagcbor.encode(value)
    body = render_page(
        path, cids.make(cids.DAG_CBOR, block), block, [Download("Raw block", "format=raw&download=true")]
    )
    assert len(body) < min(12 * len(block), 6 * CHARS_IN_ALL_MAX) + 200 * VALUES_SHOWN_MAX + 10_000
    page = Page(body)
    assert all(HREF.fullmatch(link) for link in page.links)
    return page


HOSTILE = st.sampled_from([
    "<script>alert(1)</script>", "</bdi></li></ul><img src=x onerror=alert(1)>", '"onmouseover="alert(1)', "' autofocus onfocus=alert(1) '",
    "javascript:alert(1)", "&lt;script&gt;", "&#60;b&#62;", "<!--", "-->", "]]>", "</style>", "</title><script>", "\0", "\u202e\u2066", "\x1b[31m", "\x85",
    "\ufeff", "<svg/onload=alert(1)>", "{{constructor}}", "\r\n\r\n",
])  # fmt: skip
TEXTS = st.builds("".join, st.lists(HOSTILE | st.text(max_size=8), max_size=4))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 64), (1 << 64) - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS | st.binary(max_size=80) | st.binary(max_size=60).map(lambda data: Link(cids.make(cids.RAW, data))),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


def texts(value: Value) -> list[str]:
    if isinstance(value, dict):
        return [*value, *(text for each in value.values() for text in texts(each))]
    if isinstance(value, list):
        return [text for each in value for text in texts(each)]
    return [value] if isinstance(value, str) else [cids.to_text(value.cid)] if isinstance(value, Link) else []


@given(VALUES, TEXTS)
@settings(max_examples=300, deadline=None)
def test_hostile_text_stays_text(value: Value, path: str) -> None:
    page = render(value, path)
    for text in [*texts(value), path]:
        if all(c.isprintable() for c in text):
            assert text in page.text
    assert not re.search("[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", page.text)


@given(st.binary(max_size=80))
@settings(max_examples=300, deadline=None)
def test_any_bytes_have_a_page(block: bytes) -> None:
    for codec in (cids.DAG_CBOR, cids.DAG_JSON, cids.CBOR, cids.JSON):
        Page(render_page("/ipfs/x", cids.make(codec, block), block, []))


@pytest.mark.parametrize(("value", "says"), [
    (list(range(VALUES_SHOWN_MAX + 2000)), "2,001 more, which are not shown"),
    ([list(range(90)) for _ in range(100)], "45 more, which are not shown"),
    ({f"k{n}": [n] for n in range(9000)}, "6,500 more, which are not shown"),
    ("x" * (CHARS_SHOWN_MAX + 7), "and 7 characters more"),
    (bytes(BYTES_SHOWN_MAX + 1), "… 65 bytes"),
    (bytes(1 << 21), "… 2,097,152 bytes"),
    (["\x01" * CHARS_SHOWN_MAX] * 1000, "and 2,000 characters more"),
    ({"k" * (1 << 20): "<" * (1 << 20)}, "characters more"),
    ({}, "empty map"), ([[]], "empty list"), ([""], "empty text"), ({"": 1}, "empty 1"), ([b""], "0 bytes"), ([b"x"], "1 byte"),
    ({"a": True, "b": None, "c": -1.5}, "map, 3 entries"),
])  # fmt: skip
def test_a_large_document_is_shown_in_part_and_says_so(value: Value, says: str) -> None:
    assert says in render(value).text


def test_the_deepest_document_is_shown() -> None:
    value: Value = "end"
    for _ in range(128):
        value = [value]
    assert "end" in render(value).text


def test_the_policy_allows_the_style_of_the_page_and_nothing_else() -> None:
    page = render_page("/ipfs/x", INNER, b"\xa1\x61x\x01", []).decode()
    (style,) = re.findall("<style>(.*?)</style>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert SECURITY_POLICY.startswith(f"default-src 'none'; style-src 'sha256-{digest}'; ")
    assert "url(" not in style
    assert "unsafe" not in SECURITY_POLICY
