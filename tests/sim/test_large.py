"""Many nodes: fifty in every check, any number on demand (`RALNODE_SIM_NODES`): 200 take 4 minutes of processor time; it
grows with the square of the number."""

import os
import time

import pytest

from ralnode.api.limits import MIB
from ralnode.testing import liveness
from ralnode.testing.simulation import Cluster, NodeSpec
from ralnode.testing.world import Parts

FIFTY = 50
ON_DEMAND = int(os.environ.get("RALNODE_SIM_NODES", "0"))


def live_through_a_death(count: int, parts: Parts) -> Cluster:
    """Nodes of four sizes meet, share two sources, lose two of theirs, one of them with its disk, and repair."""
    specs = [NodeSpec((256, 512, 1024, 2048)[number % 4] * MIB) for number in range(count)]
    c = Cluster(1, specs, parts)
    c.run(20)
    for number in range(2):
        assert c.add_source(f"n{number + 1}", 4 * count, name=f"s{number}", linked=True)
    c.run(40 + count / 10)
    assert all(copies(c))
    c.crash("n5")
    c.crash("n6", lose_disk=True)
    c.settle()
    assert min(copies(c)) >= 2
    return c


def copies(c: Cluster) -> list[int]:
    counts = liveness.owned_copies(c.up())
    return [counts[key] for source in c.world.published.values() for key in c.world.contents.of(source.root).leaves]


@pytest.mark.timeout(300)
def test_fifty_nodes_live_through_two_deaths(light_parts: Parts) -> None:
    live_through_a_death(FIFTY, light_parts)


@pytest.mark.skipif(not ON_DEMAND, reason="more nodes run on demand: RALNODE_SIM_NODES=200")
@pytest.mark.timeout(6 * 3600)
def test_as_many_nodes_as_are_asked_for(light_parts: Parts) -> None:
    started = time.monotonic()
    c = live_through_a_death(ON_DEMAND, light_parts)
    print(
        f"{ON_DEMAND} nodes: {c.safety.event_count} events in {time.monotonic() - started:.0f} s, {dict(c.world.counters)}"
    )
