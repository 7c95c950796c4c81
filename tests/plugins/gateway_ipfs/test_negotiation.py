"""In which form something is given: what `Accept` and `format` ask for, and what the answer says of it to caches."""

import json
from urllib.parse import quote

import pytest

from ralnode.dag import cid as cids
from ralnode.dag import pb
from ralnode_gateway_ipfs.jsonfile import CHECKED_BYTES_MAX

CAR, RAW, TAR = "application/vnd.ipld.car", "application/vnd.ipld.raw", "application/x-tar"
DAG_CBOR, JSON, CBOR = "application/vnd.ipld.dag-cbor", "application/json", "application/cbor"
GONE = cids.to_text(cids.make(cids.RAW, b"gone"))
CONTENTS = {
    b"data.json": b'{"a": 1}', b"note.txt": b"no JSON", b"list": b"[1, 2]", b"number": b"17", b"long": b"[" + b"1," * 500 + b"1]",
    b"vast": b'\n{"a": "' + b"x" * CHECKED_BYTES_MAX + b'"}', b"vast text": b"x" * (CHECKED_BYTES_MAX + 1), b"broken": b'{"a": ',
    b"deep": b"[" * 100_000, b"latin": b'"\xe4"', b"empty": b"",
}  # fmt: skip


@pytest.fixture
def root(node) -> str:
    """A folder with those files and a document."""
    blocks = {name: (cids.RAW, content) for name, content in CONTENTS.items()} | {
        b"doc": (cids.DAG_CBOR, b"\xa1\x61a\x01")
    }
    node.here |= {cids.make(codec, data): data for codec, data in blocks.values()}
    links = [pb.Link(cids.make(*block), name, len(block[1])) for name, block in sorted(blocks.items())]
    folder = pb.encode(links, b"\x08\x01")
    key = cids.make(cids.DAG_PB, folder)
    node.here[key] = folder
    return cids.to_text(key)


@pytest.mark.parametrize(("target", "accept", "location"), [
    ("", RAW, "?format=raw"),
    ("/note.txt", RAW, "/note.txt?format=raw"),
    ("", CAR, "?format=car"),
    ("/list", f"{CAR};dups=y", "/list?format=car&car-dups=y"),
    ("?dag-scope=block", CAR, "?dag-scope=block&format=car"),
    ("/list?entity-bytes=0:3", f"{CAR};order=dfs", "/list?entity-bytes=0%3A3&format=car"),
    ("?format=car", f"{CAR};dups=y", "?format=car&car-dups=y"),
    ("?format=car&car-dups=n", f"{CAR};dups=y", None),
    ("", TAR, "?format=tar"),
    ("/doc", DAG_CBOR, "/doc?format=dag-cbor"),
    ("/doc", CBOR, "/doc?format=cbor"),
    ("/data.json", JSON, "/data.json?format=json"),
    ("/list?filename=a%26b", JSON, "/list?filename=a%26b&format=json"),
    ("?format=raw", CAR, "?format=raw"),
    ("?format=tar", f"text/html, {RAW};q=0.1", "?format=tar"),
    ("?format=raw", RAW, None), ("?format=car", "", None), ("?format=car", "*/*", None), ("/doc", "*/*", None), ("/data.json", "", None),
    ("/note.txt", f"{JSON}, */*", None),
])  # fmt: skip
async def test_content_location_gives_the_same_to_everybody(client, root, target, accept, location) -> None:
    answer = await client.ask(f"/ipfs/{root}{target}", Accept=accept)
    assert answer.status == 200
    found = answer.headers["content-location"]
    assert found == (location and f"/ipfs/{root}{location}")
    if found:
        same = await client.ask(found)
        assert (same.status, same.body) == (200, answer.body)
        assert same.headers["content-type"] == answer.headers["content-type"]
        assert same.headers["etag"] == answer.headers["etag"]


async def test_a_long_or_hostile_location_is_left_out_or_harmless(client, root) -> None:
    for query in ("x=" + "y" * 300, "filename=%0d%0aSet-Cookie:a", "x=%ff%00", "filename=" + "%C3%A4" * 100):
        answer = await client.ask(f"/ipfs/{root}?{query}", Accept=RAW)
        assert answer.status == 200
        assert answer.headers["set-cookie"] is None
        assert answer.header_bytes < 2048


