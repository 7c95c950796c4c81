"""Builders for the tests of this plugin."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence

import pytest

from ralnode.api import Address, Context, Gossip, Member, SendDatagram
from ralnode.testing.fake_identity import FakeIdentity
from ralnode.testing.gossip_lab import GossipLab, LabNode
from ralnode_gossip_swim import AesGcm, NullCipher, Swim, SwimOptions, packets
from ralnode_gossip_swim.records import Notary, Signed
from ralnode_gossip_swim.sealing import Sealer

Build = Callable[..., Callable[[Context], Gossip]]


@pytest.fixture
def swim() -> Build:
    """`swim(option=value, …)` is a builder for the lab, without encryption."""

    def with_options(**changes: float) -> Callable[[Context], Gossip]:
        return lambda context: Swim(context, SwimOptions(**changes), NullCipher)

    return with_options


class Insider:
    """Somebody who has the cluster's secret and a key of his own, and writes whatever packets he likes."""

    def __init__(self, name: str = "mallory", boot: int = 1, cipher: type = NullCipher) -> None:
        self.identity = FakeIdentity(name)
        self.id = self.identity.id
        self.address = Address("10.0.0.250", 9090)
        self.notary = Notary(self.identity)
        self.boot = boot
        self.sealer = Sealer(self.identity, SwimOptions(), cipher, Counter())
        self.sealer.begin(boot, random.Random(name).randbytes(4))

    def packet(self, rumours: Sequence[bytes] = (), head: bytes | None = None) -> bytes:
        return self.sealer.seal(packets.with_rumours(head or packets.gossip(), rumours))

    def alive(self, incarnation: int = 0, *, name: str = "mallory", host: str = "10.0.0.250") -> Signed:
        return self.notary.alive(Member(self.id, name, Address(host, 9090), 10090), (self.boot, incarnation))

    def tell(self, lab: GossipLab, node: LabNode, *rumours: bytes, head: bytes | None = None) -> list[SendDatagram]:
        """Delivers a packet at once; returns what the node sends in answer (and carries it out)."""
        outputs = node.running.datagram_received(self.packet(rumours, head), self.address, lab.clock.now())
        lab.carry_out(node, outputs)
        return [output for output in outputs if isinstance(output, SendDatagram)]


@pytest.fixture
def insider() -> Insider:
    return Insider()


@pytest.fixture
def make_insider() -> type[Insider]:
    return Insider


@pytest.fixture
def aes() -> type[AesGcm]:
    return AesGcm
