"""`RarestPlanner`: takes on the blocks of which the fewest live copies exist, at most a small part of its capacity per
round, so that others see what it took before it takes more (2 % a round wastes a fifth of what 50 % a round does).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from ralnode.api import BlockSet, ConfigError, Plan, Root, View
from ralnode.api.mixing import node_salt
from ralnode.api.planning import held_blocks, my_budget_bytes, planned_bytes, take, united, view_digest
from ralnode_planner_rarest.census import COPIES_MAX, Census

NAME: Final = "rarest"
VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class RarestOptions:
    """`batch_percent`: the part of its capacity that a node takes on in one round, 1 to 100."""

    batch_percent: int = 2


class Bucket(NamedTuple):
    """Blocks that are equally wanted: of each, `copies` live copies exist."""

    copies: int
    blocks: Mapping[Root, BlockSet]


class RarestPlanner:
    """Wants what this node has and the rarest of what it lacks: fewest copies first, then higher priority, then the
    blocks nearest to it by rendezvous hash, so that nodes with equal views begin with different ones.

    Each plan is one round: it is to be asked again when its blocks have arrived.
    """

    name = NAME
    version = VERSION
    needs_holdings = True

    def __init__(self, options: RarestOptions | None = None) -> None:
        self._batch_percent = (options or RarestOptions()).batch_percent
        if not 1 <= self._batch_percent <= 100:
            raise ConfigError(f"[planner.rarest] batch_percent = {self._batch_percent}: give 1 to 100")

    def plan(self, view: View) -> Plan:
        census, mine = Census(view), held_blocks(view, view.me)
        budget_bytes = my_budget_bytes(view)
        kept = united(bucket.blocks for bucket in _filled(view, _held(view, census, mine), budget_bytes))
        left_bytes = min(budget_bytes - planned_bytes(view.sources, kept), self._round_bytes(view, budget_bytes))
        new = _filled(view, _lacking(view, census, mine), left_bytes)
        return Plan(
            want=united([kept, *(bucket.blocks for bucket in new)]),
            urgent=united(bucket.blocks for bucket in new if bucket.copies == 0),
            digest=view_digest(f"{NAME}/{VERSION}", view),
        )

    def explain(self, view: View, root: Root, index: int) -> Sequence[str]:
        source = next((source for source in view.sources if source.root == root), None)
        if source is None or not 0 <= index < source.leaf_count:
            return ["The plan knows no such block."]
        count, has = Census(view).count(root, index), index in held_blocks(view, view.me).get(root, ())
        lines = [f"{count} live copies are known of, {source.copies} are wanted."]
        if has:
            return [*lines, "This node has it, and keeps what it has while there is room."]
        if index in self.plan(view).want.get(root, ()):
            return [*lines, "This node takes it on in this round."]
        why = "rarer or nearer blocks come first" if count < source.copies else "there are enough"
        return [*lines, f"This node does not take it on now: {why}, or its room is used up."]

    def _round_bytes(self, view: View, budget_bytes: int) -> int:
        """At least one block of any source, so that a small node gets on at all."""
        heaviest = max((source.block_bytes for source in view.sources), default=0)
        return max(heaviest, budget_bytes * self._batch_percent // 100)


def _held(view: View, census: Census, mine: Mapping[Root, BlockSet]) -> Iterator[Bucket]:
    """What this node has, the rarest first: should its room shrink, it keeps those."""
    for count in range(1, COPIES_MAX + 1):
        alike = census.exactly(view.sources, count)
        yield Bucket(count, {root: blocks & mine[root] for root, blocks in alike.items() if root in mine})


def _lacking(view: View, census: Census, mine: Mapping[Root, BlockSet]) -> Iterator[Bucket]:
    """What it has not and somebody should, in the order of need."""
    priorities = sorted({source.priority for source in view.sources}, reverse=True)
    tiers = [[source for source in view.sources if source.priority == priority] for priority in priorities]
    for count in range(COPIES_MAX):
        for tier in tiers:
            alike = census.exactly([source for source in tier if source.copies > count], count)
            yield Bucket(count, {root: blocks - mine.get(root, BlockSet()) for root, blocks in alike.items()})


def _filled(view: View, buckets: Iterable[Bucket], budget_bytes: int) -> list[Bucket]:
    """The buckets in order, up to the one that the budget does not cover, and of that the nearest blocks."""
    filled = []
    for bucket in buckets:
        taken = take(view.sources, bucket.blocks, node_salt(view.me), budget_bytes)
        budget_bytes -= planned_bytes(view.sources, taken)
        filled.append(Bucket(bucket.copies, taken))
        if any(len(taken.get(root, ())) < len(blocks) for root, blocks in bucket.blocks.items()):
            break
    return filled
