"""The exact solution against a second, slow implementation of the same rule, and its promises about room."""

import random
from collections import defaultdict

import pytest

from ralnode.api import PlanNode, View
from ralnode.api.mixing import block_key, distance, node_salt
from ralnode.api.planning import leaf_budget_bytes, planned_bytes
from ralnode.testing.planner_measures import copies_histogram, plans_everywhere
from ralnode.testing.planner_views import make_source, make_view, node_id
from ralnode_planner_rendezvous import RendezvousPlanner
from ralnode_planner_rendezvous.scheme import Scheme

SHARES = [1, 1, 2, 4, 4, 8]
PLANNER = RendezvousPlanner()


def one_by_one(view: View, seed: int) -> dict[tuple[bytes, int], list[bytes | None]]:
    """Deferred acceptance with one block asking at a time, in a random order, in plain Python. One zone per node."""
    dice = random.Random(seed)
    capacities = {node.id: node.capacity_bytes for node in view.nodes}
    rooms = {node.id: leaf_budget_bytes(node.capacity_bytes, view.sources) for node in view.nodes}
    nodes = [node_id for node_id, room in rooms.items() if room > 0]
    blocks = [(source, index) for source in view.sources for index in range(source.leaf_count)]
    owners = {(source.root, index): [] for source, index in blocks}
    tiers = sorted({source.priority for source in view.sources}, reverse=True)
    order = [(tier, 0) for tier in tiers]
    order += [(tier, copy) for tier in tiers for copy in range(1, max(s.copies for s in view.sources))]
    far = {
        (source.root, index, node): distance(block_key(source.root, index), node_salt(node), capacities[node])
        for source, index in blocks
        for node in nodes
    }
    for tier, copy in order:
        asking = [(s, i) for s, i in blocks if s.priority == tier and copy < min(s.copies, len(nodes))]
        wishes = {
            (s.root, i): sorted(
                (n for n in nodes if n not in owners[s.root, i]), key=lambda n: far[s.root, i, n], reverse=True
            )
            for s, i in asking
        }
        guests, refused_from = defaultdict(list), defaultdict(lambda: float("inf"))
        while asking:
            source, index = asking.pop(dice.randrange(len(asking)))
            wish = wishes[source.root, index]
            if not wish:
                continue
            node = wish.pop()
            guests[node].append((far[source.root, index, node], source, index))
            guests[node].sort(key=lambda guest: guest[0])
            used = 0
            for at, (away, guest, _) in enumerate(guests[node]):
                used += guest.block_bytes
                if used > rooms[node] or away >= refused_from[node]:
                    refused_from[node] = min(refused_from[node], away)
                    asking += [(s, i) for _, s, i in guests[node][at:]]
                    del guests[node][at:]
                    break
        placed = {(s.root, i): node for node, sitting in guests.items() for _, s, i in sitting}
        for node, sitting in guests.items():
            rooms[node] -= sum(source.block_bytes for _, source, _ in sitting)
        for key in wishes:
            owners[key].append(placed.get(key))
    return owners


@pytest.mark.parametrize("room", [5.0, 2.6, 1.4, 0.7])
@pytest.mark.parametrize("seed", range(4))
def test_it_is_what_asking_one_by_one_in_any_order_gives(room: float, seed: int) -> None:
    sources = [make_source(seed * 10 + 1, 60), make_source(seed * 10 + 2, 31, priority=1)]
    view = make_view(SHARES, sources, room)
    scheme = Scheme.of(view)
    expected = one_by_one(view, seed)
    for source in view.sources:
        for index in range(source.leaf_count):
            found = [None if at < 0 else scheme.nodes.ids[at] for at in scheme.owners(source, index)]
            assert found == expected[source.root, index]


@pytest.mark.parametrize("seed", range(3))
def test_blocks_of_different_sizes_are_placed_by_the_same_rule(seed: int) -> None:
    sources = [make_source(seed + 1, 40, block_bytes=7000), make_source(seed + 91, 40, block_bytes=1000, copies=1)]
    view = make_view([3, 4, 5], sources, 3.0)
    scheme = Scheme.of(view)
    expected = one_by_one(view, seed)
    for source in view.sources:
        for index in range(source.leaf_count):
            assert [scheme.nodes.ids[at] for at in scheme.owners(source, index)] == expected[source.root, index]


