"""Which addresses a node tells its peers."""

import pytest

from ralnode.api import Address
from ralnode.host import addresses as module
from ralnode.host.addresses import addresses_of


class Ip:
    def __init__(self, ip: str) -> None:
        self.is_IPv4 = ":" not in ip
        self.ip = ip if self.is_IPv4 else (ip, 0, 0)


class Adapter:
    def __init__(self, name: str, *ips: str) -> None:
        self.nice_name = name
        self.ips = [Ip(ip) for ip in ips]


ADAPTERS = [
    Adapter("lo", "127.0.0.1", "::1"),
    Adapter("docker0", "172.17.0.1"),
    Adapter("br-4f1", "172.18.0.1"),
    Adapter("wlan0", "192.168.1.20", "fe80::1", "fd00::20"),
    Adapter("eth0", "192.168.1.7", "169.254.3.4"),
]


@pytest.fixture(autouse=True)
def _machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.ifaddr, "get_adapters", lambda: ADAPTERS)


CASES = [
    ("0.0.0.0", ["192.168.1.7", "192.168.1.20"]),
    ("::", ["192.168.1.7", "192.168.1.20", "fd00::20"]),
    ("192.168.1.7", ["192.168.1.7"]),
    ("127.0.0.1", ["127.0.0.1"]),
    ("attic.local", ["attic.local"]),
]


@pytest.mark.parametrize(("listen", "hosts"), CASES)
def test_what_peers_can_reach_is_told(listen: str, hosts: list[str]) -> None:
    assert addresses_of(listen, 10) == tuple(Address(host, 10) for host in hosts)


def test_the_owners_word_comes_first() -> None:
    assert addresses_of("192.168.1.7", 10, [Address("nat.example", 99)]) == (
        Address("nat.example", 99),
        Address("192.168.1.7", 10),
    )


def test_a_machine_without_a_network_still_names_its_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.ifaddr, "get_adapters", lambda: ADAPTERS[:2])
    assert addresses_of("0.0.0.0", 10) == (Address("127.0.0.1", 10),)


def test_the_list_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.ifaddr, "get_adapters", lambda: [Adapter("e", *(f"10.0.0.{n}" for n in range(50)))])
    assert len(addresses_of("0.0.0.0", 10)) == module.ADDRESSES_MAX
