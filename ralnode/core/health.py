"""From the engine's facts to the status that people read: the sentence of truth, nodes, sources, histogram.

Pure and cached per source: a source is looked at again only when somebody's holding of it, the live nodes or the plan
have changed. The engine hands in `Facts`; nothing here decides anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from ralnode.api import (
    BlockSet,
    ClusterStatus,
    EventLine,
    Health,
    Instant,
    Liveness,
    NodeId,
    NodeInfo,
    NodeStatus,
    Plan,
    PlanChange,
    Root,
    Source,
    SourceStatus,
    Usage,
)
from ralnode.core.holdings import Holdings

_LEVELS: Final = 3
_COPYING_BYTES_PER_SECOND: Final = 10_000
"""Less than this is gossip, not copying: no time left can be told from it."""
_CELLS_MAX: Final = 32
"""Columns of the map of blocks: what fits a phone's width."""


@dataclass(frozen=True, slots=True)
class NodeFacts:
    info: NodeInfo
    liveness: Liveness
    last_seen_seconds: float
    repair_in_seconds: float | None


@dataclass(frozen=True, slots=True)
class Facts:
    """What a status is made from, at one instant."""

    me: NodeId
    group: str
    version: str
    now: Instant
    nodes: Sequence[NodeFacts]
    sources: Sequence[Source]
    added_unix_ms: Callable[[Root], int]
    plan: Plan | None
    plan_epoch: int
    usage: Usage
    events: Sequence[EventLine]
    node_text: Callable[[NodeId], str]
    """Peer id as people see it."""
    root_text: Callable[[Root], str]
    rates: Mapping[NodeId, tuple[float, float]] = field(default_factory=dict)
    """Bytes per second (received from, sent to) each node; under my own id the sums."""
    default_copies: int = 2
    plan_changes: tuple[PlanChange, ...] = ()


@dataclass(frozen=True, slots=True)
class _Kept:
    """What was worked out of one source, and from what."""

    stamp: object
    status: SourceStatus
    deficit_bytes: int
    counts: Mapping[NodeId, tuple[int, int]]
    """(own, linked) leaves of every node that has some."""


@dataclass(frozen=True, slots=True)
class _Summary:
    """All sources together, for as long as nothing has changed."""

    stamp: object
    sources: Sequence[SourceStatus] = ()
    histogram: tuple[int, ...] = ()
    deficit_bytes: int = 0


