"""What happens to a cluster in its life, one thing at a time. Safety is checked after every event, liveness by `settle`."""

from collections.abc import Callable, Sequence

import pytest

from ralnode.api import Context, Planner, Source
from ralnode.api.limits import MIB
from ralnode.testing.datagrams import Conditions
from ralnode.testing.simulated_node import Lie
from ralnode.testing.simulation import Cluster, NodeSpec
from ralnode.testing.world import Parts
from ralnode_gossip_swim import NullCipher, Swim, SwimOptions
from ralnode_planner_random import RandomPlanner
from ralnode_planner_rarest import RarestOptions, RarestPlanner
from ralnode_planner_rendezvous import RendezvousPlanner

Make = Callable[..., Cluster]
SIX = (200, 200, 400, 400, 800, 1600)
LEAVES = 200


@pytest.fixture
def make() -> Make:
    """`make(seed, [capacity in MiB, …], planner)`"""

    def made(
        seed: int,
        capacities: Sequence[int],
        planner: Callable[[Context], Planner] = lambda context: RendezvousPlanner(),
    ) -> Cluster:
        parts = Parts(gossip=lambda context: Swim(context, SwimOptions(), NullCipher), planner=planner)
        return Cluster(seed, [NodeSpec(capacity * MIB) for capacity in capacities], parts)

    return made


def filled(make: Make, seed: int = 1, capacities: tuple[int, ...] = SIX, **changes: object) -> tuple[Cluster, Source]:
    """A settled cluster whose first node has added 200 MiB by reference."""
    cluster = make(seed, capacities)
    cluster.run(15)
    source = cluster.add_source("n0", LEAVES, linked=True, **changes)
    assert source
    cluster.settle()
    return cluster, source


def copies(cluster: Cluster, source: Source) -> list[int]:
    """Own copies of each leaf on nodes that are up."""
    counts = [0] * source.leaf_count
    for node in cluster.up():
        for index in node.mind.holding(node.id, source.root).owned:
            counts[index] += 1
    return counts


def moved(cluster: Cluster) -> int:
    return int(cluster.world.counters["blocks_fetched"])


def test_added_blocks_get_exactly_their_copies(make: Make) -> None:
    cluster, source = filled(make)
    assert set(copies(cluster, source)) == {2}


def test_a_reboot_within_the_grace_moves_nothing(make: Make) -> None:
    cluster, source = filled(make)
    before = moved(cluster)
    cluster.crash("n4")
    cluster.run(3)
    cluster.restart("n4")
    cluster.settle()
    assert moved(cluster) == before
    assert set(copies(cluster, source)) == {2}


def test_a_dead_nodes_copies_are_made_again_and_no_more(make: Make) -> None:
    cluster, source = filled(make)
    lost = len(cluster["n4"].mind.holding(cluster["n4"].id, source.root).owned)
    before = moved(cluster)
    cluster.crash("n4")
    cluster.settle()
    assert min(copies(cluster, source)) == 2
    assert moved(cluster) - before <= lost


def test_a_node_that_lost_its_disk_gets_its_share_again(make: Make) -> None:
    cluster, source = filled(make)
    cluster.crash("n5", lose_disk=True)
    cluster.settle()
    cluster.restart("n5")
    cluster.settle()
    assert min(copies(cluster, source)) >= 2
    assert cluster["n5"].mind.holding(cluster["n5"].id, source.root).owned


def test_a_partition_heals_and_both_sides_additions_survive(make: Make) -> None:
    cluster, _source = filled(make)
    cluster.partition(("n0", "n1", "n2"), ("n3", "n4", "n5"))
    cluster.run(45)
    left, right = cluster.add_source("n0", 20), cluster.add_source("n5", 20)
    assert left and right
    cluster.run(30)
    cluster.settle()
    for node in cluster.up():
        assert {left.root, right.root} <= {source.root for source in node.mind.sources()}
    assert min(copies(cluster, left) + copies(cluster, right)) >= 2


@pytest.mark.parametrize("seconds", [1, 120, 1800])
def test_a_partition_of_any_length_heals(make: Make, seconds: float) -> None:
    cluster = make(3, (400, 400, 400, 400))
    cluster.run(15)
    cluster.partition(("n0", "n1"), ("n2", "n3"))
    cluster.run(seconds)
    cluster.settle()
    assert all(len(node.mind.live()) == 4 for node in cluster.up())


