"""The executor: which missing blocks to fetch now, from whom. Rarest first, one stream per holder, never over the quota.

Works on what the plan wants and this node does not own yet. Blocks that lie in a file of ours are copied locally.
A class of rarity is begun only when nothing rarer can be assigned, so a block with two copies never goes before one
with one. Pure: returns effects, is told of outcomes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final

from ralnode.api import BlockSet, NodeId, Peer, Plan, Root, Source, Usage, limits
from ralnode.core.events import CopyLinked, Effect, FetchBlocks, FetchEnded
from ralnode.core.holdings import Holdings

_RARITY_LEVELS: Final = 3
_BACKOFF_SECONDS: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)
_BAD_BYTES_BACKOFF_SECONDS: Final = 600.0
"""A peer that sent wrong bytes is left alone for ten minutes."""
_NEARLY_DONE_BYTES: Final = limits.FETCH_BYTES_PER_TASK // 2
"""A holder of whose task less than this is not durable here yet is given its next one already: no gap comes between, even
where the disk is far behind the stream, and for half of the time two streams take turns on this node's cores."""
CANCELLED: Final = "cancelled"
"""The reason of a fetch that this node itself gave up; nobody's fault."""
_ROOM_MARGIN_BYTES_MAX: Final = 4 * limits.MIB
"""Left free so that index pages and records still fit; less on a small node, where it must stay below the planners' own
margin (capacity / 64), or the last blocks of a plan would never be fetched."""


@dataclass(slots=True)
class _Task:
    source: Source
    holder: NodeId | None
    """None: a local copy of linked blocks."""
    blocks: BlockSet


@dataclass(slots=True)
class _Open:
    """A source with blocks still to assign in this round."""

    source: Source
    missing: BlockSet
    by_copies: list[BlockSet] = field(default_factory=list)


@dataclass(slots=True)
class _Trouble:
    failures: int
    until: float


