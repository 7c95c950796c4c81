"""The Trustless Gateway as a peer sees it: tables like those of the conformance suite, over real TLS."""

from __future__ import annotations

import asyncio
import http.client
import ssl
from pathlib import Path

import pytest

from ralnode.api import Context, Identity, Transport
from ralnode.dag import cid as cids
from ralnode.dag.car import CarReader
from ralnode.host.identity import open_identity
from ralnode.testing.content import content
from ralnode.testing.store_under_test import make_block
from ralnode.testing.transport_under_test import Node, TransportUnderTest
from ralnode_transport_http import HttpOptions, HttpTransport

RAW = "application/vnd.ipld.raw"
CAR = "application/vnd.ipld.car"
DATA = content("gateway", 300_000)
MISSING = cids.to_text(make_block(1).key)


class Answer:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        try:
            self.body, self.is_whole = response.read(), True
        except http.client.IncompleteRead as error:
            self.body, self.is_whole = error.partial, False

    @property
    def cids(self) -> list[bytes]:
        """Of the CAR in the body, each block verified."""
        reader = CarReader()
        found = [block.key for block in reader.feed(self.body)]
        if self.is_whole:
            reader.finish()
        return found


class Client:
    """Another program of a member of the cluster."""

    def __init__(self, us: Node, them: Node) -> None:
        self._us = us
        self._them = them

    async def ask(self, target: str, method: str = "GET", **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await asyncio.to_thread(self._ask, target, method, named)

    def _ask(self, target: str, method: str, headers: dict[str, str]) -> Answer:
        tls: ssl.SSLContext = self._us.identity.client_tls()
        connection = http.client.HTTPSConnection(*self._them.address, context=tls, timeout=30)
        try:
            connection.request(method, target, headers=headers)
            return Answer(connection.getresponse())
        finally:
            connection.close()


class TestGateway(TransportUnderTest):
    def build(self, context: Context) -> Transport:
        return HttpTransport(context, HttpOptions())

    def identity(self, folder: Path, secret: bytes) -> Identity:
        return open_identity(folder, secret)

    @pytest.fixture
    def client(self, us: Node, them: Node) -> Client:
        return Client(us, them)

    @pytest.fixture
    async def root(self, them: Node) -> bytes:
        return await them.service.add(DATA)

    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    @pytest.mark.parametrize("how", ["query", "accept"])
    async def test_a_raw_block(self, client: Client, root: bytes, method: str, how: str) -> None:
        text = cids.to_text(root)
        target = f"/ipfs/{text}" + ("?format=raw" if how == "query" else "")
        answer = await client.ask(target, method, **({"accept": RAW} if how == "accept" else {}))
        assert answer.status == 200
        assert answer.headers["content-type"] == RAW
        assert answer.headers["etag"] == f'"{text}.raw"'
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert sum(len(name) + len(value) + 4 for name, value in answer.headers.items()) < 2048
        if method == "GET":
            assert cids.verify(root, answer.body)
            assert answer.headers["content-length"] == str(len(answer.body))
        else:
            assert answer.body == b""

    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    @pytest.mark.parametrize("form", ["raw", "car"])
    async def test_the_probe_is_answered_by_every_node(
        self, client: Client, them: Node, method: str, form: str
    ) -> None:
        answer = await client.ask(f"/ipfs/bafkqaaa?format={form}", method)
        assert answer.status == 200
        if form == "raw":
            assert (answer.body, answer.headers["content-length"]) == (b"", "0")
        elif method == "GET":
            assert answer.cids == []

    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    @pytest.mark.parametrize("form", ["raw", "car"])
    async def test_what_is_not_here_is_not_found_or_fails_the_condition(
        self, client: Client, root: bytes, method: str, form: str
    ) -> None:
        target = f"/ipfs/{MISSING}?format={form}"
        assert (await client.ask(target, method)).status == 404
        assert (await client.ask(target, method, cache_control="only-if-cached")).status == 412

    async def test_a_head_that_misses_reads_no_block(self, client: Client, them: Node, root: bytes) -> None:
        async def never(key: bytes) -> bytes | None:
            raise AssertionError("a block was read")

        them.service.block = never  # type: ignore[method-assign]
        assert (await client.ask(f"/ipfs/{MISSING}?format=raw", "HEAD")).status == 404
        assert (await client.ask(f"/ipfs/{cids.to_text(root)}?format=raw", "HEAD")).status == 200

    @pytest.mark.parametrize(
        ("status", "target", "accept"),
        [
            (400, "/ipfs/{}", "*/*"),
            (400, "/ipfs/{}", "text/html"),
            (400, "/ipfs/nonsense?format=raw", "*/*"),
            (400, "/ipfs/{}/file?format=raw", "*/*"),
            (406, "/ipfs/{}?format=tar", RAW),
            (400, "/ipfs/{}?format=car&dag-scope=nonsense", "*/*"),
            (400, "/ipfs/{}?format=car&entity-bytes=5:3", "*/*"),
            (200, "/ipfs/{}?format=raw", CAR),
            (200, "/ipfs/%62{}?format=raw", "*/*"),
        ],
    )
    async def test_requests_that_are_wrong_say_so(
        self, client: Client, root: bytes, status: int, target: str, accept: str
    ) -> None:
        text = cids.to_text(root)
        shown = target.format(text[1:] if "%62" in target else text)
        assert (await client.ask(shown, accept=accept)).status == status

    async def test_a_client_that_has_the_block_gets_304(self, client: Client, root: bytes) -> None:
        target = f"/ipfs/{cids.to_text(root)}?format=raw"
        tag = (await client.ask(target)).headers["etag"]
        answer = await client.ask(target, if_none_match=tag)
        assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", tag)

    async def test_a_version_0_cid_finds_the_block_by_its_hash(self, client: Client, them: Node, root: bytes) -> None:
        version_0 = root[2:]
        answer = await client.ask(f"/ipfs/{cids.to_text(version_0)}?format=raw")
        assert answer.status == 200
        assert cids.verify(root, answer.body)

    async def test_a_car_brings_the_whole_dag_depth_first(self, client: Client, them: Node, root: bytes) -> None:
        answer = await client.ask(f"/ipfs/{cids.to_text(root)}", accept=CAR)
        assert answer.headers["content-type"] == f"{CAR}; version=1; order=dfs; dups=n"
        dag = them.service.sources[root]
        assert answer.cids[0] == root
        assert set(answer.cids) == {*dag.interior, *dag.leaves}
        assert [cid for cid in answer.cids if cids.codec_of(cid) == cids.RAW] == list(dag.leaves)

    async def test_a_car_of_some_bytes(self, client: Client, them: Node, root: bytes) -> None:
        answer = await client.ask(f"/ipfs/{cids.to_text(root)}?format=car&entity-bytes=16384:16385")
        leaves = [cid for cid in answer.cids if cids.codec_of(cid) == cids.RAW]
        assert leaves == [them.service.sources[root].leaves[1]]

    async def test_a_car_with_a_hole_is_cut_off_so_that_the_reader_notices(
        self, client: Client, them: Node, root: bytes
    ) -> None:
        await them.service.storage.delete([them.service.sources[root].leaves[9]])
        answer = await client.ask(f"/ipfs/{cids.to_text(root)}?format=car")
        assert answer.status == 200
        assert not answer.is_whole
        assert len(answer.cids) >= 8
