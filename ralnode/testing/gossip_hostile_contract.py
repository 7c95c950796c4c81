"""The part of `GossipContract` that is about bad packets: foreign, forged, replayed, cut short. They change nothing."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from ralnode.api import Address, Context, Gossip, Liveness, Member, PeerError
from ralnode.testing.datagrams import Conditions
from ralnode.testing.fake_identity import FakeIdentity
from ralnode.testing.gossip_lab import GossipLab, LabNode

STRANGER = Address("10.66.6.6", 6666)


def state_of(node: LabNode) -> tuple[object, ...]:
    """Everything of a machine that can be seen from outside, its counters apart."""
    gossip = node.running
    return (tuple(gossip.members()), gossip.exchange(), gossip.wake_at)


def recorded(lab: GossipLab, seconds: float) -> list[tuple[Address, Address, bytes]]:
    """Every packet sent in that time: (source, destination, data)."""
    packets: list[tuple[Address, Address, bytes]] = []
    send = lab.network.send

    def tap(source: Address, destination: Address, data: bytes) -> None:
        packets.append((source, destination, data))
        send(source, destination, data)

    lab.network.send = tap  # type: ignore[method-assign]
    lab.clock.run_for(seconds)
    lab.network.send = send  # type: ignore[method-assign]
    return packets


def damaged(data: bytes, rng: random.Random) -> Iterator[bytes]:
    """Cut short, too long, and one bit wrong in every part of it."""
    yield from (data[:length] for length in (0, 1, 4, 16, 40, len(data) // 2, len(data) - 1))
    yield data + b"\0"
    yield data + rng.randbytes(5000)
    yield rng.randbytes(len(data))
    for at in range(0, len(data), max(1, len(data) // 64)):
        yield data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]


class GossipHostileContract:
    """Mixed into `GossipContract`."""

    def build(self, context: Context) -> Gossip:
        raise NotImplementedError

    def lab(
        self, count: int, seed: int = 1, conditions: Conditions | None = None, announce_host: str = ""
    ) -> GossipLab:
        raise NotImplementedError

    def check_refused(self, lab: GossipLab, node: LabNode, data: bytes, source: Address) -> None:
        """Nothing comes out, nothing changes, and some counter beside the one of all packets has counted it."""
        before, counted = state_of(node), dict(node.running.counters())
        assert node.running.datagram_received(data, source, lab.clock.now()) == []
        assert state_of(node) == before
        grown = {name for name, count in node.running.counters().items() if count != counted.get(name)}
        assert len(grown) >= 1, "not counted"

    def test_packets_of_another_cluster_change_nothing(self) -> None:
        lab = self.lab(3)
        foreign = GossipLab(self.build, 3, 5, identities=lambda name: FakeIdentity(name, b"another secret"))
        foreign.join_all()
        packets = recorded(foreign, 30)
        assert len(packets) > 50
        for source, _, data in packets:
            self.check_refused(lab, lab.nodes[0], data, source)

    def test_replayed_packets_change_nothing(self) -> None:
        lab = self.lab(4)
        packets = recorded(lab, 20)
        lab.clock.run_for(1)
        by_number = {node.address: node for node in lab.nodes}
        assert len(packets) > 50
        for source, destination, data in packets:
            self.check_refused(lab, by_number[destination], data, source)
            self.check_refused(lab, by_number[destination], data, STRANGER)

    def test_packets_from_before_a_restart_change_nothing(self) -> None:
        lab = self.lab(4)
        packets = recorded(lab, 20)
        lab.restart(lab.nodes[3])
        lab.exchange(lab.nodes[3], lab.nodes[0])
        lab.clock.run_for(20)
        old = [data for source, destination, data in packets if source == lab.nodes[3].address]
        assert len(old) > 5
        for data in old:
            self.check_refused(lab, lab.nodes[0], data, lab.nodes[3].address)

    def test_damaged_packets_change_nothing(self) -> None:
        lab = self.lab(3)
        lab.network.partition([lab.nodes[0].address])
        packets = recorded(lab, 20)
        fresh = [data for _, destination, data in packets if destination == lab.nodes[0].address]
        assert len(fresh) > 3
        for data in fresh[:4]:
            for bad in damaged(data, lab.rng):
                self.check_refused(lab, lab.nodes[0], bad, lab.nodes[1].address)

    def test_packets_that_a_node_sent_itself_change_nothing(self) -> None:
        lab = self.lab(3)
        for source, _, data in recorded(lab, 10):
            if source == lab.nodes[0].address:
                self.check_refused(lab, lab.nodes[0], data, source)

    def test_flood_from_one_host_is_cut_off_and_others_are_still_heard(self) -> None:
        lab = self.lab(3)
        data = recorded(lab, 5)[-1][2]
        forged = data[:-1] + bytes([data[-1] ^ 1])
        for _ in range(20_000):
            lab.nodes[0].running.datagram_received(forged, STRANGER, lab.clock.now())
        lab.clock.run_for(60)
        assert lab.everyone_agrees() and not lab.deaths(lab.nodes)

    @pytest.mark.parametrize("how", ["garbage", "cut", "bit"])
    def test_malformed_exchange_is_refused_and_changes_nothing(self, how: str) -> None:
        lab = self.lab(4)
        node, peer = lab.nodes[:2]
        good = peer.running.exchange()
        bad = {"garbage": b"\xff" * 50, "cut": good[: len(good) // 2], "bit": b"\x00" + good[1:]}[how]
        before = state_of(node)
        with pytest.raises(PeerError, match="nothing was changed"):
            node.running.exchange_received(bad, peer.id, peer.address, lab.clock.now())
        assert state_of(node) == before

    def test_no_damage_to_an_exchange_kills_or_invents_a_node(self) -> None:
        """A member that garbles its table may be refused, or believed in part; signed records cannot be bent."""
        lab = self.lab(4)
        node, peer = lab.nodes[:2]
        known = {member.id for member in node.running.members()}
        for bad in damaged(peer.running.exchange(), lab.rng):
            try:
                node.running.exchange_received(bad, peer.id, peer.address, lab.clock.now())
            except PeerError:
                continue
            assert {member.id for member in node.running.members()} == known
            assert not any(member.liveness is Liveness.DEAD for member in node.running.members())

    def test_cloned_key_is_noticed_and_counted(self) -> None:
        lab = self.lab(4)
        clone = lab.add(lab.nodes[1].identity)
        clone.boot = lab.nodes[1].boot - 1
        lab.start(clone)
        lab.exchange(clone, lab.nodes[0])
        lab.exchange_every(10)
        lab.clock.run_for(60)
        assert any(node.running.counters().get("cloned_key", 0) for node in lab.nodes)
        others = [node for node in lab.nodes if node.id != clone.id]
        assert lab.all_see(others, others, Liveness.ALIVE), "the rest of the cluster must not suffer"

    def test_stranger_with_the_secret_is_not_believed_about_others(self) -> None:
        """Somebody with the cluster secret but another key cannot speak in a node's name over the transport."""
        lab = self.lab(3)
        node, victim = lab.nodes[:2]
        forged = victim.running.exchange()
        with pytest.raises(PeerError):
            node.running.exchange_received(forged, b"m" * 32, STRANGER, lab.clock.now())
        assert Member(victim.id, "node1", victim.address, 10090).address in {m.address for m in node.running.members()}
