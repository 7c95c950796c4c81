"""The watchers watched: each rule is broken on purpose once, and must be named."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ralnode.api import (
    Address,
    BlockSet,
    Context,
    GossipOutput,
    Holding,
    Instant,
    Liveness,
    Member,
    MemberChanged,
    Plan,
    Planner,
    Source,
    View,
)
from ralnode.api.limits import MIB
from ralnode.core import events as ev
from ralnode.core.catalogue import Catalogue
from ralnode.core.catalogue_state import record_name
from ralnode.core.records import NodeRecord, sign
from ralnode.testing.fake_identity import FakeIdentity
from ralnode.testing.safety import InvariantError
from ralnode.testing.simulation import Cluster, NodeSpec, cluster
from ralnode.testing.world import Parts
from ralnode_gossip_swim import Swim, SwimOptions

FOUR = [NodeSpec(512 * MIB)] * 4


@pytest.fixture
def four(parts: Parts) -> Cluster:
    """Settled, with one source."""
    c = cluster(1, FOUR, parts)
    c.run(15)
    c.add_source("n0", 30, name="film")
    c.settle()
    return c


def film(c: Cluster) -> Source:
    return c["n0"].mind.sources()[0]


def broken(rule: str) -> Any:
    return pytest.raises(InvariantError, match=rf"^{rule} at ")


def test_s1_deleting_what_no_user_has_removed_is_noticed(four: Cluster) -> None:
    with broken("S1"):
        four.safety.deleting(four["n1"], film(four), four.world.contents.of(film(four).root).leaves)


def test_s1_deleting_the_last_copy_of_a_live_source_is_noticed(four: Cluster) -> None:
    other = four.add_source("n1", 5, name="other")
    assert other is not None
    four.partition(["n1"], ["n0", "n2", "n3"])
    four.remove_source("n0", film(four))
    lonely = four.world.contents.of(other.root).leaves
    with broken("S1"):
        four.safety.deleting(four["n1"], film(four) if four["n0"].mind.sources() else _any_withdrawn(four), lonely)


def test_s1_a_source_that_only_a_lost_disk_knew_keeps_nothing(parts: Parts) -> None:
    c = cluster(1, FOUR, parts)
    c.run(15)
    c.add_source("n1", 5, name="old", first_content=0)
    c.settle()
    c.partition(["n0"], ["n1", "n2", "n3"])
    assert c.add_source("n0", 5, name="new", first_content=0)
    c.crash("n0", lose_disk=True)
    c.remove_source("n1", c["n1"].mind.sources()[0])
    c.run(10)
    assert not any(node.mind.sources() or node.disk.owned() for node in c.up())


def _any_withdrawn(c: Cluster) -> Source:
    return next(source for root, source in c.world.published.items() if root in c.world.withdrawn)


def test_s3_a_disk_above_its_quota_is_noticed(four: Cluster) -> None:
    four["n2"].disk.capacity_bytes = 1
    with broken("S3"):
        four.run(5)


def test_s4_wrong_bytes_on_a_disk_are_noticed(four: Cluster) -> None:
    disk = four["n1"].disk
    disk._blocks[disk.owned()[0]] = b"something else"
    with broken("S4"):
        four.safety.sweep()


def test_s5_claiming_what_is_not_there_is_noticed(four: Cluster) -> None:
    claimed = Holding(True, BlockSet.full(30))
    with broken("S5"):
        for node in four.up():
            node.tell(ev.HoldingFound(film(four).root, claimed))


def test_s6_a_source_that_comes_back_is_noticed(four: Cluster) -> None:
    node = four["n3"]
    before = dict(node.disk.documents)
    four.remove_source("n0", film(four))
    four.run(30)
    assert not node.mind.sources()
    old = Catalogue(node.id, node.identity)
    old.load(before)
    node.mind._catalogue = old
    with broken("S6"):
        four.run(5)


def test_s6_a_number_used_for_other_bytes_is_noticed(four: Cluster) -> None:
    node = four["n1"]
    info = replace(node.mind.me, name="somebody else")
    forged = sign(node.identity, 1, NodeRecord(info, 1)).envelope
    with broken("S6"):
        four.safety.saved(node, {record_name(node.id, b"node"): forged})


def test_s7_holding_a_live_node_for_dead_is_noticed(four: Cluster) -> None:
    node, other = four["n1"], four["n2"]
    dead = Member(other.id, other.name, other.gossip_address, other.transport_address.port, Liveness.DEAD)
    node.mind._membership.changed(dead, node.now)
    with broken("S7"):
        four.run(200)


class SelfishPlanner:
    """Its digest says who planned."""

    name, version, needs_holdings = "selfish", 1, False

    def plan(self, view: View) -> Plan:
        return Plan({}, digest=view.me[:16])


class GullibleGossip(Swim):
    """Takes every packet for news of a new member."""

    def datagram_received(self, data: bytes, sender: Address, now: Instant) -> list[GossipOutput]:
        if data.startswith(b"believe me"):
            return [MemberChanged(Member(FakeIdentity("nobody").id, "nobody", sender, 1))]
        return super().datagram_received(data, sender, now)


def with_planner(parts: Parts, make: Callable[[], Planner]) -> Parts:
    return Parts(parts.gossip, lambda context: make())


def test_s8_planners_that_disagree_are_noticed(parts: Parts) -> None:
    c = cluster(1, FOUR, with_planner(parts, SelfishPlanner))
    with broken("S8"):
        c.run(30)


def test_s9_gossip_that_believes_strangers_is_noticed(parts: Parts) -> None:
    def gullible(context: Context) -> GullibleGossip:
        return GullibleGossip(context, SwimOptions())

    c = cluster(1, FOUR, Parts(gullible, parts.planner))
    c.run(15)
    c.inject("n1", b"junk", Address("10.9.9.9", 9090))
    with broken("S9"):
        c.inject("n1", b"believe me", Address("10.9.9.9", 9090))


def test_l1_a_node_that_hears_nothing_is_noticed(four: Cluster) -> None:
    deaf = four["n2"]
    hears = deaf.tell
    deaf.tell = lambda event: hears(event) if isinstance(event, ev.Ticked) else None  # type: ignore[method-assign]
    with broken("L1"):
        four.settle()


def test_l2_a_node_that_fetches_nothing_is_noticed(parts: Parts) -> None:
    c = cluster(1, FOUR, parts)
    c.run(15)
    c["n1"].fetches._begin = lambda effect: None  # type: ignore[method-assign]
    c.add_source("n0", 60, name="film")
    with broken("L2"):
        c.settle()


def test_l3_blocks_that_move_for_no_reason_are_noticed(four: Cluster) -> None:
    node, root = four["n2"], film(four).root
    assert node.mind.holding(node.id, root).owned != BlockSet.full(30)

    def want_everything() -> None:
        node.mind._planning.plan = Plan({root: BlockSet.full(30)})
        node.tell(ev.UsageMeasured(node.disk.usage()))

    node.later(50, want_everything)
    with broken("L3"):
        four.settle()


def test_a_planner_that_fails_leaves_the_cluster_alive(parts: Parts) -> None:
    class Failing:
        name, version, needs_holdings = "failing", 1, False

        def plan(self, view: View) -> Plan:
            raise ZeroDivisionError("it divides by zero")

    c = cluster(1, FOUR, with_planner(parts, Failing))
    c.run(30)
    assert any("divides by zero" in line.text for line in c["n0"].mind.events)


def test_what_was_not_yet_durable_is_lost_in_a_crash(parts: Parts) -> None:
    c = cluster(1, FOUR, parts)
    c.run(15)
    c.add_source("n0", 5, name="too late")
    c.crash("n0")
    c.run(5)
    c.restart("n0")
    c.run(5)
    assert not c["n0"].mind.sources()


def test_a_crashed_node_neither_speaks_nor_hears(four: Cluster) -> None:
    four.crash("n1")
    before = four.network.counters["sent"]
    run, events = four["n1"].run, four.safety.event_count
    four["n1"].tell(ev.Ticked())
    assert (four["n1"].run, four.safety.event_count) == (run, events)
    assert four.network.counters["sent"] == before
