"""The Path Gateway: what gateway-conformance asks of it (unixfs, range, raw, tar), hostile names, large folders."""

import base64
import hashlib
import io
import random
import re
import tarfile
import time
from urllib.parse import quote

import pytest

from ralnode.dag import cid as cids
from ralnode.dag.build import FileBuilder, make_leaf
from ralnode.dag.directory import build_directory
from ralnode.dag.pb import Link
from ralnode.dag.profile import Profile
from ralnode_gateway_ipfs.files import sniff

LISTING = "bafybeig6ka5mlwkl4subqhaiatalkcleo4jgnr3hqwvpmsqfca27cijp3i"
TEXT = "bafkreialihlqnf5uwo4byh4n3cmwlntwqzxxs2fg5vanqdi3d7tb2l5xkm"
CACHE = [
    "bafybeib3ffl2teiqdncv3mkz4r23b5ctrwkzrrhctdbne6iboayxuxk5ui",
    "bafybeih2w7hjocxjg6g2ku25hvmd53zj7og4txpby3vsusfefw5rrg5sii",
    "bafybeiawdvhmjcz65x5egzx4iukxc72hg4woks6v6fvgyupiyt3oczk5ja",
    "bafybeifq2rzpqnqrsdupncmkmhs3ckxxjhuvdcbvydkgvch3ms24k5lo7q",
    "bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am",
]
FILES = "bafybeihchr7vmgjaasntayyatmp5sv6xza57iy2h4xj7g46bpjij6yhrmy"
LACKING = "bafybeiez7wpycgofbnbb5duh24ch625xzrgu2xh6z2tfqe73jp7pkbe3pe"
RAW_DIR = "bafybeie72edlprgtlwwctzljf6gkn2wnlrddqjbkxo3jomh4n7omwblxly"
SYMLINK = "bafybeid7rpbh2clkm6tj2zuq6oq4lyvmo5b6y7mf23h4kaqlfq4ulz4zje"
PERCENT = "bafybeig675grnxcmshiuzdaz2xalm6ef4thxxds6o6ypakpghm5kghpc34"
INSIDE = "bafybeibfevfxlvxp5vxobr5oapczpf7resxnleb7tkqmdorc4gl5cdva3y"
OUTSIDE = "bafybeicaj7kvxpcv4neaqzwhrqqmdstu4dhrwfpknrgebq6nzcecfucvyu"
DOCUMENT = "bafyreidy4q6mmetut5jzc54ambsfnatbyoujmwbfzyyolqw24majazwgha"
NOBODY = "QmYzfKSE55XCjD1MW128RfciAf2DViABhEiXfgVFMabSjN"
PROFILE = Profile()


@pytest.fixture(autouse=True)
def fixtures(node):
    for name in (
        "dir-listing", "gateway-cache", "dir-with-duplicate-files", "file-3k-and-3-blocks-missing-block", "inside-root",
        "gateway-raw-block", "symlink", "dir-with-percent-encoded-filename", "outside-root", "dir-with-dag-cbor-with-links",
    ):  # fmt: skip
        node.add_car(f"{name}.car")


def add_directory(node, names: dict[bytes, bytes]) -> str:
    links = []
    for name, data in names.items():
        cid = cids.make(cids.RAW, data)
        node.here[cid] = data
        links.append(Link(cid, name, len(data)))
    built, blocks = build_directory(PROFILE, links, sum(map(len, names.values())))
    node.here.update({cids.to_key(block.key): block.data for block in blocks})
    return cids.to_text(built.cid)


def body_of(node, cid: str) -> bytes:
    return node.here[cids.to_key(cids.parse(cid))]


async def test_a_listing_is_what_the_conformance_suite_looks_for(client) -> None:
    top = (await client.ask(f"/ipfs/{LISTING}/")).body.decode()
    assert "Index of" in top
    assert ">..<" not in top
    answer = await client.ask(f"/ipfs/{LISTING}/%C4%85/%C4%99/")
    page = answer.body.decode()
    below = f"/ipfs/{LISTING}/%C4%85/%C4%99"
    for part in (
        f'/ipfs/<a href="/ipfs/{LISTING}">{LISTING}</a>/<a href="/ipfs/{LISTING}/%C4%85">ą</a>/<a href="{below}">ę</a>',
        f'<a href="{below}/..">..</a>',
        f'<a href="{below}/file-%C5%BA%C5%82.txt">file-źł.txt</a>',
        f'<a class="ipfs-hash" translate="no" href="/ipfs/{TEXT}?filename=file-%25C5%25BA%25C5%2582.txt">',
    ):
        assert part in page
    assert answer.headers["etag"].startswith('"DirIndex-')