@pytest.mark.parametrize("seed", range(60))
def test_no_copy_is_missing_while_it_could_be_placed(seed: int) -> None:
    """Blocks of one size can be placed r times on distinct nodes exactly when the nodes' slots, none counted above the
    number of blocks, are enough (Gale and Ryser); the cluster is filled to 90 to 100 % of that."""
    dice = random.Random(seed)
    copies = dice.choice([2, 2, 3])
    blocks = dice.randrange(10, 150)
    source = make_source(seed, blocks, copies=copies)
    shares = [dice.lognormvariate(0, 0.8) for _ in range(dice.randrange(copies, 8))]
    room = copies * dice.uniform(1.0, 1.3)
    slots = [max(1, int(share / sum(shares) * room * blocks)) for share in shares]
    while sum(min(slot, blocks) for slot in slots) < copies * blocks:
        slots[slots.index(min(slots))] += 1
    capacities = [(slot * source.block_bytes + source.interior_bytes) * 64 // 63 + 2 for slot in slots]
    view = make_view(capacities, [source], sum(capacities) / source.leaf_bytes)
    assert copies_histogram(view, plans_everywhere(PLANNER, view))[copies:] == [blocks]


@pytest.mark.parametrize(
    ("room", "shares_of_blocks"),
    [(4.0, [0, 0, 100]), (2.22, [0, 0, 100]), (2.05, [0, 0, 100]), (1.54, [0, 46, 54]), (1.05, [0, 95, 5])],
)
def test_scarcity_costs_second_copies_first(room: float, shares_of_blocks: list[int]) -> None:
    source = make_source(1, 20_000)
    view = make_view(SHARES, [source], room * 64 / 63 + 0.01)
    histogram = copies_histogram(view, plans_everywhere(PLANNER, view))
    assert histogram[0] == 0
    assert [round(100 * count / source.leaf_count) for count in histogram] == pytest.approx(shares_of_blocks, abs=1)


def test_with_room_for_four_fifths_four_fifths_are_kept_once() -> None:
    view = make_view(SHARES, [make_source(1, 20_000)], 0.8 * 64 / 63)
    none, once = copies_histogram(view, plans_everywhere(PLANNER, view))
    assert none == pytest.approx(4000, abs=60)
    assert once == 20_000 - none


@pytest.mark.parametrize("room", [0.5, 1.3, 2.0, 2.4])
def test_no_node_gets_more_than_its_room_and_a_full_cluster_wastes_a_block_per_node(room: float) -> None:
    sources = [make_source(n, 400, block_bytes=1000 * n + 1, copies=3) for n in range(1, 8)]
    view = make_view(SHARES, sources, room)
    plans = plans_everywhere(PLANNER, view)
    for node in view.nodes:
        budget = leaf_budget_bytes(node.capacity_bytes, view.sources)
        used = planned_bytes(view.sources, plans[node.id].want)
        assert budget - 7001 < used <= budget


def test_a_pull_is_no_stronger_than_the_shortage_asks_for() -> None:
    """Full pulling (0.0002) would send every second copy to the large node, and move it back with the next node."""
    pulls = []
    for room in (2.5, 2.18, 2.1, 2.03):
        view = make_view(SHARES, [make_source(1, 20_000)], room * 64 / 63)
        pulls.append(min(float(terms.pulls.min()) for terms in Scheme.of(view).solution.terms))
    assert pulls[0] == 1.0
    assert pulls == sorted(pulls, reverse=True)
    assert pulls[1] > 0.5
    assert pulls[3] > 0.3


@pytest.mark.parametrize(("spare_bytes", "expected"), [(-1, 9), (0, 10), (1, 10)])
def test_a_block_that_fits_to_the_byte_is_taken(spare_bytes: int, expected: int) -> None:
    source = make_source(1, 40, block_bytes=6300, copies=1)
    capacity = 64_000 + (source.interior_bytes + spare_bytes) * 64 // 63
    while leaf_budget_bytes(capacity, [source]) < 63_000 + spare_bytes:
        capacity += 1
    assert leaf_budget_bytes(capacity, [source]) == 63_000 + spare_bytes
    view = View(node_id(0), (PlanNode(node_id(0), capacity),), (source,))
    assert len(PLANNER.plan(view).want[source.root]) == expected


def test_urgent_is_the_first_copy_of_every_block() -> None:
    view = make_view(SHARES, [make_source(1, 1000)], 5.0)
    source, scheme, plans = view.sources[0], Scheme.of(view), plans_everywhere(PLANNER, view)
    for index in range(1000):
        first, second = (plans[scheme.nodes.ids[at]] for at in scheme.owners(source, index))
        assert index in first.urgent[source.root]
        assert index not in second.urgent[source.root]


def test_shares_follow_capacity_when_there_is_one_copy() -> None:
    view = make_view(SHARES, [make_source(1, 50_000, copies=1)], 10.0)
    plans = plans_everywhere(PLANNER, view)
    for node in view.nodes:
        share = node.capacity_bytes / sum(other.capacity_bytes for other in view.nodes)
        count = len(plans[node.id].want[view.sources[0].root])
        assert count == pytest.approx(50_000 * share, abs=5 * (50_000 * share) ** 0.5)


def test_the_order_in_which_a_view_lists_things_does_not_matter() -> None:
    view = make_view(SHARES, [make_source(n, 300, priority=n % 2) for n in range(5)], 1.7)
    turned = View(view.me, view.nodes[::-1], view.sources[::-1])
    assert PLANNER.plan(turned) == PLANNER.plan(view)
