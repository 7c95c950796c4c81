"""Whole tables go only where they are needed: in a large cluster that agrees, an exchange is a few hundred bytes."""

from __future__ import annotations

import pytest

from ralnode.api import Liveness
from ralnode.testing.gossip_lab import GossipLab
from ralnode_gossip_swim import exchange
from ralnode_gossip_swim.options import WHOLE_TABLE_MEMBERS

COUNT = 60


@pytest.fixture
def lab(swim):
    """Sixty nodes that agree and have found out that they do."""
    lab = GossipLab(swim(), COUNT)
    lab.join_all()
    assert lab.clock.run_until_true(lab.everyone_agrees, 30)
    lab.join_all()
    return lab


def row_counts(lab):
    return {len(exchange.read(node.running.exchange()).rows) for node in lab.running}


def test_nodes_that_agree_send_their_own_row_only(lab):
    assert row_counts(lab) == {1}
    assert len(lab.nodes[0].running.exchange()) < 300


def test_small_clusters_always_send_everything(swim):
    lab = GossipLab(swim(), 8)
    for _ in range(3):
        lab.join_all()
        lab.clock.run_for(5)
    assert row_counts(lab) == {8} and WHOLE_TABLE_MEMBERS >= 8


def test_equal_tables_have_equal_fingerprints_whatever_way_they_came_about(lab, insider):
    prints = {exchange.read(node.running.exchange()).fingerprint for node in lab.nodes}
    assert len(prints) == 1
    lab.crash(lab.nodes[7])
    assert lab.clock.run_until_true(lambda: lab.all_see(lab.running, [lab.nodes[7]], Liveness.DEAD), 30)
    without = {exchange.read(node.running.exchange()).fingerprint for node in lab.running}
    assert len(without) == 1 and without != prints
    lab.start(lab.nodes[7])
    lab.exchange(lab.nodes[7], lab.nodes[0])
    assert lab.clock.run_until_true(lab.everyone_agrees, 10)
    again = {exchange.read(node.running.exchange()).fingerprint for node in lab.running}
    assert len(again) == 1 and again not in (prints, without), "another boot is another stamp"


def test_newcomer_gets_the_whole_table_from_its_first_exchange(lab):
    newcomer = lab.add()
    lab.start(newcomer)
    lab.exchange(newcomer, lab.nodes[30])
    assert lab.all_see([newcomer], lab.nodes, Liveness.ALIVE)


def test_newcomer_that_is_called_gets_it_with_the_second_exchange_at_the_latest(lab):
    newcomer = lab.add()
    lab.start(newcomer)
    lab.exchange(lab.nodes[30], newcomer)
    lab.exchange(lab.nodes[30], newcomer)
    assert lab.all_see([newcomer], lab.nodes, Liveness.ALIVE)


def test_large_partition_heals_within_a_minute(lab):
    lab.network.partition([node.address for node in lab.nodes[:20]])
    lab.clock.run_for(60)
    lab.network.heal()
    lab.exchange_every(30)
    assert lab.clock.run_until_true(lab.everyone_agrees, 60)


@pytest.mark.parametrize("asks", [True, False])
def test_a_dead_node_that_is_met_hears_of_its_death_at_once(lab, asks):
    """Else it could not refute, and those who have not met it would go on holding it for dead."""
    lone = lab.nodes[11]
    lab.network.partition([lone.address])
    lab.clock.run_for(40)
    assert lab.all_see(lab.nodes[:5], [lone], Liveness.DEAD)
    lab.network.heal()
    lab.exchange(*((lone, lab.nodes[0]) if asks else (lab.nodes[0], lone)))
    [row] = [row for row in exchange.read(lab.nodes[0].running.exchange()).rows if row.claim.id == lone.id]
    assert row.state is Liveness.DEAD, "in our table until it has refuted"
    lab.clock.run_for(0.1)
    assert lone.running.counters()["refutations"] >= 1
    assert lab.clock.run_until_true(lambda: lab.all_see(lab.nodes, [lone], Liveness.ALIVE), 10)
