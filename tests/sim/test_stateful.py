"""Hypothesis drives the simulator: it looks for acts that break a rule, and shrinks them to the fewest."""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ralnode.api import Context
from ralnode.api.limits import MIB
from ralnode.testing.datagrams import Conditions
from ralnode.testing.simulation import Cluster, NodeSpec, cluster
from ralnode.testing.world import Parts
from ralnode_gossip_swim import Swim, SwimOptions
from ralnode_planner_rendezvous import provide_planner

NODES = 4
DOWN_MAX = 2
names = st.sampled_from([f"n{number}" for number in range(NODES)])


def _gossip(context: Context) -> Swim:
    return Swim(context, SwimOptions())


RENDEZVOUS = provide_planner()
PARTS = Parts(_gossip, lambda context: RENDEZVOUS.build(context, RENDEZVOUS.options()))


class ClusterMachine(RuleBasedStateMachine):
    """Four nodes; every rule is an act of a user or an accident, and some time passes."""

    c: Cluster

    @initialize(seed=st.integers(0, 1000))
    def start(self, seed: int) -> None:
        self.c = cluster(seed, [NodeSpec(256 * MIB)] * NODES, PARTS)
        self.c.run(10)

    @rule(seconds=st.sampled_from([0.01, 1.0, 7.0, 30.0]))
    def time_passes(self, seconds: float) -> None:
        self.c.run(seconds)

    @rule(name=names, leaf_count=st.integers(1, 40), copies=st.integers(1, 3), linked=st.booleans())
    def add(self, name: str, leaf_count: int, copies: int, linked: bool) -> None:
        if self.c[name].is_up:
            self.c.add_source(name, leaf_count, copies=copies, linked=linked)

    @rule(name=names, leaf_count=st.integers(1, 10), first_content=st.integers(0, 5))
    def add_something_that_shares_blocks(self, name: str, leaf_count: int, first_content: int) -> None:
        if self.c[name].is_up:
            self.c.add_source(name, leaf_count, first_content=first_content)

    @rule(name=names, data=st.data())
    def remove(self, name: str, data: st.DataObject) -> None:
        if self.c[name].is_up and self.c[name].mind.sources():
            self.c.remove_source(name, data.draw(st.sampled_from(self.c[name].mind.sources())))

    @rule(name=names, data=st.data())
    def add_again(self, name: str, data: st.DataObject) -> None:
        if self.c[name].is_up and self.c.world.published:
            source = data.draw(st.sampled_from(list(self.c.world.published.values())))
            self.c.add_again(name, source)

    @precondition(lambda self: len(self.c.up()) > NODES - DOWN_MAX)
    @rule(name=names, lose_disk=st.booleans())
    def crash(self, name: str, lose_disk: bool) -> None:
        if self.c[name].is_up:
            self.c.crash(name, lose_disk=lose_disk)

    @rule(name=names)
    def restart(self, name: str) -> None:
        self.c.restart(name)

    @rule(one=names, other=names)
    def part(self, one: str, other: str) -> None:
        self.c.partition({one, other})

    @rule()
    def heal(self) -> None:
        self.c.heal()

    @rule(loss=st.sampled_from([0.0, 0.1, 0.3]), failures=st.sampled_from([0.0, 0.3]))
    def weather(self, loss: float, failures: float) -> None:
        self.c.weather(Conditions(loss=loss, duplicates=loss / 10, jitter_seconds=loss / 5), failures)

    @rule(name=names, capacity_mib=st.sampled_from([64, 128, 256, 1024]))
    def resize(self, name: str, capacity_mib: int) -> None:
        if self.c[name].is_up:
            self.c[name].resize(capacity_mib * MIB)

    @rule(name=names, data=st.data())
    def rot(self, name: str, data: st.DataObject) -> None:
        if self.c[name].is_up and self.c[name].disk.owned():
            self.c[name].disk.rot(data.draw(st.sampled_from(self.c[name].disk.owned())))

    @invariant()
    def nothing_is_wrong(self) -> None:
        if hasattr(self, "c"):
            self.c.safety.sweep()

    def teardown(self) -> None:
        """Whatever was done, all is well some time after it has stopped."""
        if hasattr(self, "c"):
            self.c.settle()


ClusterMachine.TestCase.settings = settings(
    max_examples=12, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
)
TestClusterMachine = ClusterMachine.TestCase
