"""Versions of a thousand authors: newest wins, everybody hears, membership and versions do not starve each other."""

from __future__ import annotations

from ralnode.api import Liveness, Versions
from ralnode.testing.datagrams import Conditions
from ralnode.testing.gossip_lab import GossipLab


def joined(build, count, conditions=None):
    lab = GossipLab(build, count, 1, conditions)
    lab.join_all()
    assert lab.clock.run_until_true(lab.everyone_agrees, 30)
    lab.clock.run_for(20)
    return lab


def test_a_thousand_authors_are_kept_up_with(swim):
    """Twenty nodes tell of fifty authors each at the same moment. An epidemic misses a few; the engine's sync finds those."""
    lab = joined(swim(), 20)
    authors = [number.to_bytes(32, "big") for number in range(1, 1001)]
    for number, author in enumerate(authors):
        lab.announce(lab.nodes[number % 20], author, Versions(1, number))
    lab.clock.run_for(20)
    counts = [len(node.heard) for node in lab.nodes]
    assert min(counts) >= 950 * 0.99 and sum(counts) >= 20 * 950 * 0.998
    expected = {author: Versions(1, number) for number, author in enumerate(authors)}
    assert all(expected[author] == versions for node in lab.nodes for author, versions in node.heard.items())
    assert {node.running.counters()["rumours_waiting"] for node in lab.nodes} == {0}


def test_a_busy_author_costs_one_rumour_at_a_time(swim):
    lab = joined(swim(), 6)
    author = lab.nodes[0]
    for number in range(500):
        lab.announce(author, author.id, Versions(7, number))
        lab.clock.run_for(0.01)
    assert author.running.counters()["rumours_waiting"] == 1
    lab.clock.run_for(5)
    assert {node.heard[author.id] for node in lab.nodes[1:]} == {Versions(7, 499)}


def test_versions_are_merged_number_by_number(swim):
    lab = joined(swim(), 3)
    author = lab.nodes[2].id
    lab.announce(lab.nodes[0], author, Versions(5, 1))
    lab.announce(lab.nodes[1], author, Versions(1, 5))
    lab.clock.run_for(5)
    assert lab.nodes[0].heard[author] == lab.nodes[1].heard[author] == Versions(5, 5)


def test_a_death_is_known_in_time_while_versions_flood(swim):
    lab = joined(swim(), 10, Conditions(loss=0.05))
    authors = [number.to_bytes(32, "big") for number in range(1, 501)]
    lab.crash(lab.nodes[9])
    for second in range(15):
        for number, author in enumerate(authors):
            lab.announce(lab.nodes[number % 9], author, Versions(second, 0))
        lab.clock.run_for(1)
    assert lab.all_see(lab.running, [lab.nodes[9]], Liveness.DEAD)
    assert len(lab.deaths(lab.nodes)) == 9


def test_versions_spread_while_hundreds_join(swim):
    """Mass joins must not keep versions waiting for minutes."""
    lab = GossipLab(swim(), 120)
    lab.join_all()
    lab.clock.run_for(0.5)
    lab.announce(lab.nodes[0], lab.nodes[0].id, Versions(1, 1))
    lab.clock.run_for(3)
    assert sum(lab.nodes[0].id in node.heard for node in lab.nodes) >= 118


def test_forgotten_members_leave_no_versions_behind(swim):
    lab = joined(swim(dead_kept_seconds=60), 2)
    author = lab.nodes[1].id
    lab.announce(lab.nodes[1], author, Versions(3, 3))
    lab.clock.run_for(2)
    lab.crash(lab.nodes[1])
    lab.clock.run_for(120)
    assert len(lab.nodes[0].running._versions) == 0
    assert lab.nodes[0].running.counters()["rumours_waiting"] == 0
