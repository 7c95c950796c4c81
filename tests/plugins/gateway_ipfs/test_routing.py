"""Routing V1: who is named for a CID, under which addresses, and what the filters leave."""

import json
from dataclasses import replace

import pytest

from ralnode.api import Address, NodeInfo
from ralnode.dag import cid as cids
from ralnode_gateway_ipfs.options import IpfsOptions

HERE, THERE = (cids.peer_id(bytes([n]) * 32) for n in (1, 2))
DATA = b"a file of the cluster"
ROOT = cids.to_text(cids.make(cids.RAW, DATA))
NOBODY = cids.to_text(cids.make(cids.RAW, b"nothing"))


def member(number: int, host: str, port: int = 0, tls_port: int = 0) -> NodeInfo:
    return NodeInfo(
        bytes([number]) * 32,
        f"n{number}",
        1,
        addresses=(Address(host, 10090),),
        gateway_port=port,
        gateway_tls_port=tls_port,
    )


@pytest.fixture(autouse=True)
def cluster(node) -> None:
    """Two hold the file; a third is alive and holds nothing; a fourth that held it has died, so nobody speaks of it."""
    node.others = [member(2, "192.168.1.11", 8080, 8443), member(4, "192.168.1.13", 8080)]
    node.holding = {cids.parse(ROOT): [bytes([1]) * 32, bytes([2]) * 32]}


class TestSeveralGateways:
    @pytest.fixture
    def options(self) -> IpfsOptions:
        return IpfsOptions(port=0, tls_port=0)

    async def test_every_live_node_with_blocks_is_named_under_both_forms(self, client, gateway) -> None:
        answer = await client.ask(f"/routing/v1/providers/{ROOT}")
        assert answer.headers["content-type"] == "application/json"
        records = json.loads(answer.body)["Providers"]
        assert [(r["Schema"], r["ID"], r["Protocols"]) for r in records] == [
            ("peer", HERE, ["transport-ipfs-gateway-http"]), ("peer", THERE, ["transport-ipfs-gateway-http"]),
        ]  # fmt: skip
        tls_port = gateway.listening().tls_port
        assert records[0]["Addrs"] == [
            f"/ip4/127.0.0.1/tcp/{client.port}/http",
            f"/ip4/127.0.0.1/tcp/{tls_port}/tls/http",
        ]
        assert records[1]["Addrs"] == ["/ip4/192.168.1.11/tcp/8080/http", "/ip4/192.168.1.11/tcp/8443/tls/http"]

    async def test_a_node_with_several_addresses_is_named_under_each_but_no_more_than_kubo_takes(
        self, client, node
    ) -> None:
        hosts = ["192.168.1.11", "fd00::11", "nas.example.org", "10.0.0.11", "10.0.0.12"]
        node.others = [replace(node.others[0], addresses=tuple(Address(host, 10090) for host in hosts))]
        records = json.loads((await client.ask(f"/routing/v1/providers/{ROOT}")).body)["Providers"]
        names = ["/ip4/192.168.1.11", "/ip6/fd00::11", "/dns/nas.example.org", "/ip4/10.0.0.11"]
        assert records[1]["Addrs"] == [
            *(f"{name}/tcp/8080/http" for name in names), *(f"{name}/tcp/8443/tls/http" for name in names),
        ]  # fmt: skip

    async def test_a_public_gateway_is_named_under_its_other_addresses_too(self, client, node, gateway) -> None:
        node.me = replace(node.me, gateway_port=client.port, gateway_tls_port=gateway.listening().tls_port)
        (record,) = json.loads((await client.ask(f"/routing/v1/peers/{HERE}")).body)["Peers"]
        assert [address.split("/")[2] for address in record["Addrs"]] == ["127.0.0.1", "192.168.1.10"] * 2

    @pytest.mark.parametrize(("query", "left"), [
        ("filter-addrs=tls", [["tls"], ["tls"]]),
        ("filter-addrs=!tls", [["http"], ["http"]]),
        ("filter-addrs=https,webtransport,webrtc,wss,tls", [["tls"], ["tls"]]),
        ("filter-addrs=https,tcp,webrtc", [["http", "tls"], ["http", "tls"]]),
        ("filter-addrs=unknown", []),
        ("filter-addrs=webrtc", []),
        ("filter-protocols=unknown,transport-bitswap,transport-ipfs-gateway-http", [["http", "tls"], ["http", "tls"]]),
        ("filter-protocols=transport-bitswap", []),
    ])  # fmt: skip
    async def test_filters_leave_what_was_asked_for(self, client, query, left) -> None:
        records = json.loads((await client.ask(f"/routing/v1/providers/{ROOT}?{query}")).body)["Providers"]
        assert [["tls" if "/tls/" in a else "http" for a in record["Addrs"]] for record in records] == left


async def test_one_record_a_line_for_kubo(client) -> None:
    answer = await client.ask(f"/routing/v1/providers/{ROOT}", Accept="application/x-ndjson")
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert [json.loads(line)["ID"] for line in answer.body.splitlines()] == [HERE, THERE]


async def test_another_node_whose_gateway_is_unknown_has_no_address(client, node) -> None:
    """As every ralnode before 2026-11-22."""
    node.others[0] = member(2, "192.168.1.11")
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


async def test_a_block_that_is_no_root_and_only_elsewhere_is_named_there_and_here(client, node) -> None:
    """Helia, and Kubo when it has lost its session, ask for every leaf. This node fetches it from the other one."""
    leaf = cids.make(cids.RAW, b"a leaf")
    node.elsewhere[leaf] = b"a leaf"
    records = json.loads((await client.ask(f"/routing/v1/providers/{cids.to_text(leaf)}")).body)["Providers"]
    assert [record["ID"] for record in records] == [HERE, *(cids.peer_id(other.id) for other in node.others)]


async def test_what_is_in_its_cid_is_here(client) -> None:
    records = json.loads((await client.ask("/routing/v1/providers/bafkqaaa")).body)["Providers"]
    assert [record["ID"] for record in records] == [HERE]


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
