"""What happens to clusters, one thing at a time. Safety is checked after every event, liveness by `settle`."""

import pytest

from ralnode.api import Liveness
from ralnode.api.limits import MIB
from ralnode.testing import liveness
from ralnode.testing.datagrams import Conditions
from ralnode.testing.safety import InvariantError
from ralnode.testing.simulated_node import Lie
from ralnode.testing.simulation import Cluster, NodeSpec, cluster
from ralnode.testing.world import Parts

SEEDS = [1, 2, 3]
EQUAL = [NodeSpec(512 * MIB)] * 6


def names(node_cluster: Cluster, node: str) -> list[str]:
    return sorted(source.name for source in node_cluster[node].mind.sources())


def copies(c: Cluster, source_name: str) -> list[int]:
    """Own copies of every leaf on the nodes that are up."""
    source = next(source for source in c.world.published.values() if source.name == source_name)
    counts = liveness.owned_copies(c.up())
    return [counts[key] for key in c.world.contents.of(source.root).leaves]


def moved_blocks(c: Cluster) -> int:
    """From other nodes, or from a user's file on the same one."""
    return c.world.counters["blocks_fetched"] + c.world.counters["blocks_copied"]


@pytest.fixture(params=SEEDS)
def six(request: pytest.FixtureRequest, parts: Parts) -> Cluster:
    """Six nodes of different capacity that have met, with one source on n0."""
    c = cluster(request.param, 6, parts)
    c.run(15)
    c.add_source("n0", 60, name="film")
    return c


def test_an_added_source_reaches_everybody_and_gets_its_copies(six: Cluster) -> None:
    six.settle()
    assert all(names(six, node.name) == ["film"] for node in six.up())
    assert min(copies(six, "film")) >= 2
    assert all(node.mind.holding(node.id, node.mind.sources()[0].root).has_interior for node in six.up())


def test_a_linked_source_gets_all_its_copies_beside_the_users_file(parts: Parts) -> None:
    c = cluster(1, EQUAL, parts)
    c.run(15)
    source = c.add_source("n0", 40, name="linked", linked=True)
    assert source is not None
    c.settle()
    assert min(copies(c, "linked")) >= 2
    linked = c["n3"].mind.holding(c["n0"].id, source.root).linked
    assert linked, "n0 serves the rest from the file, and n3 knows it"
    assert not linked & c["n3"].mind.holding(c["n0"].id, source.root).owned


def test_a_crash_is_repaired_and_a_return_moves_nothing(six: Cluster) -> None:
    six.settle()
    six.crash("n1")
    six.settle()
    assert min(copies(six, "film")) >= 2
    moved = six.world.counters["blocks_fetched"]
    six.restart("n1")
    six.settle()
    assert six.world.counters["blocks_fetched"] == moved, "n1 still has what it had"


def test_a_reboot_within_the_grace_moves_nothing(six: Cluster) -> None:
    six.settle()
    moved = six.world.counters["blocks_fetched"]
    six.crash("n2")
    six.run(4)
    six.restart("n2")
    six.settle()
    assert six.world.counters["blocks_fetched"] == moved


@pytest.mark.parametrize("seed", SEEDS)
def test_the_death_of_one_of_six_moves_what_it_must(seed: int, parts: Parts) -> None:
    """At most 5 % above the copies that died with it."""
    c = cluster(seed, EQUAL, parts)
    c.run(15)
    for number in range(4):
        c.add_source(f"n{number}", 100, name=f"s{number}", linked=True)  # so nobody owns more than its share
    c.settle()
    leaves = [c.world.contents.of(source.root).leaves for source in c.world.published.values()]
    c.crash("n3")
    left = liveness.owned_copies(c.up())
    lower_bound = sum(max(0, 2 - left[key]) for keys in leaves for key in keys)
    before = moved_blocks(c)
    c.settle()
    assert lower_bound <= moved_blocks(c) - before <= 1.05 * lower_bound


def test_two_nodes_at_once_lose_nothing_that_has_three_copies(parts: Parts) -> None:
    c = cluster(3, EQUAL, parts)
    c.run(15)
    c.add_source("n0", 60, name="dear", copies=3)
    c.settle()
    c.crash("n0", lose_disk=True)
    c.crash("n1", lose_disk=True)
    c.settle()
    assert min(copies(c, "dear")) >= 3


