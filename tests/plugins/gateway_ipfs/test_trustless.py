"""The Trustless Gateway: the tables of gateway-conformance (block 7, CAR 52) and what they leave out."""

import asyncio

import pytest

from ralnode.api import ConfigError, LocalError
from ralnode.dag import cid as cids
from ralnode_gateway_ipfs.options import IpfsOptions
from ralnode_gateway_ipfs.server import IpfsGateway

RAW, CAR = "application/vnd.ipld.raw", "application/vnd.ipld.car"
IMMUTABLE = "public, max-age=29030400, immutable"

BLOCK_DIR = "bafybeifaqksygmsbnqe76kwvxoqxtkzcwssq5jkhuo65ldtqiunr3bxlra"
BLOCK_FILE = "bafkreihhpc5y2pqvl5rbe5uuyhqjouybfs3rvlmisccgzue2kkt5zq6upq"
SUB, SUBDIR = (
    "bafybeietjm63oynimmv5yyqay33nui4y4wx6u3peezwetxgiwvfmelutzu",
    "bafybeiggghzz6dlue3m6nb2dttnbrygxh3lrjl5764f2m4gq7dgzdt55o4",
)
ASCII, HELLO = (
    "bafkreifkam6ns4aoolg3wedr4uzrs3kvq66p4pecirz6y2vlrngla62mxm",
    "bafkreifjjcie6lypi6ny7amxnfftagclbuxndqonfipmb64f2km2devei4",
)
MIXED, MIXED_DIR = (
    "bafybeidh6k2vzukelqtrjsmd4p52cpmltd2ufqrdtdg6yigi73in672fwu",
    "bafybeicnmple4ehlz3ostv2sbojz3zhh5q7tz5r2qkfdpqfilgggeen7xm",
)
MULTI = "bafybeigcisqd7m5nf3qmuvjdbakl5bdnh4ocrmacaqkpuh77qjvggmt2sa"
PARTS = [
    "bafkreie5noke3mb7hqxukzcy73nl23k6lxszxi5w3dtmuwz62wnvkpsscm",
    "bafkreih4ephajybraj6wnxsbwjwa77fukurtpl7oj7t7pfq545duhot7cq",
    "bafkreigu7buvm3cfunb35766dn7tmqyh2um62zcio63en2btvxuybgcpue",
    "bafkreicll3huefkc3qnrzeony7zcfo7cr3nbx64hnxrqzsixpceg332fhe",
    "bafkreifst3pqztuvj57lycamoi7z34b4emf7gawxs74nwrc2c7jncmpaqm",
]
LACKING = "bafybeiez7wpycgofbnbb5duh24ch625xzrgu2xh6z2tfqe73jp7pkbe3pe"
DOCUMENT, DOCUMENT_DIR = (
    "bafyreidy4q6mmetut5jzc54ambsfnatbyoujmwbfzyyolqw24majazwgha",
    "bafybeia264q44a3kmfc2otctzu4egp2k235o3t7mslz2yjraymp4nv6asi",
)
COPIES = "bafybeihchr7vmgjaasntayyatmp5sv6xza57iy2h4xj7g46bpjij6yhrmy"
MISSING = cids.to_text(cids.make(cids.RAW, b"nobody has this"))
INLINE = "bafkqaf3imvwgy3zaneqgc3janfxgy2lomvscay3jmqfa"