class Fetcher:
    """Tasks under way, trouble with holders, room left."""

    def __init__(self, me: NodeId, holdings: Holdings, rng: Random) -> None:
        self.me = me
        self.is_full = False
        self.is_hungry = False
        """Whether nobody known had something wanted when last looked at."""
        self._holdings = holdings
        self._rng = rng
        self._next_task = 1
        self._tasks: dict[int, _Task] = {}
        self._trouble: dict[NodeId, _Trouble] = {}
        self._usage = Usage(0, 0)
        self._stored_since_usage_bytes = 0

    # --- outcomes ---

    def usage_measured(self, usage: Usage) -> None:
        """Full for what was asked while less was known to be used need not be full for what is asked now."""
        before, self._usage, self._stored_since_usage_bytes = self._usage, usage, 0
        if usage.capacity_bytes > before.capacity_bytes or usage.used_bytes != before.used_bytes:
            self.is_full = False

    def blocks_stored(self, task: int, blocks: BlockSet, size_bytes: int) -> None:
        self._stored_since_usage_bytes += size_bytes
        if task in self._tasks:
            self._tasks[task].blocks -= blocks

    def ended(self, event: FetchEnded, now_seconds: float) -> None:
        """A holder that ends without error and without a block it advertised did not have it."""
        done = self._tasks.pop(event.task, None)
        if done is None:
            return
        if event.full:
            self.is_full = True
        elif event.reason == CANCELLED:
            return
        elif done.holder is not None and event.reason:
            self.peer_failed(done.holder, now_seconds, peer_fault=event.peer_fault)
        elif done.holder is not None:
            self._trouble.pop(done.holder, None)
            if done.blocks:
                self._holdings.distrust(done.holder, done.source.root, done.blocks)

    def peer_failed(self, peer: NodeId, now_seconds: float, *, peer_fault: bool = False) -> None:
        failures = self._trouble[peer].failures + 1 if peer in self._trouble else 1
        delay = _BACKOFF_SECONDS[min(failures, len(_BACKOFF_SECONDS)) - 1]
        self._trouble[peer] = _Trouble(failures, now_seconds + (_BAD_BYTES_BACKOFF_SECONDS if peer_fault else delay))

    def tasks_of(self, root: Root) -> list[int]:
        return [number for number, task in self._tasks.items() if task.source.root == root]

    # --- questions ---

    def is_troubled(self, peer: NodeId, now_seconds: float) -> bool:
        return peer in self._trouble and now_seconds < self._trouble[peer].until

    def holder_of(self, task: int) -> NodeId | None:
        return self._tasks[task].holder if task in self._tasks else None

    def next_retry(self, now_seconds: float) -> float:
        return min((t.until for t in self._trouble.values() if t.until > now_seconds), default=float("inf"))

    @property
    def is_busy(self) -> bool:
        return bool(self._tasks)

    def missing(self, plan: Plan, source: Source) -> BlockSet:
        """Wanted, not owned, not under way."""
        wanted = plan.want.get(source.root)
        if not wanted:
            return BlockSet()
        open_ = wanted.bits & ~self._holdings.mine(source.root).owned.bits
        for task in self._tasks.values():
            if open_ and task.source.root == source.root:
                open_ &= ~task.blocks.bits
        return BlockSet(open_ & ((1 << source.leaf_count) - 1))

    @property
    def room_bytes(self) -> int:
        """What may still be asked for: quota less what is used, reserved, stored since measured, and under way."""
        under_way = sum(len(task.blocks) * task.source.block_bytes for task in self._tasks.values())
        usage = self._usage
        used = usage.used_bytes + usage.reserved_bytes + self._stored_since_usage_bytes + under_way
        return usage.capacity_bytes - used - min(_ROOM_MARGIN_BYTES_MAX, usage.capacity_bytes // 256)

    # --- decisions ---

    def schedule(self, plan: Plan, sources: Sequence[Source], live: Sequence[Peer], now_seconds: float) -> list[Effect]:
        """New tasks. `sources`: those whose interior nodes are here, most important first. `live`: reachable holders."""
        self.is_hungry = False
        if self.is_full or self._usage.read_only_reason:
            return []
        open_ = [_Open(source, missing) for source in sources if (missing := self.missing(plan, source))]
        effects = self._copies(open_)
        if not open_:
            return effects
        nodes = [self.me, *(peer.id for peer in live if peer.id is not None)]
        self.is_hungry = any(entry.missing - self._holdings.servable(entry.source, nodes) for entry in open_)
        idle = self._idle(live, now_seconds)
        if not idle:
            return effects
        for entry in open_:
            entry.by_copies = self._holdings.copies(entry.source, nodes, _RARITY_LEVELS)
        for level in range(_RARITY_LEVELS + 1):
            if level >= 2 and self._rarer_waits(open_, nodes, level):
                break
            for urgent in (True, False):
                effects += self._assign(plan, open_, level, urgent, idle)
        return effects

    def _rarer_waits(self, open_: list[_Open], nodes: Sequence[NodeId], level: int) -> bool:
        """Whether an unassigned block with fewer copies has a holder that we merely have to wait for."""
        return any(
            entry.missing & entry.by_copies[rarer] & self._holdings.servable(entry.source, nodes)
            for entry in open_
            for rarer in range(level)
        )

    def _idle(self, live: Sequence[Peer], now_seconds: float) -> list[Peer]:
        idle = [p for p in live if p.id and not self.is_occupied(p.id) and not self.is_troubled(p.id, now_seconds)]
        self._rng.shuffle(idle)
        idle.sort(key=lambda peer: sum(task.holder == peer.id for task in self._tasks.values()))
        return idle if self._stream_count() < limits.FETCH_TASKS_MAX else []

    def is_occupied(self, peer: NodeId) -> bool:
        """Whether it has enough to send for now."""
        tasks = [task for task in self._tasks.values() if task.holder == peer]
        left_bytes = sum(len(task.blocks) * task.source.block_bytes for task in tasks)
        return len(tasks) > 1 or left_bytes > _NEARLY_DONE_BYTES

    def _copies(self, open_: list[_Open]) -> list[Effect]:
        """One local copy at a time; linked blocks that wait for it stay out of the network too."""
        effects: list[Effect] = []
        copying = any(task.holder is None for task in self._tasks.values())
        for entry in open_:
            linked = entry.missing & self._holdings.mine(entry.source.root).linked
            entry.missing -= linked
            if linked and not copying and (part := self._part(entry.source, linked, 0, 1)):
                effects.append(CopyLinked(self._start(entry.source, None, part), entry.source, part))
                copying = True
        return effects

    def _assign(self, plan: Plan, open_: list[_Open], level: int, urgent: bool, idle: list[Peer]) -> list[Effect]:
        effects: list[Effect] = []
        for entry in open_:
            source, first = entry.source, plan.urgent.get(entry.source.root, BlockSet())
            candidates = entry.missing & entry.by_copies[level]
            candidates = candidates & first if urgent else candidates - first
            for peer in list(idle):
                if not candidates or self._stream_count() >= limits.FETCH_TASKS_MAX:
                    break
                assert peer.id is not None
                available = candidates & self._holdings.of(peer.id, source.root).servable
                part = self._part(source, available, self._rng.randrange(source.leaf_count), len(idle))
                if part:
                    effects.append(FetchBlocks(self._start(source, peer.id, part), peer, source, part))
                    idle.remove(peer)
                    candidates -= part
                    entry.missing -= part
        return effects

    def _stream_count(self) -> int:
        return sum(task.holder is not None for task in self._tasks.values())

    def _part(self, source: Source, available: BlockSet, start: int, sharers: int) -> BlockSet:
        """At most one task's worth; small remainders are spread over the idle holders."""
        if not available:
            return available
        count = min(
            limits.FETCH_BLOCKS_PER_TASK,
            max(1, limits.FETCH_BYTES_PER_TASK // source.block_bytes),
            max(16, -(-len(available) // max(1, sharers))),
            max(0, self.room_bytes) // source.block_bytes,
        )
        return available.first(count, start)

    def _start(self, source: Source, holder: NodeId | None, blocks: BlockSet) -> int:
        number, self._next_task = self._next_task, self._next_task + 1
        self._tasks[number] = _Task(source, holder, blocks)
        return number
