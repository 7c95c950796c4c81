"""`GossipContract`: what every membership must do, as a test class on a virtual network. Subclass it and say how one is built.

    class TestMyGossip(GossipContract):
        def build(self, context):
            return MyGossip(context, MyOptions())

The suite knows no packet: it watches reports, tables and clocks. Its time limits are wide; a plugin tests its own figures.
"""

from __future__ import annotations

from math import inf
from typing import Final

import pytest

from ralnode.api import Address, Context, Gossip, Liveness, Member, MemberChanged, PeerError, SendDatagram, Versions
from ralnode.api.limits import DATAGRAM_BYTES_MAX, SYNC_BYTES_MAX
from ralnode.testing.datagrams import Conditions
from ralnode.testing.gossip_hostile_contract import GossipHostileContract, recorded
from ralnode.testing.gossip_lab import GOSSIP_PORT, TRANSPORT_PORT, GossipLab

DAY_SECONDS: Final = 24 * 3600.0
ROUGH: Final = Conditions(loss=0.1, duplicates=0.05, jitter_seconds=0.02)


class GossipContract(GossipHostileContract):
    """`build` is all that a subclass must give."""

    spread_seconds = 10.0
    """News that a node has told must be known to ten nodes after that."""
    detect_seconds = 30.0
    """A crash must be known to ten nodes after that."""
    heal_seconds = 60.0
    """After the end of a partition all must agree again."""

    def build(self, context: Context) -> Gossip:
        raise NotImplementedError

    def lab(
        self, count: int, seed: int = 1, conditions: Conditions | None = None, announce_host: str = ""
    ) -> GossipLab:
        """Nodes that have all made one exchange with node 0 and then agree."""
        lab = GossipLab(self.build, count, seed, conditions, announce_host=announce_host)
        lab.join_all()
        assert lab.clock.run_until_true(lab.everyone_agrees, self.spread_seconds), "they do not find each other"
        return lab

    # --- joining

    def test_one_exchange_makes_two_nodes_known_to_each_other_at_once(self) -> None:
        lab = GossipLab(self.build, 2)
        lab.exchange(*lab.nodes)
        assert lab.everyone_agrees()
        assert [member.id for _, member in lab.nodes[0].changes] == [lab.nodes[1].id]

    def test_member_says_what_the_node_said_of_itself(self) -> None:
        lab = self.lab(2)
        [seen] = lab.nodes[0].running.members()
        assert (seen.id, seen.name, seen.address, seen.transport_port, seen.liveness) == (
            lab.nodes[1].id,
            "node1",
            lab.nodes[1].address,
            TRANSPORT_PORT,
            Liveness.ALIVE,
        )

    def test_newcomer_that_met_one_node_is_known_to_all_and_knows_all(self) -> None:
        lab = self.lab(10)
        newcomer = lab.add()
        lab.start(newcomer)
        lab.exchange(newcomer, lab.nodes[4])
        assert lab.clock.run_until_true(lab.everyone_agrees, self.spread_seconds)

    def test_node_without_an_address_of_its_own_is_reached_where_it_was_seen(self) -> None:
        lab = self.lab(5, announce_host="0.0.0.0")
        hosts = {member.address for node in lab.nodes for member in node.running.members()}
        assert hosts == {node.address for node in lab.nodes}
        lab.clock.run_for(60)
        assert lab.everyone_agrees() and not lab.deaths(lab.nodes)

    def test_new_name_and_address_are_reported_to_all(self) -> None:
        lab = self.lab(4)
        node = lab.nodes[2]
        lab.network.detach(node.address)
        node.address = Address("10.9.9.9", GOSSIP_PORT)
        lab.network.attach(node.address, lambda data, source, now: lab.receive(node, data, source, now))
        lab.carry_out(node, node.running.start(Member(node.id, "moved", node.address, 1234), lab.clock.now()))
        lab.clock.run_for(self.spread_seconds)
        for other in lab.nodes:
            if other is not node:
                [seen] = [member for member in other.running.members() if member.id == node.id]
                assert (seen.name, seen.address, seen.transport_port) == ("moved", node.address, 1234)
        assert lab.everyone_agrees()

    def test_lonely_node_asks_for_no_waking(self) -> None:
        lab = GossipLab(self.build, 1)
        lab.clock.run_for(60)
        assert lab.nodes[0].running.wake_at == inf
        assert lab.network.counters["sent"] == 0

    # --- death and return

    def test_crash_is_reported_by_everybody(self) -> None:
        lab = self.lab(10)
        victim = lab.nodes[3]
        lab.crash(victim)
        assert lab.clock.run_until_true(lambda: lab.all_see(lab.running, [victim], Liveness.DEAD), self.detect_seconds)
        assert len(lab.deaths([victim])) == len(lab.deaths(lab.nodes)) == 9

    def test_nobody_is_dead_while_all_run_although_packets_are_lost(self) -> None:
        lab = self.lab(10, conditions=ROUGH)
        lab.clock.run_for(600)
        assert not lab.deaths(lab.nodes)

    def test_restarted_node_is_alive_again(self) -> None:
        lab = self.lab(5)
        node = lab.nodes[2]
        lab.crash(node)
        lab.clock.run_for(self.detect_seconds)
        lab.start(node)
        lab.exchange(node, lab.nodes[0])
        assert lab.clock.run_until_true(lab.everyone_agrees, self.spread_seconds)

    def test_restart_that_nobody_noticed_does_no_harm(self) -> None:
        lab = self.lab(5)
        lab.restart(lab.nodes[2])
        lab.exchange(lab.nodes[2], lab.nodes[0])
        lab.clock.run_for(60)
        assert lab.everyone_agrees() and not lab.deaths(lab.nodes)

    def test_dead_node_that_is_met_is_alive_at_once(self) -> None:
        lab = self.lab(5)
        lone = lab.nodes[4]
        lab.network.partition([lone.address])
        lab.clock.run_for(self.detect_seconds * 2)
        assert lab.opinion(lab.nodes[0], lone) is Liveness.DEAD
        lab.network.heal()
        lab.exchange(lab.nodes[0], lone)
        assert lab.opinion(lab.nodes[0], lone) is Liveness.ALIVE
        assert lab.opinion(lone, lab.nodes[0]) is Liveness.ALIVE
        assert lab.clock.run_until_true(lab.everyone_agrees, self.heal_seconds)

    @pytest.mark.parametrize("seconds", [1.0, 45.0, 120.0])
    def test_partition_heals_by_exchanges(self, seconds: float) -> None:
        lab = self.lab(6)
        lab.network.partition([node.address for node in lab.nodes[:2]])
        lab.clock.run_for(seconds)
        self.check_heals(lab)

    def test_partition_longer_than_the_memory_of_the_dead_heals(self) -> None:
        """Everybody alone, so that a day of it costs nothing to simulate."""
        lab = self.lab(5)
        lab.network.partition(*([node.address] for node in lab.nodes))
        lab.clock.run_for(25 * 3600.0)
        assert [len(node.running.members()) for node in lab.nodes] == [0] * 5
        self.check_heals(lab)

    def check_heals(self, lab: GossipLab) -> None:
        lab.network.heal()
        lab.exchange_every(30)
        assert lab.clock.run_until_true(lab.everyone_agrees, self.heal_seconds)
        lab.clock.run_for(60)
        assert lab.everyone_agrees()

    def test_dead_are_remembered_for_a_day_and_then_forgotten(self) -> None:
        lab = self.lab(2)
        observer, victim = lab.nodes
        lab.crash(victim)
        lab.clock.run_for(DAY_SECONDS - 600)
        assert lab.opinion(observer, victim) is Liveness.DEAD
        lab.clock.run_for(1200)
        assert lab.opinion(observer, victim) is None

    def test_nodes_do_not_remind_each_other_of_the_dead_for_ever(self) -> None:
        lab = self.lab(2)
        observer, victim = lab.nodes
        lab.crash(victim)
        lab.clock.run_for(DAY_SECONDS - 600)
        newcomer = lab.add()
        lab.start(newcomer)
        lab.exchange(newcomer, observer)
        assert lab.opinion(newcomer, victim) is Liveness.DEAD
        lab.exchange_every(30)
        lab.clock.run_for(1200)
        assert lab.opinion(newcomer, victim) is lab.opinion(observer, victim) is None

    # --- leaving

    def test_departure_is_not_a_death(self) -> None:
        lab = self.lab(8)
        leaver = lab.nodes[5]
        lab.leave(leaver)
        assert lab.clock.run_until_true(lambda: lab.all_see(lab.running, [leaver], Liveness.LEFT), self.spread_seconds)
        lab.clock.run_for(60)
        assert lab.all_see(lab.running, [leaver], Liveness.LEFT)
        assert not lab.deaths([leaver])

    def test_who_left_and_starts_again_is_back(self) -> None:
        lab = self.lab(4)
        lab.leave(lab.nodes[1])
        lab.clock.run_for(self.spread_seconds)
        lab.start(lab.nodes[1])
        lab.exchange(lab.nodes[1], lab.nodes[3])
        assert lab.clock.run_until_true(lab.everyone_agrees, self.spread_seconds)

    # --- versions

    def test_versions_reach_everybody_and_the_newest_wins(self) -> None:
        lab = self.lab(10, conditions=Conditions(jitter_seconds=0.2))
        author = lab.nodes[0]
        for records in range(1, 21):
            lab.announce(author, author.id, Versions(records, 2 * records))
            lab.clock.run_for(0.05)
        lab.clock.run_for(self.spread_seconds)
        assert {node.heard[author.id] for node in lab.nodes[1:]} == {Versions(20, 40)}
        assert author.id not in author.heard

    def test_old_versions_are_not_reported_after_newer_ones(self) -> None:
        lab = self.lab(3)
        lab.announce(lab.nodes[0], lab.nodes[0].id, Versions(9, 9))
        lab.clock.run_for(self.spread_seconds)
        for node in lab.nodes:
            node.heard.clear()
        lab.announce(lab.nodes[1], lab.nodes[0].id, Versions(8, 8))
        lab.clock.run_for(self.spread_seconds)
        assert [node.heard for node in lab.nodes] == [{}, {}, {}]

    def test_versions_of_an_author_who_is_no_member_are_spread_too(self) -> None:
        lab = self.lab(5)
        lab.announce(lab.nodes[0], b"a" * 32, Versions(1, 2))
        lab.clock.run_for(self.spread_seconds)
        assert {node.heard.get(b"a" * 32) for node in lab.nodes[1:]} == {Versions(1, 2)}

    def test_versions_of_everybody_at_once_reach_everybody(self) -> None:
        lab = self.lab(30)
        for node in lab.nodes:
            lab.announce(node, node.id, Versions(3, 4))
        lab.clock.run_for(self.spread_seconds)
        assert {len(node.heard) for node in lab.nodes} == {29}

    # --- form

    def test_quiet_cluster_falls_silent_but_for_probes(self) -> None:
        lab = self.lab(10)
        lab.clock.run_for(30)
        before = lab.network.counters["sent"]
        lab.clock.run_for(60)
        assert (lab.network.counters["sent"] - before) / 600 <= 4, "packets per node and second"

    def test_datagrams_and_tables_keep_within_their_limits(self) -> None:
        lab = GossipLab(self.build, 60)
        lab.join_all()
        for number, node in enumerate(lab.nodes):
            lab.announce(node, node.id, Versions(2**40 + number, 2**40))
        sizes = [len(data) for _, _, data in recorded(lab, 20)]
        assert lab.everyone_agrees()
        assert DATAGRAM_BYTES_MAX // 2 < max(sizes) <= DATAGRAM_BYTES_MAX
        assert len(lab.nodes[0].running.exchange()) <= SYNC_BYTES_MAX / 4

    def test_reports_add_up_to_the_table(self) -> None:
        lab = self.lab(6, conditions=ROUGH)
        lab.crash(lab.nodes[5])
        lab.leave(lab.nodes[4])
        lab.clock.run_for(self.detect_seconds)
        for node in lab.running:
            told = {member.id: _shown(member) for _, member in node.changes}
            assert told == {member.id: _shown(member) for member in node.running.members()}

    def test_reports_are_only_made_of_changes(self) -> None:
        lab = self.lab(6, conditions=ROUGH)
        lab.clock.run_for(120)
        for node in lab.nodes:
            last: dict[bytes, object] = {}
            for _, member in node.changes:
                assert last.get(member.id) != _shown(member)
                last[member.id] = _shown(member)

    def test_equal_seeds_give_equal_traces_and_others_do_not(self) -> None:
        traces = []
        for seed in (7, 7, 8):
            lab = self.lab(8, seed, ROUGH)
            lab.crash(lab.nodes[2])
            lab.clock.run_for(30)
            traces.append(lab.network.trace)
        assert traces[0] == traces[1] != traces[2]

    def test_outputs_are_handed_over_once(self) -> None:
        lab = self.lab(2)
        now = lab.clock.now()
        outputs = lab.nodes[0].running.announce(lab.nodes[0].id, Versions(1, 1), now)
        outputs += lab.nodes[0].running.tick(now)
        assert not [output for output in outputs if isinstance(output, MemberChanged)]
        again = lab.nodes[0].running.announce(lab.nodes[0].id, Versions(1, 1), now)
        assert not [output for output in again if isinstance(output, SendDatagram)]

    def test_exchange_in_another_nodes_name_is_refused(self) -> None:
        lab = self.lab(3)
        node, *others = lab.nodes
        with pytest.raises(PeerError):
            node.running.exchange_received(
                others[0].running.exchange(), others[1].id, others[1].address, lab.clock.now()
            )

    def test_counters_are_whole_numbers_by_name(self) -> None:
        counters = self.lab(2).nodes[0].running.counters()
        assert counters and all(isinstance(name, str) and isinstance(n, int) for name, n in counters.items())


def _shown(member: Member) -> tuple[object, ...]:
    return (member.liveness, member.name, member.address, member.transport_port)