@pytest.mark.parametrize("seconds", [1.0, 45.0, 120.0])
def test_a_partition_heals(seconds: float, six: Cluster) -> None:
    six.settle()
    six.partition(["n0", "n1", "n2"], ["n3", "n4", "n5"])
    six.run(seconds)
    six.settle()


def test_a_partition_longer_than_gossip_remembers_the_dead_heals(forgetful_parts: Parts) -> None:
    c = cluster(1, EQUAL[:4], forgetful_parts)
    c.run(15)
    c.partition(["n0", "n1"], ["n2", "n3"])
    c.run(600)
    assert all(c["n0"].id != member.id for member in c["n3"].mind._gossip.members())
    c.settle()


def test_both_sides_of_a_partition_add_and_remove_and_agree_afterwards(six: Cluster) -> None:
    six.settle()
    film = six["n0"].mind.sources()[0]
    six.partition(["n0", "n1", "n2"], ["n3", "n4", "n5"])
    six.run(30)
    six.add_source("n1", 10, name="left")
    six.add_source("n4", 10, name="right")
    six.remove_source("n5", film)
    six.run(30)
    assert names(six, "n0") == ["film", "left"]
    assert names(six, "n3") == ["right"]
    six.settle()
    assert names(six, "n0") == ["left", "right"]
    assert not any(copies(six, "film"))


def test_a_one_way_cut_does_not_make_anybody_dead_for_ever(six: Cluster) -> None:
    six.settle()
    six.cut("n0", "n1", both=False)
    six.run(120)
    assert six["n1"].mind.liveness(six["n0"].id) is not Liveness.DEAD
    six.settle()


def test_a_removed_source_frees_its_blocks_and_stays_away_after_a_restart(six: Cluster) -> None:
    six.settle()
    film = six["n0"].mind.sources()[0]
    six.crash("n5")
    six.remove_source("n2", film)
    six.run(60)
    assert not any(node.disk.used_bytes for node in six.up())
    six.restart("n5")
    six.settle()
    assert not any(node.disk.used_bytes for node in six.up())
    assert not names(six, "n5")


def test_removing_one_of_two_sources_that_share_blocks_keeps_the_other_whole(parts: Parts) -> None:
    c = cluster(2, EQUAL, parts)
    c.run(15)
    first = c.add_source("n0", 40, name="first", first_content=0)
    c.add_source("n1", 40, name="second", first_content=20)
    assert first is not None
    c.settle()
    c.remove_source("n2", first)
    c.settle()
    assert min(copies(c, "second")) >= 2


def test_a_removed_source_may_come_back(six: Cluster) -> None:
    six.settle()
    film = six["n0"].mind.sources()[0]
    six.remove_source("n3", film)
    six.run(30)
    assert six.add_again("n4", film)
    six.settle()
    assert min(copies(six, "film")) >= 2


def test_late_joiners_take_their_share(six: Cluster) -> None:
    six.settle()
    for _ in range(3):
        six.join(NodeSpec(1024 * MIB))
    six.settle()
    assert all(node.disk.used_bytes > 0 for node in six.up())
    assert all(len(node.mind.nodes()) == 9 for node in six.up())


def test_a_node_that_lost_its_disk_is_filled_again_and_keeps_its_identity(six: Cluster) -> None:
    six.settle()
    held = six["n0"].disk.used_bytes
    six.crash("n0", lose_disk=True)
    six.run(10)
    six.restart("n0")
    six.settle()
    assert 0 < six["n0"].disk.used_bytes <= held
    assert names(six, "n0") == ["film"]
    assert min(copies(six, "film")) >= 2


def test_what_only_a_dead_node_had_is_missed_until_it_comes_back(parts: Parts) -> None:
    c = cluster(1, EQUAL[:3], parts)
    c.run(15)
    c.partition(["n0"], ["n1", "n2"])
    c.add_source("n0", 20, name="lonely")
    c.run(1)
    c.crash("n0")
    c.settle()
    assert names(c, "n1") == []
    c.restart("n0")
    c.settle()
    assert min(copies(c, "lonely")) >= 2