class StatusMaker:
    """Makes a ClusterStatus; keeps what it worked out per source, so that 10,000 of them cost little to look at again."""

    def __init__(self, holdings: Holdings) -> None:
        self._holdings = holdings
        self._cache: dict[Root, _Kept] = {}
        self._counts: dict[NodeId, tuple[int, int]] = {}
        """Sums of `_Kept.counts`, kept up to date source by source."""
        self._summary = _Summary(None)
        self._plan: tuple[Plan | None, int] = (None, 0)
        """The plan looked at last, and how many there were before it."""

    def make(self, facts: Facts) -> ClusterStatus:
        live = [node.info.id for node in facts.nodes if node.liveness in (Liveness.ALIVE, Liveness.SUSPECT)]
        summary = self._summed_up(facts, live)
        sources, deficit_bytes = summary.sources, summary.deficit_bytes
        receiving = sum(facts.rates.get(facts.me, (0.0, 0.0))[:1])
        health = _overall(sources, facts)
        seconds_left = deficit_bytes / receiving if receiving > _COPYING_BYTES_PER_SECOND and deficit_bytes else None
        return ClusterStatus(
            sentence=_sentence(health, sources, deficit_bytes, seconds_left, self._rescuers(facts, sources)),
            health=health,
            me=facts.node_text(facts.me),
            group=facts.group,
            planner=next((n.info.planner for n in facts.nodes if n.info.id == facts.me), ""),
            plan_digest=facts.plan.digest.hex() if facts.plan else "",
            plan_agreement=_agreement(facts),
            nodes=tuple(self._node(facts, node) for node in facts.nodes),
            sources=tuple(sources),
            histogram=summary.histogram,
            deficit_bytes=deficit_bytes,
            storable_bytes=_storable(facts),
            seconds_left=seconds_left,
            events=tuple(facts.events),
            unix_ms=facts.now.unix_ms,
            version=facts.version,
            default_copies=facts.default_copies,
            plan_changes=facts.plan_changes,
        )

    def _summed_up(self, facts: Facts, live: Sequence[NodeId]) -> _Summary:
        if facts.plan is not self._plan[0]:
            self._plan = (facts.plan, self._plan[1] + 1)
        known = tuple(node.info.id for node in facts.nodes)
        around = (tuple(live), known)
        stamp = (self._holdings.generation, self._plan[1], around, tuple(facts.sources))
        if self._summary.stamp != stamp:
            kept = self._look_again(facts, live, known, around)
            histogram = tuple(sum(each.status.histogram[level] for each in kept) for level in range(_LEVELS + 1))
            deficit_bytes = sum(each.deficit_bytes for each in kept)
            self._summary = _Summary(stamp, [each.status for each in kept], histogram, deficit_bytes)
        return self._summary

    def _look_again(
        self, facts: Facts, live: Sequence[NodeId], known: Sequence[NodeId], around: object
    ) -> Sequence[_Kept]:
        """Every source, worked out anew where something has changed."""
        present = {source.root for source in facts.sources}
        for root in [root for root in self._cache if root not in present]:
            self._count(self._cache.pop(root), -1)
        found = []
        for source in facts.sources:
            wanted = facts.plan.want.get(source.root) if facts.plan else None
            stamp = (self._holdings.stamp(source.root), around, wanted, source)
            kept = self._cache.get(source.root)
            if kept is None or kept.stamp != stamp:
                if kept is not None:
                    self._count(kept, -1)
                kept = _Kept(stamp, *self._source(facts, source, live), self._counts_of(source, known))
                self._cache[source.root] = kept
                self._count(kept, 1)
            found.append(kept)
        return found

    def _counts_of(self, source: Source, known: Sequence[NodeId]) -> Mapping[NodeId, tuple[int, int]]:
        held = ((node, self._holdings.of(node, source.root)) for node in known)
        return {node: (len(has.owned), len(has.linked)) for node, has in held if has.owned or has.linked}

    def _count(self, kept: _Kept, sign: int) -> None:
        for node, (owned, linked) in kept.counts.items():
            before = self._counts.get(node, (0, 0))
            self._counts[node] = (before[0] + sign * owned, before[1] + sign * linked)

    def _source(self, facts: Facts, source: Source, live: Sequence[NodeId]) -> tuple[SourceStatus, int]:
        levels = self._holdings.copies(source, live, max(_LEVELS, source.copies))
        counts = [len(level) for level in levels]
        unreachable = source.leaf_count - len(self._holdings.servable(source, live))
        short = sum((source.copies - level) * counts[level] for level in range(min(source.copies, len(counts))))
        wanted = facts.plan.want.get(source.root, BlockSet()) if facts.plan else BlockSet()
        status = SourceStatus(
            root=facts.root_text(source.root),
            name=source.name,
            size_bytes=source.size_bytes,
            leaf_count=source.leaf_count,
            copies=source.copies,
            health=_source_health(unreachable, counts, source.copies),
            histogram=(*counts[:_LEVELS], sum(counts[_LEVELS:])),
            unreachable_count=unreachable,
            is_directory=source.is_directory,
            added_unix_ms=facts.added_unix_ms(source.root),
            stored=self._stored_map(facts, source, live),
            wanted={facts.node_text(facts.me): cells(wanted, source.leaf_count)} if wanted else {},
        )
        return status, short * source.block_bytes

    def _stored_map(self, facts: Facts, source: Source, live: Sequence[NodeId]) -> dict[str, str]:
        holdings = {node: self._holdings.of(node, source.root) for node in live}
        return {
            facts.node_text(node): cells(holding.owned, source.leaf_count)
            for node, holding in holdings.items()
            if holding.owned
        }

    def _node(self, facts: Facts, node: NodeFacts) -> NodeStatus:
        info, is_me = node.info, node.info.id == facts.me
        stored_count, linked_count = self._counts.get(info.id, (0, 0))
        rates = facts.rates.get(info.id, (0.0, 0.0))
        return NodeStatus(
            id=facts.node_text(info.id),
            name=info.name,
            is_me=is_me,
            liveness=node.liveness,
            activity=info.activity,
            capacity_bytes=facts.usage.capacity_bytes if is_me else info.capacity_bytes,
            used_bytes=facts.usage.used_bytes if is_me else info.used_bytes,
            zone=info.zone,
            version=info.version,
            address=str(info.addresses[0]) if info.addresses else "",
            page_url=info.page_url,
            wanted_count=info.wanted_count,
            stored_count=stored_count,
            linked_count=linked_count,
            last_seen_seconds=0.0 if is_me else node.last_seen_seconds,
            repair_in_seconds=node.repair_in_seconds,
            receive_bytes_per_second=rates[0],
            send_bytes_per_second=rates[1],
            draining=info.draining,
            disk_total_bytes=facts.usage.disk_total_bytes if is_me else info.disk_total_bytes,
            disk_free_bytes=facts.usage.disk_free_bytes if is_me else info.disk_free_bytes,
            started_unix_ms=info.started_unix_ms,
            away_until_ms=info.away_until_ms,
            planner=info.planner,
            read_only_reason=facts.usage.read_only_reason if is_me else "",
        )

    def _rescuers(self, facts: Facts, sources: Sequence[SourceStatus]) -> list[str]:
        """Names of dead nodes that had leaves which nobody can serve now."""
        lost = {s.root for s in sources if s.unreachable_count}
        if not lost:
            return []
        live = [n.info.id for n in facts.nodes if n.liveness in (Liveness.ALIVE, Liveness.SUSPECT)]
        names = []
        for node in facts.nodes:
            if node.info.id in live:
                continue
            for source in facts.sources:
                missing = BlockSet.full(source.leaf_count) - self._holdings.servable(source, live)
                if missing & self._holdings.of(node.info.id, source.root).servable:
                    names.append(node.info.name)
                    break
        return sorted(names)