@pytest.mark.parametrize(
    ("name", "depth"), [("n" * 390, 1), ("n" * 255, 1), ("ä" * 60, 1), ("%" * 50, 2), ("n" * 30, 9), ("n", 1)]
)
@pytest.mark.parametrize(
    "query", ["", "?format=raw", "?format=car", "?format=tar", "?format=dag-cbor", "?" + "x" * 700]
)
async def test_headers_stay_under_what_kubo_reads_whatever_is_asked(client, node, root, name, depth, query) -> None:
    key = cids.parse(root)
    for _ in range(depth):
        block = pb.encode([pb.Link(key, name.encode(), 1)], b"\x08\x01")
        key = cids.make(cids.DAG_PB, block)
        node.here[key] = block
    folder = f"/ipfs/{cids.to_text(key)}" + f"/{quote(name)}" * depth
    for below in ("", "/", "/doc", "/note.txt"):
        for filename in ("", "filename=" + quote("ü" * 130)):
            target = f"{folder}{below}{query}{'&' if query else '?'}{filename}"
            for accept in (RAW, "text/html"):
                answer = await client.ask(target, "HEAD", Accept=accept)
                assert answer.status in (200, 301, 400, 406)
                assert answer.header_bytes < 2048


@pytest.mark.parametrize(("path", "is_json"), [
    ("/data.json", True), ("/list", True), ("/number", True), ("/long", True), ("/vast", True),
    ("/note.txt", False), ("/vast%20text", False), ("/broken", False), ("/deep", False), ("/latin", False), ("/empty", False), ("/", False),
])  # fmt: skip
async def test_of_files_only_json_is_given_as_json(client, root, path, is_json) -> None:
    for query, accept in (("?format=json", "text/html"), ("", JSON), ("", f"{JSON}, text/html;q=0.5")):
        answer = await client.ask(f"/ipfs/{root}{path}{query}", Accept=accept)
        assert (answer.status, answer.headers["content-type"]) == (
            (200, JSON) if is_json else (406, "text/plain; charset=utf-8")
        )
    anyway = await client.ask(f"/ipfs/{root}{path}", Accept=f"{JSON}, text/plain, */*")
    assert anyway.status == 200
    assert (await client.ask(f"/ipfs/{root}{path}?format=cbor")).status == 406
    assert (await client.ask(f"/ipfs/{root}{path}", Accept=CBOR)).status == 406


@pytest.mark.parametrize(
    "target",
    [
        "/ipfs/{}?format=raw",
        "/ipfs/{}?format=car",
        "/ipfs/{}",
        "/ipfs/{}/",
        "/ipfs/{}?format=tar",
        "/ipfs/{}/doc",
        "/ipfs/{}/list",
    ],
)
async def test_whatever_the_client_has_counts_only_if_there_is_such_a_thing(client, root, target) -> None:
    answer = await client.ask(target.format(root), If_None_Match="*")
    assert answer.status == (301 if target == "/ipfs/{}" else 304)
    assert answer.status == 301 or answer.body == b""
    assert (await client.ask(target.format(GONE), If_None_Match="*")).status == 404


@pytest.mark.parametrize("target", ["/vast", "/doc", "/vast?format=raw"])
async def test_a_head_has_no_ranges(client, root, target) -> None:
    answer = await client.ask(f"/ipfs/{root}{target}", "HEAD", Range="bytes=99999999-")
    assert (answer.status, answer.headers["content-range"]) == (200, None)
    whole = await client.ask(f"/ipfs/{root}{target}")
    assert int(answer.headers["content-length"]) == len(whole.body)


@pytest.mark.parametrize(("accept", "kind"), [
    ("application/x-ndjson", "application/x-ndjson"), ("application/x-ndjson, application/json", "application/x-ndjson"),
    ("application/json, application/x-ndjson;q=0.5", JSON), ("application/x-ndjson;q=0", JSON), ("*/*", JSON), ("text/html", JSON), ("", JSON),
])  # fmt: skip
async def test_routing_streams_to_whoever_prefers_it(client, root, accept, kind) -> None:
    answer = await client.ask(f"/routing/v1/providers/{root}", Accept=accept)
    assert answer.headers["content-type"] == kind
    assert kind != JSON or "Providers" in json.loads(answer.body)
