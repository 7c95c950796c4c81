"""The same with the node's real identity: Ed25519 signatures, HKDF of the cluster secret, AES-256-GCM."""

from __future__ import annotations

import hashlib

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ralnode.api import Address, Liveness, Member
from ralnode.host.identity import NodeIdentity
from ralnode.testing.gossip_lab import GossipLab
from ralnode_gossip_swim import Swim, SwimOptions, exchange
from ralnode_gossip_swim.records import Notary


@pytest.fixture
def lab(tmp_path):
    def identity(name):
        key = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())
        return NodeIdentity(key, b"s" * 32, tmp_path)

    lab = GossipLab(lambda context: Swim(context, SwimOptions()), 5, identities=identity)
    lab.join_all()
    assert lab.clock.run_until_true(lab.everyone_agrees, 10)
    return lab


def test_nodes_with_real_keys_find_each_other_and_notice_a_death(lab):
    lab.clock.run_for(30)
    assert lab.everyone_agrees() and not lab.deaths(lab.nodes)
    lab.crash(lab.nodes[4])
    assert lab.clock.run_until_true(lambda: lab.all_see(lab.running, [lab.nodes[4]], Liveness.DEAD), 15)


@pytest.mark.parametrize("signer", ["the node", "another"])
def test_record_is_believed_only_with_the_nodes_own_signature(lab, signer):
    node, teller, subject = lab.nodes[:3]
    moved = Member(subject.id, "moved", Address("10.0.0.99", 9090), 10090)
    signed = Notary((subject if signer == "the node" else teller).identity).alive(moved, (1, 7))
    own = exchange.read(teller.running.exchange()).rows[0].signed
    table = cbor2.dumps([1, [[*own, "", 0, 0, None, None], [*signed, "", 0, 0, None, None]]])
    node.running.exchange_received(table, teller.id, teller.address, lab.clock.now())
    [seen] = [member for member in node.running.members() if member.id == subject.id]
    assert seen.name == ("moved" if signer == "the node" else "node2")
    assert node.running.counters()["bad_signatures"] == (0 if signer == "the node" else 1)