def cells(blocks: BlockSet, leaf_count: int) -> str:
    """A set of leaves as at most 32 digits, one per stretch of the source: 0 none of it, 9 all of it."""
    count = min(_CELLS_MAX, leaf_count)
    if leaf_count <= _CELLS_MAX:  # most files are small: a stretch is one leaf
        return f"{blocks.bits & ((1 << leaf_count) - 1):0{leaf_count}b}"[::-1].replace("1", "9") if leaf_count else ""
    if len(blocks) in (0, leaf_count):
        return ("9" if blocks else "0") * count
    digits = []
    for cell in range(count):
        start, stop = cell * leaf_count // count, (cell + 1) * leaf_count // count
        here = (blocks.bits >> start & ((1 << (stop - start)) - 1)).bit_count()
        digits.append("0" if not here else str(1 + 8 * here // (stop - start)))
    return "".join(digits)


def _source_health(unreachable: int, counts: Sequence[int], copies: int) -> Health:
    if unreachable:
        return Health.UNAVAILABLE
    if counts[0] and copies:
        return Health.AT_RISK
    return Health.REPAIRING if any(counts[level] for level in range(min(copies, len(counts)))) else Health.HEALTHY


def _overall(sources: Sequence[SourceStatus], facts: Facts) -> Health:
    for worst in (Health.UNAVAILABLE, Health.AT_RISK, Health.REPAIRING):
        if any(source.health is worst for source in sources):
            return worst
    live = [n.info for n in facts.nodes if n.liveness is Liveness.ALIVE]
    return Health.FULL if live and all(n.used_bytes > 0.95 * n.capacity_bytes for n in live) else Health.HEALTHY


def _sentence(
    health: Health, sources: Sequence[SourceStatus], deficit_bytes: int, seconds_left: float | None, rescuers: list[str]
) -> str:
    if not sources:
        return "No files yet: add one with `ralnode add PATH`."
    if health is Health.UNAVAILABLE:
        lost = [s for s in sources if s.health is Health.UNAVAILABLE]
        what = f"{_files(len(lost))} cannot be read whole"
        return (
            f"{what}: needs node {_names(rescuers)}." if rescuers else f"{what}: no known node has the missing blocks."
        )
    if health in (Health.AT_RISK, Health.REPAIRING):
        short = [s for s in sources if s.health in (Health.AT_RISK, Health.REPAIRING)]
        left = f", {_duration(seconds_left)} left" if seconds_left is not None else ""
        verb = "has" if len(short) == 1 else "have"
        base = (
            f"{len(short)} of {_files(len(sources))} {verb} too few copies: {size_text(deficit_bytes)} to copy{left}."
        )
        bare = sum(s.histogram[0] for s in short)
        return base + (f" {bare} blocks have no copy yet besides the added file." if bare else "")
    kinds = {s.copies for s in sources}
    copies = f"{kinds.pop()} copies" if len(kinds) == 1 else "their copies"
    whole = f"All {_files(len(sources))} have {copies}." if len(sources) > 1 else f"Your 1 file has {copies}."
    return whole + (" The cluster is full." if health is Health.FULL else "")


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count:,} files"


def _names(names: Sequence[str]) -> str:
    return " or ".join(f"`{name}`" for name in names[:3]) + (" …" if len(names) > 3 else "")


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"about {max(1, round(seconds))} s"
    return f"about {round(seconds / 60)} min" if seconds < 5400 else f"about {seconds / 3600:.1f} h"


def size_text(size_bytes: int) -> str:
    """Decimal units, as disks are sold."""
    for unit, size in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size_bytes >= size:
            return f"{size_bytes / size:.1f} {unit}"
    return f"{size_bytes} B"


def _agreement(facts: Facts) -> bool:
    mine = next((n.info for n in facts.nodes if n.info.id == facts.me), None)
    if mine is None:
        return True
    same = [n.info for n in facts.nodes if n.liveness is Liveness.ALIVE and n.info.planner == mine.planner]
    return len({info.plan_digest for info in same if info.plan_digest}) <= 1


def _storable(facts: Facts) -> int:
    """The most data D for which sum(min(free, D)) >= copies * D: every copy of a block lies on another node."""
    live = [n.info for n in facts.nodes if n.liveness in (Liveness.ALIVE, Liveness.SUSPECT) and not n.info.draining]
    free = [max(0, info.capacity_bytes - info.used_bytes) for info in live]
    copies = max(1, min(facts.default_copies, len(free)))
    low, high = 0, sum(free)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if sum(min(f, middle) for f in free) >= copies * middle else (low, middle - 1)
    return low