async def test_a_listing_may_load_its_own_style_and_nothing_else(client) -> None:
    answer = await client.ask(f"/ipfs/{LISTING}/")
    (style,) = re.findall("<style>(.*?)</style>", answer.body.decode(), re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert answer.headers["content-security-policy"].startswith(f"default-src 'none'; style-src 'sha256-{digest}'; ")


async def test_a_folder_is_redirected_to_its_slash_with_its_query(client) -> None:
    answer = await client.ask(f"/ipfs/{LISTING}/%C4%85/%C4%99?x=1")
    assert (answer.status, answer.headers["location"]) == (301, f"/ipfs/{LISTING}/%C4%85/%C4%99/?x=1")


async def test_folders_in_a_listing_end_with_a_slash_and_files_do_not(client) -> None:
    """rclone's http backend tells them apart by it."""
    page = (await client.ask(f"/ipfs/{FILES}/")).body.decode()
    assert f'href="/ipfs/{FILES}/multiblock.txt"' in page
    assert f'href="/ipfs/{LISTING}/api/"' in (await client.ask(f"/ipfs/{LISTING}/")).body.decode()


@pytest.mark.parametrize(("below", "depth", "etag", "cache"), [
    ("root2/root3/", 3, f"DirIndex-.*_CID-{CACHE[2]}", "public, max-age=604800, stale-while-revalidate=2678400"),
    ("root2/root3/root4/", 4, f'^"{CACHE[3]}"$', "public, max-age=29030400, immutable"),
    ("root2/root3/root4/index.html", 5, f'^"{CACHE[4]}"$', "public, max-age=29030400, immutable"),
])  # fmt: skip
async def test_caching_headers_name_every_part_of_the_path(client, below, depth, etag, cache) -> None:
    path = f"/ipfs/{CACHE[0]}/{below}"
    answer = await client.ask(path)
    assert answer.status == 200
    assert answer.headers["x-ipfs-path"] == path
    assert answer.headers["x-ipfs-roots"] == ",".join(CACHE[:depth])
    assert re.search(etag, answer.headers["etag"])
    assert answer.headers["cache-control"] == cache
    tag = answer.headers["etag"]
    for held in (tag, f"W/{tag}", f'"fake1", "fake2", {tag}', "*"):
        again = await client.ask(path, If_None_Match=held)
        assert (again.status, again.body) == (304, b"")
    assert (await client.ask(path, If_None_Match='"other"')).status == 200


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_only_if_cached_is_answered_by_what_is_here(client, node, method) -> None:
    here = f"/ipfs/{CACHE[0]}/root2/root3/root4/?format=raw"
    assert (await client.ask(here, method, Cache_Control="only-if-cached")).status == 200
    assert (await client.ask(f"/ipfs/{NOBODY}", method, Cache_Control="only-if-cached")).status == 412
    assert node.asked_elsewhere == 0


async def test_a_symlink_answers_its_target(client) -> None:
    assert (await client.ask(f"/ipfs/{SYMLINK}/bar")).body == b"foo"


async def test_names_with_percent_signs_are_found(client) -> None:
    answer = await client.ask(f"/ipfs/{PERCENT}/Portugal%252C+Espa%C3%B1a=Peninsula%20Ib%C3%A9rica.txt")
    assert (answer.status, len(answer.body)) == (200, 38)


@pytest.mark.parametrize(("wanted", "says", "span"), [
    ("bytes=6-16", "bytes 6-16/31", slice(6, 17)),
    ("bytes=-3", "bytes 28-30/31", slice(28, 31)),
    ("bytes=30-99", "bytes 30-30/31", slice(30, 31)),
    ("bytes=0-", "bytes 0-30/31", slice(0, 31)),
])  # fmt: skip
async def test_a_range_has_its_bytes(client, wanted, says, span) -> None:
    whole = await client.ask(f"/ipfs/{FILES}/ascii.txt")
    assert whole.headers["accept-ranges"] == "bytes"
    answer = await client.ask(f"/ipfs/{FILES}/ascii.txt", Range=wanted)
    assert (answer.status, answer.headers["content-range"]) == (206, says)
    assert answer.body == whole.body[span]
    assert int(answer.headers["content-length"]) == len(answer.body)


async def test_several_ranges_come_as_multipart(client) -> None:
    whole = (await client.ask(f"/ipfs/{FILES}/multiblock.txt")).body
    answer = await client.ask(f"/ipfs/{FILES}/multiblock.txt", Range="bytes=250-300,0-4,-5")
    assert answer.status == 206
    assert answer.headers["content-type"].startswith("multipart/byteranges; boundary=")
    assert int(answer.headers["content-length"]) == len(answer.body)
    for says, part in (
        ("250-300", whole[250:301]),
        ("0-4", whole[:5]),
        (f"{len(whole) - 5}-{len(whole) - 1}", whole[-5:]),
    ):
        assert f"Content-Range: bytes {says}/{len(whole)}\r\n\r\n".encode() + part in answer.body


@pytest.mark.parametrize(("wanted", "status"), [
    ("bytes=31-", 416), ("bytes=99-100,50-60", 416), ("bytes=5-1", 200), ("bytes=-", 200), ("bytes=a-b", 200),
    ("bytes=" + ",".join(["0-30"] * 10), 200), ("bytes=" + ",".join(["0-0"] * 500), 200), ("bytes=" + "9" * 40 + "-", 200),
])  # fmt: skip
async def test_odd_ranges_are_refused_or_ignored(client, wanted, status) -> None:
    answer = await client.ask(f"/ipfs/{FILES}/ascii.txt", Range=wanted)
    assert answer.status == status
    assert answer.headers["content-range"] == ("bytes */31" if status == 416 else None)


async def test_a_range_counts_only_for_the_etag_it_was_made_for(client) -> None:
    whole = await client.ask(f"/ipfs/{FILES}/ascii.txt")
    same = await client.ask(f"/ipfs/{FILES}/ascii.txt", Range="bytes=0-1", If_Range=whole.headers["etag"])
    other = await client.ask(f"/ipfs/{FILES}/ascii.txt", Range="bytes=0-1", If_Range='"other"')
    assert (same.status, other.status) == (206, 200)


@pytest.mark.parametrize(("wanted", "says"), [
    ("bytes=997-1000", "bytes 997-1000/3072"), ("bytes=2200-2201", "bytes 2200-2201/3072"),
])  # fmt: skip
async def test_a_range_needs_only_its_own_blocks(client, wanted, says) -> None:
    answer = await client.ask(f"/ipfs/{LACKING}", Range=wanted)
    assert (answer.status, answer.headers["content-range"]) == (206, says)


async def test_a_range_whose_block_is_missing_is_503_and_a_whole_file_is_not_passed_off(client) -> None:
    assert (await client.ask(f"/ipfs/{LACKING}", Range="bytes=1100-1101")).status == 503
    answer = await client.ask(f"/ipfs/{LACKING}?filename=x.bin")
    assert answer.status == 503 or not answer.is_whole


async def test_a_large_file_comes_whole_and_in_part_from_the_cluster(client, node) -> None:
    data = random.Random(4).randbytes(13_000_000)
    builder = FileBuilder(PROFILE)
    for start in range(0, len(data), PROFILE.chunk_bytes):
        chunk = data[start : start + PROFILE.chunk_bytes]
        leaf, block = make_leaf(PROFILE, chunk)
        node.elsewhere[block.key] = block.data
        node.here.update({made.key: made.data for made in builder.add(leaf)})
    made, rest = builder.finish()
    node.here.update({block.key: block.data for block in rest})
    built = cids.to_text(made.cid)
    answer = await client.ask(f"/ipfs/{built}")
    assert answer.body == data
    assert answer.headers["content-type"] == "application/octet-stream"
    assert (await client.ask(f"/ipfs/{built}", Range="bytes=5000000-9000000")).body == data[5_000_000:9_000_001]
    head = await client.ask(f"/ipfs/{built}", "HEAD")
    assert (head.status, head.headers["content-length"], head.body) == (200, "13000000", b"")


@pytest.mark.parametrize("name", ["x.txt", "film ä.mkv", 'a"b\r\nX: y', "🦀" * 200])
async def test_a_file_name_goes_into_the_disposition_and_cannot_leave_it(client, name) -> None:
    answer = await client.ask(f"/ipfs/{TEXT}?download=true&filename={quote(name)}")
    found = answer.headers["content-disposition"]
    assert found.startswith('attachment; filename="')
    assert found.count('"') == 2
    assert answer.headers["x"] is None
    assert answer.header_bytes < 2048
    assert (await client.ask(f"/ipfs/{TEXT}?filename=x.txt")).headers["content-disposition"].startswith("inline")


async def test_hostile_names_stay_text_in_a_listing(client, node) -> None:
    root = add_directory(
        node, {b'"><script>alert(1)<script>': b"1", b"?a=b&c#d%2F": b"2", b"\xff\xfe": b"3", b"javascript:x": b"4"}
    )
    page = (await client.ask(f"/ipfs/{root}/")).body.decode()
    assert "<script>" not in page
    for name, data in (
        (b"%22%3E%3Cscript%3Ealert%281%29%3Cscript%3E", b"1"),
        (b"%3Fa%3Db%26c%23d%252F", b"2"),
        (b"%FF%FE", b"3"),
    ):
        assert f'href="/ipfs/{root}/{name.decode()}"' in page
        assert (await client.ask(f"/ipfs/{root}/{name.decode()}")).body == data


async def test_a_folder_of_10000_files_is_listed_quickly(client, node) -> None:
    root = add_directory(node, {f"file-{n:05}.txt".encode(): b"%d" % n for n in range(10_000)})
    began = time.perf_counter()
    page = (await client.ask(f"/ipfs/{root}/")).body.decode()
    assert page.count('class="ipfs-hash"') == 10_000
    assert time.perf_counter() - began < 5


async def test_a_folder_of_10000_folders_is_listed_quickly_without_asking_other_nodes(client, node) -> None:
    """Half of them hold a file and are here; the other half lies elsewhere."""
    links = []
    for number in range(10_000):
        cid = cids.make(cids.RAW, b"%d" % number)
        built, blocks = build_directory(PROFILE, [Link(cid, b"file", 5)], 5)
        target = node.here if number % 2 == 0 else node.elsewhere
        target.update({cids.to_key(block.key): block.data for block in blocks})
        links.append(Link(built.cid, b"folder-%05d" % number, 60))
    built, blocks = build_directory(PROFILE, links, 0)
    node.here.update({cids.to_key(block.key): block.data for block in blocks})
    began = time.perf_counter()
    page = (await client.ask(f"/ipfs/{cids.to_text(built.cid)}/")).body.decode()
    assert page.count('class="ipfs-hash"') == 10_000
    known = page.count('/">folder-')
    assert 2000 < known < 3000, "of the 5,000 that were looked up, half are here; in the order of the DAG, by hash"
    assert node.asked_elsewhere == 0
    assert time.perf_counter() - began < 10


@pytest.mark.parametrize(
    "asked", [{"target": f"/ipfs/{TEXT}?format=tar"}, {"target": f"/ipfs/{TEXT}", "Accept": "application/x-tar"}]
)
async def test_a_file_as_tar(client, node, asked) -> None:
    answer = await client.ask(**asked)
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/x-tar"
    assert answer.headers["etag"].startswith(f'W/"{TEXT}.x-tar')
    assert answer.headers["content-disposition"].startswith("attachment;")
    with tarfile.open(fileobj=io.BytesIO(answer.body)) as archive:
        assert archive.getnames() == [TEXT]
        assert archive.extractfile(TEXT).read() == body_of(node, TEXT)


@pytest.mark.parametrize(("root", "inside"), [(LISTING, "ą/ę/file-źł.txt"), (INSIDE, "foobar/file")])
async def test_a_tree_as_tar(client, root, inside) -> None:
    answer = await client.ask(f"/ipfs/{root}?format=tar&filename=test%D1%82%D0%B5%D1%81%D1%82.tar")
    assert answer.headers["content-disposition"] == (
        "attachment; filename=\"test____.tar\"; filename*=UTF-8''test%D1%82%D0%B5%D1%81%D1%82.tar"
    )
    with tarfile.open(fileobj=io.BytesIO(answer.body)) as archive:
        assert f"{root}/{inside}" in archive.getnames()


async def test_a_tree_that_leads_out_of_its_tar_is_refused(client) -> None:
    assert (await client.ask(f"/ipfs/{OUTSIDE}?format=tar")).status == 503


@pytest.mark.parametrize("accept", [False, True])
async def test_a_raw_block_is_found_by_a_path(client, node, accept) -> None:
    asked = {"Accept": "application/vnd.ipld.raw"} if accept else {}
    answer = await client.ask(f"/ipfs/{RAW_DIR}/dir{'' if accept else '?format=raw'}", Range="bytes=6-16", **asked)
    assert (answer.status, answer.headers["content-range"]) == (206, "bytes 6-16/57")
    assert answer.headers["x-ipfs-path"] == f"/ipfs/{RAW_DIR}/dir"
    assert RAW_DIR in answer.headers["x-ipfs-roots"]


@pytest.mark.parametrize(("target", "status", "kind"), [
    (f"/ipfs/{DOCUMENT}?format=dag-cbor", 200, "application/vnd.ipld.dag-cbor"),
    (f"/ipfs/{DOCUMENT}?format=cbor", 200, "application/cbor"),
    (f"/ipfs/{DOCUMENT}", 200, "application/vnd.ipld.dag-cbor"),
    (f"/ipfs/{DOCUMENT}?format=dag-json", 406, "text/plain; charset=utf-8"),
    (f"/ipfs/{LISTING}?format=dag-cbor", 406, "text/plain; charset=utf-8"),
    (f"/ipfs/{LISTING}?format=dag-json", 406, "text/plain; charset=utf-8"),
    (f"/ipfs/{DOCUMENT}?format=tar", 406, "text/plain; charset=utf-8"),
])  # fmt: skip
async def test_a_codec_is_given_as_it_is_or_not_at_all(client, node, target, status, kind) -> None:
    answer = await client.ask(target)
    assert (answer.status, answer.headers["content-type"]) == (status, kind)
    if status == 200:
        assert answer.body == body_of(node, DOCUMENT)


@pytest.mark.parametrize(("target", "headers", "status"), [
    (f"/ipfs/{LISTING}/i-do-not-exist", {}, 404),
    (f"/ipfs/{NOBODY}", {}, 404),
    (f"/ipfs/{TEXT}/below/a/file", {}, 404),
    (f"/ipfs/{LISTING}/", {"Service-Worker": "script"}, 400),
    (f"/ipfs/{LISTING}/a/../b", {}, 400),
    (f"/ipfs/{LISTING}/%2e%2e/b", {}, 400),
    ("/ipfs/nothing", {}, 400),
    (f"/ipfs/{LISTING}/?format=exe", {}, 406),
    (f"/ipfs/{LISTING}/?" + "&".join(f"a{n}=1" for n in range(99)), {}, 400),
])  # fmt: skip
async def test_what_cannot_be_shown_is_refused(client, target, headers, status) -> None:
    assert (await client.ask(target, **headers)).status == status


@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
async def test_other_origins_may_read(client, method) -> None:
    found = (await client.ask("/ipfs/bafkqabtimvwgy3yk/", method)).headers
    assert found["access-control-allow-origin"] == "*"
    for name, values in {
        "methods": ("GET", "HEAD", "OPTIONS"), "headers": ("Content-Type", "Range", "User-Agent", "X-Requested-With"),
    }.items():  # fmt: skip
        assert set(values) <= set(found[f"access-control-allow-{name}"].split(", "))
    exposed = {"Content-Range", "Content-Length", "X-Ipfs-Path", "X-Ipfs-Roots", "X-Chunked-Output", "X-Stream-Output"}
    assert exposed <= set(found["access-control-expose-headers"].split(", "))


@pytest.mark.parametrize(("start", "kind"), [
    (b"\x89PNG\r\n\x1a\n...", "image/png"), (b"....ftypisom", "video/mp4"), (b"<!DOCTYPE html>", "text/html; charset=utf-8"),
    ("grüße\n".encode(), "text/plain; charset=utf-8"), (b"\0\1\2", "application/octet-stream"), (b"", "text/plain; charset=utf-8"),
    (b' {"a": [1]}\n', "application/json"), (b"[1]", "application/json"), (b"[1] and more", "text/plain; charset=utf-8"),
    (b"1", "text/plain; charset=utf-8"), (b"[" * 500, "text/plain; charset=utf-8"),
])  # fmt: skip
def test_a_nameless_file_is_told_by_its_first_bytes(start, kind) -> None:
    assert sniff(start, is_whole=True) == kind