CAR_CASES: list[tuple[str, str, list[str]]] = [
    (f"{SUB}/subdir/ascii.txt", "", [SUB, SUBDIR, ASCII]),
    (f"{DOCUMENT}/files/single", "", [DOCUMENT, HELLO]),
    (f"{SUB}/subdir/i-do-not-exist", "", [SUB, SUBDIR]),
    (f"{SUB}/subdir", "dag-scope=block", [SUB, SUBDIR]),
    (f"{SUB}/subdir/ascii.txt", "dag-scope=block", [SUB, SUBDIR, ASCII]),
    (SUB, "dag-scope=entity", [SUB]),
    (f"{MIXED}/subdir/ascii.txt", "dag-scope=entity", [MIXED, MIXED_DIR, ASCII]),
    (f"{MIXED}/subdir/multiblock.txt", "dag-scope=entity", [MIXED, MIXED_DIR, MULTI, *PARTS]),
    (f"{DOCUMENT_DIR}/document", "dag-scope=entity", [DOCUMENT_DIR, DOCUMENT]),
    (f"{MIXED}/subdir", "dag-scope=all", [MIXED, MIXED_DIR, ASCII, HELLO, MULTI, *PARTS]),
    (f"{MIXED}/subdir/multiblock.txt", "dag-scope=all", [MIXED, MIXED_DIR, MULTI, *PARTS]),
    (f"{MIXED}/subdir/multiblock.txt", "dag-scope=entity&entity-bytes=0:*", [MIXED, MIXED_DIR, MULTI, *PARTS]),
    (MULTI, "dag-scope=entity&entity-bytes=512:*", [MULTI, *PARTS[2:]]),
    (MULTI, "dag-scope=entity&entity-bytes=512:1023", [MULTI, *PARTS[2:4]]),
    (MULTI, "dag-scope=entity&entity-bytes=512:-256", [MULTI, *PARTS[2:4]]),
    (MULTI, "dag-scope=entity&entity-bytes=-5:*", [MULTI, *PARTS[3:]]),
    (MULTI, "dag-scope=entity&entity-bytes=-9999:*", [MULTI, *PARTS]),
    (MULTI, "dag-scope=entity&entity-bytes=-9999:-3", [MULTI, *PARTS[:4]]),
    (MULTI, "dag-scope=entity&entity-bytes=0:0", [MULTI, PARTS[0]]),
    (
        LACKING,
        "dag-scope=entity&entity-bytes=0:1000",
        [LACKING, "bafybeiaovfcinf44ijwunnzkbxy63zkjmoyeh4syjfdlt3e7qcukvyxlya"],
    ),
    (
        LACKING,
        "dag-scope=entity&entity-bytes=2200:*",
        [LACKING, "bafybeidzu5oa3o4nuxilvizbqjub2ouy4zb3up4jkef4afb7rsgnprprai"],
    ),
]


@pytest.fixture(autouse=True)
def fixtures(node):
    for name in (
        "gateway-raw-block", "subdir-with-two-single-block-files", "subdir-with-mixed-block-files",
        "file-3k-and-3-blocks-missing-block", "dir-with-dag-cbor-with-links", "dir-with-duplicate-files",
    ):  # fmt: skip
        node.add_car(f"{name}.car")


def is_car(answer) -> bool:
    return (
        answer.status == 200
        and answer.headers["content-type"].startswith(f"{CAR}; version=1; order=dfs; dups=")
        and ".car" in answer.headers["content-disposition"]
        and answer.headers["accept-ranges"] == "none"
        and answer.headers["x-content-type-options"] == "nosniff"
        and bool(answer.headers["etag"])
        and answer.header_bytes < 2048
    )


@pytest.mark.parametrize("by_accept", [False, True])
@pytest.mark.parametrize(("path", "query", "wanted"), CAR_CASES)
async def test_a_car_has_exactly_the_blocks_asked_for_in_order(client, path, query, wanted, by_accept) -> None:
    headers = {"Accept": CAR} if by_accept else {}
    answer = await client.ask(f"/ipfs/{path}?{query}{'' if by_accept else '&format=car'}", **headers)
    assert is_car(answer)
    assert answer.is_whole
    assert answer.cids == wanted


@pytest.mark.parametrize("by_accept", [False, True])
@pytest.mark.parametrize("scope", ["dag-scope=block", "dag-scope=all", "dag-scope=entity", "entity-bytes=0:*", ""])
async def test_a_car_through_a_hamt_proves_the_path_and_no_more(client, node, scope, by_accept) -> None:
    (root, *_) = node.add_car("single-layer-hamt-with-multi-block-files.car")
    wanted = {"Accept": CAR} if by_accept else {}
    form = "" if by_accept else "&format=car"
    answer = await client.ask(f"/ipfs/{root}/685.txt?{scope}{form}", **wanted)
    whole = await client.ask(f"/ipfs/{root}?dag-scope=entity{form}", **wanted)
    assert is_car(answer)
    assert is_car(whole)
    assert answer.cids[0] == whole.cids[0] == root
    assert answer.cids[3:] == ([] if scope == "dag-scope=block" else PARTS)
    assert answer.cids[1] in whole.cids
    assert all(cid.startswith("bafybei") for cid in whole.cids)