def test_full_disks_stay_within_their_quota_and_say_so(parts: Parts) -> None:
    c = cluster(1, [NodeSpec(1024 * MIB), NodeSpec(40 * MIB), NodeSpec(40 * MIB)], parts)
    c.run(15)
    c.add_source("n0", 200, name="large")
    c.settle(has_exact_plans=False)
    assert all(node.disk.used_bytes <= node.disk.capacity_bytes for node in c.up())
    assert c["n1"].disk.used_bytes > 20 * MIB
    assert min(copies(c, "large")) == 1
    c["n1"].resize(1024 * MIB)
    c.settle()
    assert min(copies(c, "large")) == 2


def test_more_than_fits_is_refused_before_anything_changes(parts: Parts) -> None:
    c = cluster(1, EQUAL[:2], parts)
    c.run(15)
    assert c.add_source("n0", 600) is None
    assert c["n0"].disk.used_bytes == 0
    c.settle()
    assert not c["n1"].mind.sources()


def test_in_scarcity_everything_gets_one_copy_before_anything_gets_two(parts: Parts) -> None:
    """About 440 MiB of room for 300 MiB of data that want 600."""
    c = cluster(4, [NodeSpec(1024 * MIB), NodeSpec(80 * MIB), NodeSpec(80 * MIB), NodeSpec(80 * MIB)], parts)
    c.run(15)
    for number in range(3):
        c.add_source("n0", 100, name=f"s{number}", linked=True)
    c["n0"].resize(220 * MIB)
    c.settle(has_exact_plans=False)
    counts = [count for number in range(3) for count in copies(c, f"s{number}")]
    assert min(counts) >= 1
    assert 1 in counts


def test_the_important_is_copied_first_when_room_is_short(parts: Parts) -> None:
    c = cluster(5, [NodeSpec(512 * MIB)] + [NodeSpec(64 * MIB)] * 3, parts)
    c.run(15)
    c.partition(["n0"], ["n1", "n2", "n3"])
    c.add_source("n0", 70, name="dear", priority=5, linked=True)
    c.add_source("n0", 250, name="cheap", linked=True)
    c["n0"].resize(260 * MIB)
    c.settle(has_exact_plans=False)
    assert min(copies(c, "dear")) >= 2
    assert min(copies(c, "cheap")) <= 1


def test_growing_in_the_middle_of_a_repair_loses_nothing(six: Cluster) -> None:
    six.settle()
    six.crash("n4")
    six.run(12)
    six["n0"].resize(4096 * MIB)
    six.run(1)
    six["n3"].resize(4096 * MIB)
    six.settle()
    assert min(copies(six, "film")) >= 2


def test_shrinking_below_what_is_used_is_refused(six: Cluster) -> None:
    six.settle()
    assert not six["n0"].resize(6 * MIB)
    assert six["n0"].disk.capacity_bytes > 6 * MIB


@pytest.mark.parametrize("seed", SEEDS)
def test_a_peer_that_serves_wrong_bytes_harms_nobody_and_is_left_alone(seed: int, parts: Parts) -> None:
    c = cluster(seed, EQUAL, parts)
    c.run(15)
    c["n1"].lie = Lie.WRONG_BYTES
    c.add_source("n0", 60, name="film")
    c.settle(has_exact_plans=False)
    c.crash("n0")
    c.run(120)
    c.restart("n0")
    c.settle(has_exact_plans=False)
    assert any("wrong" in line.text for node in c.honest() for line in node.mind.events)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_peer_that_claims_what_it_lacks_does_not_stop_the_others(seed: int, parts: Parts) -> None:
    c = cluster(seed, EQUAL, parts)
    c.run(15)
    film = c.add_source("n0", 60, name="film")
    assert film is not None
    c.run(1)
    c["n1"].boast(film.root)
    c.settle(has_exact_plans=False)


def test_a_peer_that_withholds_everything_does_not_stop_the_others(parts: Parts) -> None:
    c = cluster(2, EQUAL, parts)
    c.run(15)
    c["n1"].lie = Lie.WITHHOLDS
    c.add_source("n0", 60, name="film")
    c.settle(has_exact_plans=False)