def test_a_removal_during_a_partition_is_not_undone(make: Make) -> None:
    cluster, source = filled(make)
    cluster.partition(("n0", "n1", "n2"), ("n3", "n4", "n5"))
    cluster.run(20)
    cluster.remove_source("n1", source)
    cluster.run(20)
    cluster.settle()
    for node in cluster.up():
        assert not node.mind.sources()
        assert not node.mind.holding(node.id, source.root).servable


def test_a_late_joiner_takes_its_share(make: Make) -> None:
    cluster, source = filled(make)
    late = cluster.join(NodeSpec(1600 * MIB))
    cluster.settle()
    assert late.mind.holding(late.id, source.root).owned
    assert min(copies(cluster, source)) >= 2


def test_full_disks_hold_their_quota_and_keep_serving(make: Make) -> None:
    cluster = make(5, (40, 40, 40))
    cluster.run(15)
    for name in ("n0", "n1", "n2"):
        cluster.add_source(name, 30)
    cluster.settle(has_exact_plans=False)
    for node in cluster.up():
        usage = node.disk.usage()
        assert usage.used_bytes + usage.reserved_bytes <= usage.capacity_bytes


def test_when_space_is_short_everything_has_one_copy_before_anything_has_two(make: Make) -> None:
    cluster = make(6, (20, 70, 70, 80, 80))
    cluster.run(15)
    source = cluster.add_source("n0", LEAVES, linked=True)
    assert source
    cluster.settle(has_exact_plans=False)
    counts = copies(cluster, source)
    assert min(counts) >= 1
    assert max(counts) == 2


@pytest.mark.parametrize("lie", [Lie.WRONG_BYTES, Lie.WITHHOLDS])
def test_a_lying_peer_slows_the_cluster_but_gets_nothing_wrong_into_it(make: Make, lie: Lie) -> None:
    cluster, _source = filled(make, capacities=(400, 400, 400, 400))
    cluster["n2"].lie = lie
    other = cluster.add_source("n1", 40)
    assert other
    cluster.run(120)
    cluster.crash("n3")
    cluster.settle(has_exact_plans=False)
    cluster["n2"].lie = Lie.NONE
    cluster.run(900)
    cluster.settle(has_exact_plans=False)


def test_a_peer_that_boasts_of_blocks_it_lacks_is_found_out(make: Make) -> None:
    cluster, source = filled(make, capacities=(400, 400, 400, 400))
    cluster["n3"].boast(source.root)
    cluster.crash("n2")
    cluster.run(300)
    honest = [node for node in cluster.honest() if node.mind.plan]
    for node in honest:
        assert node.mind.plan is not None
        missing = node.mind.plan.want[source.root] - node.mind.holding(node.id, source.root).owned
        assert not missing


@pytest.mark.parametrize("loss_conditions", [0.1, 0.3])
def test_bad_weather_does_not_hinder_the_end(make: Make, loss_conditions: float) -> None:
    cluster = make(8, (400, 400, 400, 400))
    cluster.weather(Conditions(loss=loss_conditions), stream_failures=loss_conditions)
    cluster.run(15)
    source = cluster.add_source("n0", 60)
    assert source
    cluster.run(120)
    cluster.settle()
    assert min(copies(cluster, source)) >= 2


@pytest.mark.parametrize("planner", [RarestPlanner(RarestOptions()), RandomPlanner()], ids=["rarest", "random"])
def test_other_planners_fill_the_same_cluster(make: Make, planner: object) -> None:
    cluster = make(9, (400, 400, 400, 400), lambda context: planner)
    cluster.run(15)
    source = cluster.add_source("n0", 60, linked=True)
    assert source
    cluster.run(600)
    cluster.settle(has_exact_plans=False)
    assert min(copies(cluster, source)) >= 1


def test_one_seed_gives_one_trace(make: Make) -> None:
    first, second = (filled(make, seed=11)[0].trace for _ in range(2))
    assert first == second
    assert filled(make, seed=12)[0].trace != first


@pytest.mark.timeout(300)
def test_fifty_nodes_find_each_other_fill_and_heal(make: Make) -> None:
    cluster = make(13, tuple(100 + 20 * i for i in range(50)))
    cluster.run(30)
    source = cluster.add_source("n49", 300, linked=True)
    assert source
    cluster.settle()
    assert set(copies(cluster, source)) == {2}
    cluster.crash("n48")
    cluster.settle()
    assert min(copies(cluster, source)) == 2
