from __future__ import annotations

import pytest

from ralnode.cli.demo.sizing import COPIES, OWN_BYTES, SPARE, capacities


@pytest.mark.parametrize("node_count", range(3, 21))
@pytest.mark.parametrize("data_bytes", [0, 10_000_000, 300_000_000])
def test_whichever_node_is_lost_the_rest_has_room_for_two_copies(node_count: int, data_bytes: int) -> None:
    given = capacities(node_count, data_bytes)
    assert len(given) == node_count
    for lost in range(node_count):
        rest = [size - OWN_BYTES for place, size in enumerate(given) if place != lost]
        whole = data_bytes * SPARE
        assert sum(min(size, whole) for size in rest) >= COPIES * whole - node_count


def test_no_two_nodes_give_the_same() -> None:
    given = capacities(12, 300_000_000)
    assert len(set(given)) == 12
