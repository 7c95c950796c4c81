"""How soon a death is known, and that nobody dies who lives. Reference: the table of memberlist's constants, N = 3 to 50."""

from __future__ import annotations

from statistics import mean

import pytest

from ralnode.api import Liveness
from ralnode.testing.datagrams import Conditions
from ralnode.testing.gossip_lab import GossipLab

LOSSY = Conditions(loss=0.1, jitter_seconds=0.01)


def joined(build, count, seed=1, conditions=None):
    lab = GossipLab(build, count, seed, conditions)
    lab.join_all()
    assert lab.clock.run_until_true(lab.everyone_agrees, 30)
    return lab


@pytest.mark.parametrize(
    ("count", "seeds", "mean_seconds", "max_seconds"),
    [(2, 20, 5.7, 7.0), (3, 20, 5.7, 8.0), (5, 20, 6.2, 9.0), (10, 15, 6.1, 9.0), (50, 4, 8.8, 10.0)],
)
def test_everybody_knows_of_a_death_when_the_reference_says(swim, count, seeds, mean_seconds, max_seconds):
    known_after = []
    for seed in range(seeds):
        lab = joined(swim(), count, seed)
        lab.clock.run_for(10 + lab.rng.random())
        lab.crash(lab.nodes[count // 2])
        crashed_at = lab.clock.seconds
        assert lab.clock.run_until_true(lambda: lab.all_see(lab.running, lab.nodes, Liveness.DEAD, Liveness.ALIVE), 30)  # noqa: B023
        lab.clock.run_for(20)
        deaths = lab.deaths(lab.nodes)
        assert len(deaths) == count - 1
        known_after.append(max(at for at, _, _ in deaths) - crashed_at)
    assert mean(known_after) == pytest.approx(mean_seconds, rel=0.15)
    assert max(known_after) <= max_seconds


@pytest.mark.parametrize("seed", range(6))
def test_slow_nodes_and_losses_kill_nobody(swim, seed):
    """A third of the nodes handle everything late, one in ten packets is lost."""
    lab = joined(swim(), 9, seed, LOSSY)
    for node, lag_seconds in zip(lab.nodes[::3], (0.3, 0.8, 1.5), strict=True):
        lab.network.slow(node.address, lag_seconds)
    lab.clock.run_for(300)
    assert not lab.deaths(lab.nodes)


def test_a_slow_node_comes_to_doubt_itself_and_recovers(swim):
    lab = joined(swim(), 6)
    slow = lab.nodes[2]
    lab.network.slow(slow.address, 1.2)
    lab.clock.run_for(60)
    assert slow.running.counters()["local_health"] >= 3
    assert all(node.running.counters()["local_health"] <= 1 for node in lab.nodes if node is not slow)
    lab.network.slow(slow.address, 0)
    lab.clock.run_for(60)
    assert slow.running.counters()["local_health"] == 0


def test_local_health_keeps_a_half_deaf_node_from_accusing_everybody(swim):
    """What reaches node 0 is 1.2 s late. With awareness switched off (factor 1) it accuses somebody every second."""

    def accusations(awareness_max):
        lab = joined(swim(awareness_max=awareness_max), 8, 3)
        deaf = lab.nodes[0]
        for node in lab.nodes[1:]:
            lab.network.set_link(node.address, deaf.address, Conditions(delay_seconds=1.2))
        lab.clock.run_for(300)
        return deaf.running.counters()["probes_failed"]

    assert accusations(8) < 5
    assert accusations(1) > 250


@pytest.mark.parametrize("both", [True, False])
def test_a_broken_link_between_two_nodes_makes_nobody_suspect(swim, both):
    lab = joined(swim(), 6)
    lab.network.cut(lab.nodes[0].address, lab.nodes[1].address, both=both)
    lab.clock.run_for(120)
    assert sum(node.running.counters()["suspicions"] for node in lab.nodes) == 0
    assert sum(node.running.counters()["probes_indirect"] for node in lab.nodes) > 10


def test_helpers_say_so_when_they_get_no_answer_either(swim):
    """Nacks arrive in time: a healthy node stays healthy while it watches another one die."""
    lab = joined(swim(), 6)
    lab.clock.run_for(5)
    lab.crash(lab.nodes[5])
    lab.clock.run_for(20)
    assert {node.running.counters()["local_health"] for node in lab.running} == {0}
    assert sum(node.running.counters()["probes_failed"] for node in lab.running) > 0


def test_a_node_cut_off_from_all_doubts_itself(swim):
    lab = joined(swim(), 6)
    lab.network.partition([lab.nodes[0].address])
    lab.clock.run_for(15)
    assert lab.nodes[0].running.counters()["local_health"] >= 4


def test_a_pause_of_the_process_kills_nobody(swim):
    """The process stops for three seconds: its own timers must not condemn others when it wakes."""
    for seed in range(8):
        lab = joined(swim(), 5, seed)
        paused = lab.nodes[1]
        lab.clock.run_for(seed / 8)
        lab.network.pause(paused.address, 3.0)
        lab.clock.run_for(3.3)
        assert lab.clock.run_until_true(lab.everyone_agrees, 30)
        lab.clock.run_for(30)
        assert not lab.deaths(lab.nodes)
        assert paused.running.counters()["ticks_late"] >= 1


def test_a_long_sleep_condemns_nobody(swim):
    """A laptop sleeps for an hour. Whoever it suspected then has all of its time left to refute."""
    lab = joined(swim(), 4)
    sleeper = lab.nodes[0]
    lab.network.cut(sleeper.address, lab.nodes[1].address)
    lab.network.pause(sleeper.address, 3600)
    lab.clock.run_for(3600.5)
    mine = [(at, member) for at, node, member in lab.deaths(lab.nodes) if node is sleeper]
    assert mine == []


def test_probe_order_visits_everybody_within_two_rounds(swim):
    """A killed node is noticed by each single observer within 2 N - 1 intervals, whatever the dice say."""
    lab = joined(swim(), 12)
    observer = lab.nodes[0]
    others = lab.nodes[1:]
    lab.network.partition([observer.address])
    suspected = set()
    for _ in range(2 * len(others) * 8):
        lab.clock.run_for(1)
        suspected |= {m.id for m in observer.running.members() if m.liveness is not Liveness.ALIVE}
    assert len(suspected) == len(others)


def test_thirty_percent_power_loss_is_noticed_and_healed(swim):
    lab = joined(swim(), 20)
    lost = lab.nodes[::3]
    for node in lost:
        lab.crash(node)
    assert lab.clock.run_until_true(lambda: lab.all_see(lab.running, lost, Liveness.DEAD), 40)
    assert {member.id for _, _, member in lab.deaths(lab.nodes)} == {node.id for node in lost}
    for node in lost:
        lab.start(node)
        lab.exchange(node, lab.nodes[1])
    assert lab.clock.run_until_true(lab.everyone_agrees, 30)


def test_a_flapping_link_leaves_all_alive_in_the_end(swim):
    lab = joined(swim(), 6)
    lab.exchange_every(30)
    for _ in range(10):
        lab.network.partition([lab.nodes[0].address, lab.nodes[1].address])
        lab.clock.run_for(7)
        lab.network.heal()
        lab.clock.run_for(5)
    assert lab.clock.run_until_true(lab.everyone_agrees, 60)
