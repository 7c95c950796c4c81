"""Routing V1: who is named for a CID, under which addresses, and what the filters leave."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from ralnode.api import Liveness
from ralnode.dag import cid as cids
from ralnode_gateway_ipfs.options import IpfsOptions

HERE, THERE, DEAD, EMPTY = (cids.peer_id(bytes([n]) * 32) for n in range(1, 5))
DATA = b"a file of the cluster"
ROOT = cids.to_text(cids.make(cids.RAW, DATA))
NOBODY = cids.to_text(cids.make(cids.RAW, b"nothing"))


def member(name: str, host: str, **changes: Any) -> Any:
    return SimpleNamespace(
        **{"id": name, "is_me": False, "liveness": Liveness.ALIVE, "address": f"{host}:10090", **changes}
    )


@pytest.fixture(autouse=True)
def cluster(node) -> None:
    node.cluster = SimpleNamespace(
        nodes=(
            member(THERE, "192.168.1.11"),
            member(HERE, "192.168.1.10", is_me=True),
            member(DEAD, "192.168.1.12", liveness=Liveness.DEAD),
            member(EMPTY, "192.168.1.13"),
        ),
        sources=(SimpleNamespace(root=ROOT, stored={HERE: "900", THERE: "009", DEAD: "999", EMPTY: "000"}),),
    )


class TestSeveralGateways:
    @pytest.fixture
    def options(self) -> IpfsOptions:
        return IpfsOptions(port=0, peers_port=8080, tls_port=8443)

    async def test_every_live_node_with_blocks_is_named_under_both_forms(self, client) -> None:
        answer = await client.ask(f"/routing/v1/providers/{ROOT}")
        assert answer.headers["content-type"] == "application/json"
        records = json.loads(answer.body)["Providers"]
        assert [(r["Schema"], r["ID"], r["Protocols"]) for r in records] == [
            ("peer", HERE, ["transport-ipfs-gateway-http"]), ("peer", THERE, ["transport-ipfs-gateway-http"]),
        ]  # fmt: skip
        assert records[0]["Addrs"] == ["/ip4/127.0.0.1/tcp/8443/tls/http", f"/ip4/127.0.0.1/tcp/{client.port}/http"]
        assert records[1]["Addrs"] == ["/ip4/192.168.1.11/tcp/8443/tls/http", "/ip4/192.168.1.11/tcp/8080/http"]

    @pytest.mark.parametrize(("query", "left"), [
        ("filter-addrs=tls", [["tls"], ["tls"]]),
        ("filter-addrs=!tls", [["http"], ["http"]]),
        ("filter-addrs=https,webtransport,webrtc,wss,tls", [["tls"], ["tls"]]),
        ("filter-addrs=https,tcp,webrtc", [["tls", "http"], ["tls", "http"]]),
        ("filter-addrs=unknown", []),
        ("filter-addrs=webrtc", []),
        ("filter-protocols=unknown,transport-bitswap,transport-ipfs-gateway-http", [["tls", "http"], ["tls", "http"]]),
        ("filter-protocols=transport-bitswap", []),
    ])  # fmt: skip
    async def test_filters_leave_what_was_asked_for(self, client, query, left) -> None:
        records = json.loads((await client.ask(f"/routing/v1/providers/{ROOT}?{query}")).body)["Providers"]
        assert [["tls" if "/tls/" in a else "http" for a in record["Addrs"]] for record in records] == left


async def test_one_record_a_line_for_kubo(client) -> None:
    answer = await client.ask(f"/routing/v1/providers/{ROOT}", Accept="application/x-ndjson")
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert [json.loads(line)["ID"] for line in answer.body.splitlines()] == [HERE, THERE]


async def test_another_node_whose_gateway_is_unknown_has_no_address(client) -> None:
    records = json.loads((await client.ask(f"/routing/v1/providers/{ROOT}")).body)["Providers"]
    assert [len(record["Addrs"]) for record in records] == [1, 0]
    only = json.loads((await client.ask(f"/routing/v1/providers/{ROOT}?filter-addrs=http")).body)["Providers"]
    assert [record["ID"] for record in only] == [HERE]


async def test_a_block_that_is_no_root_is_named_when_it_is_here(client, node) -> None:
    node.here[cids.make(cids.RAW, b"a leaf")] = b"a leaf"
    records = json.loads(
        (await client.ask(f"/routing/v1/providers/{cids.to_text(cids.make(cids.RAW, b'a leaf'))}")).body
    )
    assert [record["ID"] for record in records["Providers"]] == [HERE]


async def test_nobody_is_200_and_short_lived(client, node) -> None:
    answer = await client.ask(f"/routing/v1/providers/{NOBODY}")
    assert (answer.status, json.loads(answer.body)) == (200, {"Providers": []})
    assert answer.headers["cache-control"].startswith("public, max-age=15,")
    assert answer.headers["vary"] == "Accept"
    assert node.asked_elsewhere == 0


async def test_a_peer_is_looked_up_by_its_id(client) -> None:
    answer = await client.ask(f"/routing/v1/peers/{HERE}")
    (record,) = json.loads(answer.body)["Peers"]
    assert record["Addrs"] == [f"/ip4/127.0.0.1/tcp/{client.port}/http"]
    assert json.loads((await client.ask(f"/routing/v1/peers/{cids.peer_id(bytes(32))}")).body) == {"Peers": []}


@pytest.mark.parametrize(("target", "method", "status"), [
    ("/routing/v1/providers/nonsense", "GET", 400),
    ("/routing/v1/peers/nonsense", "GET", 400),
    ("/routing/v1/ipns/k51", "GET", 501),
    (f"/routing/v1/dht/closest/peers/{ROOT}", "GET", 501),
    ("/routing/v1/providers", "PUT", 501),
    ("/routing/v1/", "GET", 501),
])  # fmt: skip
async def test_the_rest_is_refused(client, target, method, status) -> None:
    assert (await client.ask(target, method)).status == status