ORDER_CASES = [
    (COPIES, "", f"{CAR}; version=1; order=dfs; dups=y", "dups=y", [COPIES, ASCII, ASCII, HELLO, MULTI, *PARTS]),
    (COPIES, "", f"{CAR}; version=1; order=dfs; dups=n", "dups=n", [COPIES, ASCII, HELLO, MULTI, *PARTS]),
    (COPIES, "", f"{CAR}; version=1; order=unk", "order=dfs", [COPIES, ASCII, HELLO, MULTI, *PARTS]),
    (INLINE, "", f"{CAR}; dups=y", "dups=y", []),
    (COPIES, "?format=car", f"{CAR}; dups=y", "dups=y", [COPIES, ASCII, ASCII, HELLO, MULTI, *PARTS]),
    (COPIES, "?format=car&car-order=dfs", f"{CAR}; order=unk", "order=dfs", [COPIES, ASCII, HELLO, MULTI, *PARTS]),
    (COPIES, "?format=car&car-dups=n", f"{CAR}; dups=y", "dups=n", [COPIES, ASCII, HELLO, MULTI, *PARTS]),
    (COPIES, "?format=car", RAW, "dups=n", [COPIES, ASCII, HELLO, MULTI, *PARTS]),
]


@pytest.mark.parametrize(("root", "query", "accept", "says", "wanted"), ORDER_CASES)
async def test_order_and_duplicates_of_a_car_are_as_asked_and_said(client, root, query, accept, says, wanted) -> None:
    answer = await client.ask(f"/ipfs/{root}{query}", Accept=accept)
    assert is_car(answer)
    assert says in answer.headers["content-type"]
    assert answer.cids == wanted


@pytest.mark.parametrize(
    "asked", [{"target": f"/ipfs/{BLOCK_DIR}?format=raw"}, {"target": f"/ipfs/{BLOCK_DIR}", "Accept": RAW}]
)
async def test_a_raw_block_is_given_byte_for_byte(client, node, asked) -> None:
    answer = await client.ask(**asked)
    assert answer.status == 200
    assert answer.body == node.here[cids.parse(BLOCK_DIR)]


async def test_a_raw_block_has_the_headers_of_the_specification(client) -> None:
    answer = await client.ask(f"/ipfs/{BLOCK_FILE}?filename=foobar.bin", Accept=RAW)
    found = answer.headers
    assert (found["content-type"], found["content-length"], found["x-content-type-options"]) == (RAW, "31", "nosniff")
    assert found["content-disposition"].startswith('attachment; filename="foobar.bin"')
    assert found["etag"] == f'"{BLOCK_FILE}.raw"'
    assert found["x-ipfs-path"] == f"/ipfs/{BLOCK_FILE}"
    assert found["x-ipfs-roots"] == BLOCK_FILE
    assert found["cache-control"] == IMMUTABLE
    assert answer.header_bytes < 2048


@pytest.mark.parametrize(("wanted", "status", "says"), [
    ("bytes=6-16", 206, "bytes 6-16/31"), ("bytes=-3", 206, "bytes 28-30/31"), ("bytes=28-", 206, "bytes 28-30/31"),
    ("bytes=31-", 416, "bytes */31"), ("bytes=9-3", 200, None), ("lines=1-2", 200, None),
])  # fmt: skip
async def test_a_raw_block_can_be_had_in_part(client, node, wanted, status, says) -> None:
    answer = await client.ask(f"/ipfs/{BLOCK_FILE}?format=raw", Range=wanted)
    assert (answer.status, answer.headers["content-range"]) == (status, says)
    if status == 206:
        first, last = (int(n) for n in says.removeprefix("bytes ").partition("/")[0].split("-"))
        assert answer.body == node.here[cids.parse(BLOCK_FILE)][first : last + 1]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("form", ["raw", "car"])