def test_rotten_blocks_are_found_when_read_taken_back_and_fetched_again(parts: Parts) -> None:
    c = cluster(1, EQUAL, parts)
    c.run(15)
    film = c.add_source("n0", 60, name="film", copies=3)
    assert film is not None
    c.settle()
    keys = c.world.contents.of(film.root).leaves
    for node in c.up():
        for key in keys[:20]:
            if node.disk.peek(key) is not None and node.name == "n0":
                node.disk.rot(key)
    c.crash("n1")
    c.crash("n2")
    c.settle()
    assert min(copies(c, "film")) >= 3


def test_clocks_that_are_off_by_minutes_change_no_decision(parts: Parts) -> None:
    c = cluster(1, EQUAL, parts)
    for number, minutes in enumerate((-4, 4, -2, 2, 0, 3)):
        c[f"n{number}"].skew_ms = minutes * 60_000
    c.run(15)
    film = c.add_source("n0", 30, name="film")
    assert film is not None
    c.settle()
    c.remove_source("n1", film)
    c.settle()
    assert c.add_again("n2", film)
    c.settle()
    assert all(names(c, node.name) == ["film"] for node in c.up())


def test_a_node_whose_clock_is_an_hour_ahead_is_heard_again_once_it_is_right(parts: Parts) -> None:
    c = cluster(1, EQUAL[:4], parts)
    c["n3"].skew_ms = 3_600_000
    c.run(30)
    c.add_source("n3", 20, name="from the future")
    c.run(30)
    assert names(c, "n0") == []
    c.crash("n3")
    c["n3"].skew_ms = 0
    c.restart("n3")
    c.settle()
    assert names(c, "n0") == ["from the future"]


def test_bad_weather_delays_and_breaks_nothing(parts: Parts) -> None:
    c = cluster(1, EQUAL, parts)
    c.weather(Conditions(loss=0.3, duplicates=0.05, delay_seconds=0.02, jitter_seconds=0.05), stream_failures=0.3)
    c.run(15)
    c.add_source("n0", 60, name="film")
    c.run(120)
    c.settle()
    assert min(copies(c, "film")) >= 2


def test_who_leaves_for_good_is_replaced_without_a_grace(six: Cluster) -> None:
    six.settle()
    six["n1"].leave()
    six.run(15)
    assert all(six["n1"].id not in [n.id for n in node.mind.view(node.now).nodes] for node in six.up())
    six.settle()
    assert min(copies(six, "film")) >= 2


def test_copies_are_spread_over_zones_first(parts: Parts) -> None:
    zones = ["cellar", "cellar", "cellar", "attic", "attic"]
    c = cluster(1, [NodeSpec(512 * MIB, zone=zone) for zone in zones], parts)
    c.run(15)
    film = c.add_source("n0", 60, name="film", linked=True)
    assert film is not None
    c.settle()
    for key in c.world.contents.of(film.root).leaves:
        assert {node.zone for node in c.up() if node.disk.peek(key) is not None} == {"cellar", "attic"}


def test_other_planners_keep_to_the_rules_too(other_parts: Parts) -> None:
    c = cluster(1, EQUAL, other_parts)
    c.run(15)
    c.add_source("n0", 60, name="film")
    c.settle(has_exact_plans=False)
    c.crash("n1")
    c.settle(has_exact_plans=False)
    c.restart("n1")
    c.settle(has_exact_plans=False)
    assert min(copies(c, "film")) >= 1


def test_nodes_with_different_planners_live_together(parts: Parts, other_parts: Parts) -> None:
    c = cluster(1, EQUAL, parts)
    c.join(NodeSpec(512 * MIB), planner=other_parts.planner)
    c.run(15)
    c.add_source("n0", 60, name="film")
    c.settle(has_exact_plans=False)
    assert min(copies(c, "film")) >= 1


def test_a_failed_demand_names_rule_time_and_seed(parts: Parts) -> None:
    c = cluster(7, EQUAL[:2], parts)
    with pytest.raises(InvariantError, match=r"L9 at \d+\.\d+ s, seed 7: after 2 s it never comes"):
        c.run_until(lambda: "it never comes", 2, "L9")
