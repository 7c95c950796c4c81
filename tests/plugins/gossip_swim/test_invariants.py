"""Hypothesis drives a small cluster through faults of every kind and looks at the invariants S7 and S9 after each step."""

from __future__ import annotations

import random

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ralnode.api import Address, Liveness, Versions
from ralnode.testing.datagrams import Conditions
from ralnode.testing.fake_identity import FakeIdentity
from ralnode.testing.gossip_hostile_contract import state_of
from ralnode.testing.gossip_lab import GossipLab
from ralnode_gossip_swim import AesGcm, Swim, SwimOptions

COUNT = 5
numbers = st.integers(0, COUNT - 1)


class ClusterMachine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.lab = GossipLab(lambda context: Swim(context, SwimOptions(), AesGcm), COUNT, 11)
        self.lab.join_all()
        self.lab.clock.run_for(2)
        self.delivered = []
        self.incarnations = {}
        self.gone = set()
        self.counter = 0
        self._record_deliveries()
        foreign = GossipLab(lambda context: Swim(context, SwimOptions()), 2, 12, identities=_foreigner)
        foreign.network.send = lambda source, to, data: self.foreign.append(data)
        self.foreign = []
        foreign.join_all()
        foreign.clock.run_for(5)

    def _record_deliveries(self):
        receive = self.lab.receive

        def tap(node, data, source, now):
            self.delivered.append((node, node.boot, data, source))
            del self.delivered[:-60]
            receive(node, data, source, now)

        self.lab.receive = tap

    def running(self, number):
        running = self.lab.running
        return running[number % len(running)]

    # --- what happens

    @rule(seconds=st.sampled_from([0.01, 0.3, 1.0, 3.0, 12.0, 45.0]))
    def time_passes(self, seconds):
        self.lab.clock.run_for(seconds)

    @rule(number=numbers)
    @precondition(lambda self: len(self.lab.running) > 2)
    def crash(self, number):
        self.lab.crash(self.running(number))

    @rule(number=numbers)
    @precondition(lambda self: len(self.lab.running) > 2)
    def leave(self, number):
        node = self.running(number)
        self.lab.leave(node)
        self.gone.add(node.number)

    @rule(number=numbers, other=numbers)
    def start_again(self, number, other):
        node = self.lab.nodes[number]
        if node.gossip is None:
            self.lab.start(node)
            self.gone.discard(number)
            self.lab.exchange(node, self.running(other))

    @rule(number=numbers)
    def restart(self, number):
        self.lab.restart(self.running(number))

    @rule(
        loss=st.sampled_from([0.0, 0.1, 0.3]),
        duplicates=st.sampled_from([0.0, 0.2]),
        jitter=st.sampled_from([0.0, 0.2]),
    )
    def weather(self, loss, duplicates, jitter):
        self.lab.network.conditions = Conditions(loss, duplicates, jitter_seconds=jitter)

    @rule(a=numbers, b=numbers, both=st.booleans())
    def cut(self, a, b, both):
        self.lab.network.cut(self.lab.nodes[a].address, self.lab.nodes[b].address, both=both)

    @rule(island=st.sets(numbers, min_size=1, max_size=COUNT - 1))
    def partition(self, island):
        self.lab.network.partition([self.lab.nodes[number].address for number in sorted(island)])

    @rule()
    def heal(self):
        self.lab.network.heal()

    @rule(number=numbers, lag=st.sampled_from([0.0, 0.5, 2.0]))
    def slow(self, number, lag):
        self.lab.network.slow(self.lab.nodes[number].address, lag)

    @rule(number=numbers, seconds=st.sampled_from([0.5, 5.0]))
    def pause(self, number, seconds):
        self.lab.network.pause(self.lab.nodes[number].address, seconds)

    @rule(a=numbers, b=numbers)
    def exchange(self, a, b):
        if self.lab.nodes[a] is not self.lab.nodes[b]:
            self.lab.exchange(self.lab.nodes[a], self.lab.nodes[b])

    @rule(number=numbers)
    def announce(self, number):
        self.counter += 1
        node = self.running(number)
        self.lab.announce(node, node.id, Versions(self.counter, self.counter))

    # --- S9: what must not matter

    @rule(pick=st.integers(0, 59))
    def replay(self, pick):
        if self.delivered:
            node, boot, data, source = self.delivered[pick % len(self.delivered)]
            if node.gossip is not None and node.boot == boot:
                self.check_nothing_happens(node, data, source)

    @rule(pick=st.integers(0, 59), seed=st.integers(0, 2**32), number=numbers)
    def damage(self, pick, seed, number):
        if self.delivered:
            data = bytearray(self.delivered[pick % len(self.delivered)][2])
            rng = random.Random(seed)
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            self.check_nothing_happens(self.running(number), bytes(data), Address("10.9.9.9", 1))

    @rule(pick=st.integers(0, 59), number=numbers)
    def foreign_packet(self, pick, number):
        self.check_nothing_happens(self.running(number), self.foreign[pick % len(self.foreign)], Address("10.9.9.9", 1))

    def check_nothing_happens(self, node, data, source):
        before = state_of(node)
        assert node.running.datagram_received(data, source, self.lab.clock.now()) == []
        assert state_of(node) == before

    # --- what always holds

    @invariant()
    def incarnations_never_fall(self):
        for node in self.lab.running:
            for member in node.running.members():
                key = (node.number, node.boot, member.id)
                assert member.incarnation >= self.incarnations.get(key, 0)
                self.incarnations[key] = member.incarnation

    @invariant()
    def nobody_lists_itself(self):
        for node in self.lab.running:
            assert node.id not in {member.id for member in node.running.members()}

    @invariant()
    def reports_add_up_to_the_table(self):
        for node in self.lab.running:
            told = {}
            for _, member in node.changes:
                told[member.id] = (member.liveness, member.address)
            for member in node.running.members():
                assert told[member.id] == (member.liveness, member.address)

    @invariant()
    def who_has_company_keeps_probing(self):
        for node in self.lab.running:
            states = {member.liveness for member in node.running.members()}
            if states & {Liveness.ALIVE, Liveness.SUSPECT}:
                assert node.running.wake_at < self.lab.clock.seconds + 10

    @invariant()
    def local_health_is_bounded(self):
        assert all(0 <= node.running.counters()["local_health"] <= 7 for node in self.lab.running)

    def teardown(self):
        """S7 and L1: when the faults stop, every view is right within a minute, and stays so."""
        network = self.lab.network
        network.heal()
        network.conditions = Conditions()
        for node in self.lab.nodes:
            network.slow(node.address, 0)
        self.lab.exchange_every(30, attempts=COUNT)
        assert self.lab.clock.run_until_true(self.lab.everyone_agrees, 60)
        self.lab.clock.run_for(30)
        assert self.lab.everyone_agrees()


def _foreigner(name):
    return FakeIdentity(name, b"another secret")


TestCluster = ClusterMachine.TestCase
TestCluster.settings = settings(
    max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