async def test_the_probe_is_answered_by_an_empty_node(client, node, method, form) -> None:
    node.here.clear()
    answer = await client.ask(f"/ipfs/bafkqaaa?format={form}", method)
    assert answer.status == 200
    if method == "GET" and form == "car":
        assert answer.cids == []
    else:
        assert answer.body == b""
    assert node.asked_elsewhere == 0


async def test_an_identity_cid_answers_its_digest(client) -> None:
    assert (await client.ask(f"/ipfs/{INLINE}?format=raw")).body == cids.identity_data(cids.parse(INLINE))


@pytest.mark.parametrize("form", ["raw", "car"])
async def test_a_head_that_misses_asks_nobody(client, node, form) -> None:
    node.elsewhere = {cids.parse(MISSING): b"nobody has this"}
    answer = await client.ask(f"/ipfs/{MISSING}?format={form}", "HEAD")
    assert (answer.status, answer.body, node.asked_elsewhere) == (404, b"", 0)


async def test_a_head_that_hits_says_the_length(client) -> None:
    answer = await client.ask(f"/ipfs/{BLOCK_FILE}?format=raw", "HEAD")
    assert (answer.status, answer.headers["content-length"], answer.body) == (200, "31", b"")


async def test_a_block_of_another_node_is_fetched_and_not_kept(client, node) -> None:
    node.elsewhere = {cids.parse(MISSING): b"nobody has this"}
    answer = await client.ask(f"/ipfs/{MISSING}?format=raw")
    assert (answer.status, answer.body) == (200, b"nobody has this")
    assert cids.parse(MISSING) not in node.here


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("form", ["raw", "car"])
async def test_only_if_cached_is_412_on_a_miss_and_asks_nobody(client, node, method, form) -> None:
    node.elsewhere = {cids.parse(MISSING): b"nobody has this"}
    answer = await client.ask(f"/ipfs/{MISSING}?format={form}", method, Cache_Control="only-if-cached")
    assert (answer.status, node.asked_elsewhere) == (412, 0)


class TestNoFetch:
    @pytest.fixture
    def options(self) -> IpfsOptions:
        return IpfsOptions(port=0, no_fetch=True)

    async def test_asks_nobody(self, client, node) -> None:
        node.elsewhere = {cids.parse(MISSING): b"nobody has this"}
        assert (await client.ask(f"/ipfs/{MISSING}?format=raw")).status == 404
        assert node.asked_elsewhere == 0
        assert (await client.ask(f"/ipfs/{BLOCK_FILE}?format=raw")).status == 200


async def test_a_car_ends_early_when_a_child_is_missing(client) -> None:
    answer = await client.ask(f"/ipfs/{LACKING}?format=car")
    assert answer.status == 200
    assert not answer.is_whole
    assert answer.cids[0] == LACKING


@pytest.mark.parametrize("form", ["raw", "car"])
@pytest.mark.parametrize("tag", ["{}", "W/{}", '"other", {}', "*"])
async def test_what_the_client_has_is_304(client, form, tag) -> None:
    etag = (await client.ask(f"/ipfs/{BLOCK_FILE}?format={form}")).headers["etag"]
    tag = tag.format(etag.removeprefix("W/"))
    answer = await client.ask(f"/ipfs/{BLOCK_FILE}?format={form}", If_None_Match=tag)
    assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", etag)


async def test_cars_that_differ_have_etags_that_differ(client) -> None:
    queries = ["", "&dag-scope=block", "&dag-scope=entity", "&entity-bytes=0:5", "&car-dups=y"]
    found = [(await client.ask(f"/ipfs/{MULTI}?format=car{query}")).headers["etag"] for query in queries]
    assert len(set(found)) == len(queries)


