"""What is announced, what is believed of others' announcements, and how it ends. The LAN itself is in tests/net."""

from __future__ import annotations

import asyncio
import random
import socket

import pytest
from zeroconf import InterfaceChoice, IPVersion
from zeroconf.asyncio import AsyncServiceInfo

from ralnode.api import Address, ConfigError, Hint, LocalError
from ralnode.testing.fake_identity import FakeIdentity
from ralnode.testing.gossip_lab import make_context
from ralnode_discovery_mdns import MdnsDiscovery, MdnsOptions, provide_discovery
from ralnode_discovery_mdns.interfaces import usable
from ralnode_discovery_mdns.options import ADDRESSES_MAX, SERVICES_MAX
from ralnode_discovery_mdns.service import SERVICE_TYPE, describe, group_tag, hints_of

NOWHERE = "203.0.113.77"
"""A documentation address that no machine has."""


def make(name="node1", listen_host="127.0.0.1", secret=b"test cluster", **options):
    context = make_context(FakeIdentity(name, secret), 1, random.Random(name), name, listen_host)
    return MdnsDiscovery(context, MdnsOptions(**options))


# --- what is announced


def test_group_tag_is_equal_in_a_cluster_and_different_elsewhere():
    tags = [group_tag(FakeIdentity(name, secret)) for name, secret in (("a", b"1"), ("b", b"1"), ("a", b"2"))]
    assert tags[0] == tags[1] != tags[2]
    assert len(bytes.fromhex(tags[0].decode())) == 8


def test_announcement_says_group_tag_and_port_and_nothing_of_the_node():
    identity = FakeIdentity("attic-nas")
    info = describe(identity, 10090, ["10.0.0.5"])
    assert info.type == "_ralnode._tcp.local."
    assert info.properties == {b"g": group_tag(identity)}
    assert info.port == 10090
    assert info.parsed_addresses() == ["10.0.0.5"]
    said = f"{info.name} {info.server} {info.text!r}".encode()
    for secret in (b"attic", identity.id, identity.id.hex().encode(), b"test cluster"):
        assert secret not in said


def test_instance_name_outlives_restarts_and_is_each_nodes_own():
    names = [describe(FakeIdentity(name), 1, ["10.0.0.1"]).name for name in ("a", "a", "b")]
    assert names[0] == names[1] != names[2]


# --- what is believed


def announcement(tag=None, port=10090, addresses=("10.0.0.5",), name="x", **properties):
    tag = group_tag(FakeIdentity("me")) if tag is None else tag
    return AsyncServiceInfo(
        SERVICE_TYPE,
        f"{name}.{SERVICE_TYPE}",
        port=port,
        properties={b"g": tag, **properties},
        server=f"{name}.local.",
        parsed_addresses=list(addresses),
    )


@pytest.mark.parametrize(
    ("info", "hosts"),
    [
        (announcement(), ["10.0.0.5"]),
        (announcement(addresses=("10.0.0.5", "192.168.1.5")), ["10.0.0.5", "192.168.1.5"]),
        (announcement(addresses=("fd00::5",)), ["fd00::5"]),
        (announcement(tag=b"0123456789abcdef"), []),
        (announcement(tag=b""), []),
        (announcement(port=0), []),
        (announcement(addresses=()), []),
        (announcement(more=b"of a later version"), ["10.0.0.5"]),
    ],
)
def test_hints_come_from_our_group_only(info, hosts):
    tag = group_tag(FakeIdentity("somebody else in the cluster"))
    assert hints_of(info, tag) == [Hint(Address(host, 10090), "mdns") for host in hosts]


def test_one_announcement_gives_a_bounded_number_of_hints():
    many = announcement(addresses=[f"10.0.1.{number}" for number in range(1, 200)])
    assert len(hints_of(many, group_tag(FakeIdentity("me")))) == ADDRESSES_MAX


def test_flood_of_invented_services_is_remembered_within_bounds():
    discovery = make()
    heard = []
    discovery._report = heard.append
    for number in range(SERVICES_MAX + 50):
        discovery._learn(announcement(name=f"x{number}"))
    assert len(discovery._known) == SERVICES_MAX
    assert len(heard) == SERVICES_MAX + 50


