"""Views to try planners on: ordinary, tight and odd ones, all made from fixed seeds so that every run is the same.

Whoever writes a planner gets them through `PlannerContract`; simulations of placement may use `make_view` as well.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

from ralnode.api import BlockSet, NodeId, PlanNode, Root, Source, View

BLOCK_BYTES = 1 << 18


def node_id(number: int) -> NodeId:
    """32 bytes, as a public key has."""
    return hashlib.blake2b(b"node %d" % number, digest_size=32).digest()


def source_root(number: int) -> Root:
    """36 bytes, as a binary CIDv1 has."""
    return bytes.fromhex("01711220") + hashlib.blake2b(b"source %d" % number, digest_size=32).digest()


def make_source(
    number: int, leaf_count: int, *, block_bytes: int = BLOCK_BYTES, copies: int = 2, priority: int = 0
) -> Source:
    size = leaf_count * block_bytes
    interior = 1 + leaf_count // 174
    return Source(
        source_root(number), f"source {number}", size, leaf_count, size, interior, interior * 512, copies, priority
    )


def make_nodes(shares: Sequence[int], total_bytes: int, zones: Sequence[str] = ()) -> tuple[PlanNode, ...]:
    """One node per share, with that part of the total as its capacity, sorted by id."""
    whole = max(1, sum(shares))
    made = [
        PlanNode(node_id(number), total_bytes * share // whole, zones[number % len(zones)] if zones else "")
        for number, share in enumerate(shares)
    ]
    return tuple(sorted(made, key=lambda node: node.id))


def make_view(
    shares: Sequence[int], sources: Sequence[Source], room: float, *, zones: Sequence[str] = (), me: int = 0
) -> View:
    """Nodes with these shares of a total capacity of `room` times the data, counted once."""
    data_bytes = sum(source.leaf_bytes for source in sources)
    nodes = make_nodes(shares, int(data_bytes * room), zones)
    return View(node_id(me), nodes, tuple(sorted(sources, key=lambda source: source.root)))


def seen_by(view: View, me: NodeId) -> View:
    """The same view from another node."""
    return replace(view, me=me)


@dataclass(frozen=True, slots=True)
class NamedView:
    name: str
    view: View


def all_views() -> tuple[NamedView, ...]:
    """Ordinary ones first; each with and without holdings."""
    plain = [*_ordinary(), *_odd()]
    held = [
        NamedView(f"{named.name}, with holdings", with_holdings(named.view, seed)) for seed, named in enumerate(plain)
    ]
    return (*plain, *held)


def with_holdings(view: View, seed: int) -> View:
    """Some blocks on some nodes, among them a node and a source that the view does not know, and blocks beyond a source."""
    dice = Random(seed)
    holdings: dict[NodeId, Mapping[Root, BlockSet]] = {}
    for node in view.nodes[::2]:
        holdings[node.id] = {
            source.root: BlockSet(dice.getrandbits(source.leaf_count))
            for source in view.sources
            if 0 < source.leaf_count < 100_000
        }
    first = {source.root: BlockSet.of([source.leaf_count + 5]) for source in view.sources[:1]}
    holdings[node_id(10_000)] = {source_root(10_000): BlockSet.full(9), **first}
    return replace(view, holdings=holdings)


def ample_view() -> View:
    """Room for everything twice over, in every sense."""
    return make_view([3, 4, 4, 5, 6], [make_source(1, 500), make_source(2, 77, copies=3)], room=12.0)


def large_view() -> View:
    """A quarter of a terabyte in a million blocks on six unequal machines."""
    sources = [make_source(number, 250_000) for number in range(4)]
    return make_view([1, 1, 2, 4, 4, 8], sources, room=2.5)


def _ordinary() -> list[NamedView]:
    mixed = [
        make_source(1, 300),
        make_source(2, 50, block_bytes=1 << 20, copies=3),
        make_source(3, 2000, block_bytes=1 << 14, copies=1, priority=5),
        make_source(4, 1, block_bytes=77, priority=-3),
    ]
    shares = [1, 1, 2, 4, 4, 8]
    return [
        NamedView("room to spare", make_view(shares, mixed, room=6.0)),
        NamedView("nearly full", make_view(shares, mixed, room=2.4)),
        NamedView("room for one copy and a half", make_view(shares, mixed, room=1.54)),
        NamedView("not even room for one copy", make_view(shares, mixed, room=0.6)),
        NamedView("two zones", make_view(shares, mixed, room=4.0, zones=["cellar", "attic"])),
        NamedView("one zone, and nodes without", make_view(shares, mixed, room=4.0, zones=["cellar", "", "cellar"])),
        NamedView("forty nodes", make_view(list(range(1, 41)), mixed, room=4.0, zones=["a", "b", "c"])),
        NamedView("many priorities", make_view(shares, [make_source(n, 20, priority=n) for n in range(40)], room=1.2)),
    ]


def _odd() -> list[NamedView]:
    some = [make_source(1, 40), make_source(2, 9, copies=3)]
    empty = Source(source_root(7), "", 0, 0, 0, 1, 4)
    weightless = Source(source_root(8), "leaves without bytes", 0, 12, 0, 1, 40)
    whole = make_view([1, 2, 3], some, room=4.0)
    interior_heavy = replace(make_source(9, 10), interior_bytes=1 << 40)
    shut = tuple(replace(node, capacity_bytes=0) for node in whole.nodes)
    monster = replace(make_source(11, 3), size_bytes=1 << 90, leaf_bytes=1 << 90)
    return [
        NamedView("a size beyond reason", View(node_id(0), whole.nodes, (*whole.sources, monster))),
        NamedView("no nodes", View(node_id(0), (), whole.sources)),
        NamedView("no sources", View(node_id(0), whole.nodes, ())),
        NamedView("nothing at all", View(node_id(0), (), ())),
        NamedView("one node", make_view([1], some, room=3.0)),
        NamedView("I am not in it", replace(whole, me=node_id(99))),
        NamedView("more copies than nodes", make_view([1, 2], [make_source(1, 30, copies=9)], room=4.0)),
        NamedView("every node shut", View(node_id(0), shut, whole.sources)),
        NamedView("one node shut", View(node_id(0), (shut[0], *whole.nodes[1:]), whole.sources)),
        NamedView(
            "a node of one byte",
            View(node_id(0), (replace(shut[0], capacity_bytes=1), *whole.nodes[1:]), whole.sources),
        ),
        NamedView("a source without leaves", make_view([1, 2, 3], [*some, empty], room=4.0)),
        NamedView("only sources without leaves", View(node_id(0), whole.nodes, (empty,))),
        NamedView("leaves without bytes", View(node_id(0), whole.nodes, (weightless,))),
        NamedView("more metadata than room", make_view([1, 2, 3], [interior_heavy], room=4.0)),
        NamedView("no copies asked for", make_view([1, 2, 3], [make_source(1, 30, copies=0)], room=4.0)),
        NamedView(
            "blocks larger than a node", make_view([1, 1, 90], [make_source(1, 3, block_bytes=1 << 21)], room=2.0)
        ),
        NamedView(
            "a capacity beyond reason",
            View(node_id(0), (replace(shut[0], capacity_bytes=1 << 70), *whole.nodes[1:]), whole.sources),
        ),
    ]