@pytest.mark.parametrize(("target", "status"), [
    ("/ipfs/nonsense?format=raw", 400),
    ("/ipfs/?format=raw", 400),
    (f"/ipfs/{BLOCK_DIR}/../x?format=car", 400),
    (f"/ipfs/{BLOCK_DIR}/%00?format=car", 400),
    (f"/ipfs/{BLOCK_DIR}?format=ipns-record", 406),
    (f"/ipfs/{BLOCK_DIR}?format=car&dag-scope=some", 400),
    (f"/ipfs/{BLOCK_DIR}?format=car&entity-bytes=5:1", 400),
    (f"/ipfs/{BLOCK_DIR}?format=car&entity-bytes=x", 400),
    (f"/ipfs/{BLOCK_DIR}?format=car&car-version=2", 400),
    (f"/ipfs/{BLOCK_DIR}?format=car&car-order=bfs", 400),
    (f"/ipfs/{MISSING}?format=car", 404),
    (f"/ipfs/{MISSING}?format=raw", 404),
    ("/ipfs/" + "b" * 9000 + "?format=raw", 400),
    ("/ipfs/" + "b" * 20000 + "?format=raw", 431),
    (f"/ipfs/{BLOCK_DIR}{'/a' * 300}?format=car", 400),
    ("/ipns/x?format=raw", 404),
    ("/", 404),
])  # fmt: skip
async def test_what_cannot_be_answered_has_a_status_and_a_reason(client, target, status) -> None:
    answer = await client.ask(target)
    assert answer.status == status
    assert status == 431 or len(answer.body) > 5


@pytest.mark.parametrize("target", [
    f"/ipfs/{MISSING}?format=raw", f"/ipfs/{MISSING}?format=car", f"/ipfs/{MISSING}", f"/ipfs/{MISSING}/a/b",
])  # fmt: skip
async def test_what_a_user_has_removed_is_410_unless_it_is_still_here(client, node, target) -> None:
    assert (await client.ask(target)).status == 404
    node.removed = {cids.parse(MISSING), cids.parse(BLOCK_DIR)}
    assert (await client.ask(target)).status == 410
    assert (await client.ask(target, Cache_Control="only-if-cached")).status == 412
    assert (await client.ask(f"/ipfs/{BLOCK_DIR}?format=raw")).status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_nothing_is_ever_written(client, method) -> None:
    answer = await client.ask(f"/ipfs/{BLOCK_FILE}?format=raw", method)
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS")


class TestBusy:
    @pytest.fixture
    def options(self) -> IpfsOptions:
        return IpfsOptions(port=0, tls=False, requests_max=2, requests_waiting_max=0)

    async def test_is_429_with_a_time_to_try_again(self, client, node) -> None:
        node.gate.clear()
        held = [asyncio.create_task(client.ask(f"/ipfs/{BLOCK_FILE}?format=raw")) for _ in range(3)]
        (refused,), waiting = await asyncio.wait(held, return_when=asyncio.FIRST_COMPLETED)
        assert (refused.result().status, refused.result().headers["retry-after"]) == (429, "2")
        node.gate.set()
        assert [answer.status for answer in await asyncio.gather(*waiting)] == [200, 200]


async def test_a_port_that_is_taken_is_told_and_does_not_keep_the_node_from_starting(gateway, again) -> None:
    second = again(IpfsOptions(tls=False, port=int(gateway.url.rsplit(":", 1)[1])))
    await second.start()
    with pytest.raises(LocalError, match="The node runs without it"):
        await second.wait()
    await gateway.stop()
    await second.start()
    await second.stop()


async def test_a_gateway_can_be_stopped_and_started(gateway: IpfsGateway) -> None:
    await gateway.stop()
    await gateway.start()
    assert gateway.url.startswith("http://127.0.0.1:")


@pytest.mark.parametrize(
    "options",
    [
        {"port": 70_000},
        {"tls_port": -1},
        {"port": 9, "tls_port": 9},
        {"requests_max": 0},
        {"connections_max": 0},
        {"requests_waiting_max": -1},
        {"tls_key": "/k.pem"},
    ],
)
def test_options_that_make_no_sense_are_refused(again, options) -> None:
    with pytest.raises(ConfigError, match=r"gateway\.ipfs"):
        again(IpfsOptions(**options))