# --- where


@pytest.mark.parametrize("host", ["0.0.0.0", ""])
def test_every_interface_is_used_and_useful_addresses_are_announced(host):
    found = usable(host)
    assert found.ip_version is IPVersion.V4Only
    assert "127.0.0.1" in found.spoken_on
    assert found.announced
    assert found.announced == ["127.0.0.1"] or not any(each.startswith("127.") for each in found.announced)
    assert not any(":" in each for each in found.announced)


def test_bound_address_is_the_only_one_used():
    assert usable("127.0.0.1") == (["127.0.0.1"], IPVersion.V4Only, ["127.0.0.1"])
    assert usable("fe80::1%2") == (["fe80::1%2"], IPVersion.V6Only, ["fe80::1"])
    assert usable("::").spoken_on is InterfaceChoice.All


@pytest.mark.parametrize("host", [NOWHERE, "::1"])
async def test_address_without_multicast_is_an_error_with_a_way_out(host, recwarn):
    discovery = make(listen_host=host)
    for _ in range(2):
        with pytest.raises(LocalError, match=r"cannot use mDNS on .*known_peers"):
            await discovery.start(lambda hint: None, 10090)
    await discovery.stop()
    assert len(asyncio.all_tasks()) == 1


@pytest.mark.parametrize("wrong", [{"announce_seconds": 0}, {"lookup_seconds": -1}])
def test_impossible_times_are_refused(wrong):
    with pytest.raises(ConfigError):
        MdnsOptions(**wrong)


def test_provider_builds_it_without_io(monkeypatch):
    monkeypatch.setattr(socket, "socket", None)
    provider = provide_discovery()
    context = make_context(FakeIdentity("me"), 1, random.Random(1))
    assert provider.name == "mdns"
    assert isinstance(provider.build(context, provider.options()), MdnsDiscovery)


# --- life, over loopback


@pytest.fixture
def loopback():
    try:
        usable("127.0.0.1")
    except OSError as reason:
        pytest.skip(f"no multicast over loopback here: {reason}")


async def test_two_on_one_machine_find_each_other_and_close_cleanly(loopback):
    found = {}
    nodes = [make(f"node{number}", announce_seconds=0.5) for number in range(3)]
    other = make("stranger", secret=b"another", announce_seconds=0.5)
    nodes.append(other)
    await asyncio.gather(
        *(node.start(found.setdefault(number, []).append, 10090 + number) for number, node in enumerate(nodes))
    )
    services = [asyncio.create_task(node.wait()) for node in nodes]
    async with asyncio.timeout(30):
        while not all(len({hint.address.port for hint in found[number]}) == 2 for number in range(3)):
            await asyncio.sleep(0.05)
    assert {hint.address for hint in found[0]} == {Address("127.0.0.1", 10091), Address("127.0.0.1", 10092)}
    assert found[3] == []
    await nodes[1].stop()
    services[1].cancel()
    async with asyncio.timeout(30):
        while len(nodes[0]._known) == 2:
            await asyncio.sleep(0.05)
    for service in services:
        service.cancel()
    await asyncio.wait(services)
    await asyncio.gather(*(node.stop() for node in nodes))
    assert len(asyncio.all_tasks()) == 1


async def test_stop_in_the_middle_of_a_start_leaves_nothing(loopback):
    discovery = make()
    starting = asyncio.create_task(discovery.start(lambda hint: None, 10090))
    await asyncio.sleep(0.3)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    await discovery.stop()
    assert len(asyncio.all_tasks()) == 1


async def test_it_can_be_started_again_after_a_stop(loopback):
    discovery, other = make("node1"), make("node2")
    heard = []
    for _ in range(2):
        await discovery.start(heard.append, 10091)
        await discovery.stop()
    await asyncio.gather(discovery.start(heard.append, 10091), other.start(lambda hint: None, 10092))
    async with asyncio.timeout(30):
        while not heard:
            await asyncio.sleep(0.05)
    await discovery.stop()
    await other.stop()
