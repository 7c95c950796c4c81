"""What each new plan moves on this node, and what in the view made it necessary: for people to read. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Final, TypeVar

from ralnode.api import BlockSet, Instant, NodeId, Plan, PlanChange, Root, View

KEPT_MAX: Final = 20
REASONS_MAX: Final = 6
_NOTHING: Final = BlockSet()
_T = TypeVar("_T")


class PlanChanges:
    """Keeps the last ones. A plan that moves nothing here and has the digest of the one before leaves no trace."""

    def __init__(self, planner: str, node_name: Callable[[NodeId], str]) -> None:
        self._planner = planner
        self._node_name = node_name
        self._view: View | None = None
        self._plan: Plan | None = None
        self._kept: deque[PlanChange] = deque(maxlen=KEPT_MAX)

    def all(self) -> tuple[PlanChange, ...]:
        """The newest last."""
        return tuple(self._kept)

    def taken_over(self, plan: Plan, view: View, now: Instant) -> None:
        before_view, before_plan = self._view, self._plan
        self._view, self._plan = view, plan
        gained_count, gained_bytes, released_count = _moved(before_plan.want if before_plan else {}, plan.want, view)
        if before_plan and not gained_count and not released_count and plan.digest == before_plan.digest:
            return
        self._kept.append(
            PlanChange(
                unix_ms=now.unix_ms,
                planner=self._planner,
                digest=plan.digest.hex(),
                reasons=self._reasons(before_view, view),
                gained_count=gained_count,
                gained_bytes=gained_bytes,
                released_count=released_count,
                wanted_count=sum(map(len, plan.want.values())),
            )
        )

    def _reasons(self, before: View | None, after: View) -> tuple[str, ...]:
        if before is None:
            return ("first plan since this node started",)
        found = [*self._node_reasons(before, after), *_source_reasons(before, after)]
        if not found:
            return ("the holdings have changed",)
        left_out = len(found) - REASONS_MAX
        return (*found[:REASONS_MAX], f"and {left_out:,} more") if left_out > 0 else tuple(found)

    def _node_reasons(self, before: View, after: View) -> Iterator[str]:
        old, new = {node.id: node for node in before.nodes}, {node.id: node for node in after.nodes}
        for node in _only_in(new, old):
            yield f"node {self._node_name(node)} counts from now on"
        for node in _only_in(old, new):
            yield f"node {self._node_name(node)} does not count any more"
        for node, now in new.items():
            if node in old and old[node].capacity_bytes != now.capacity_bytes:
                yield f"node {self._node_name(node)} gives another capacity"
            elif node in old and old[node] != now:
                yield f"node {self._node_name(node)} has changed"


def _source_reasons(before: View, after: View) -> Iterator[str]:
    old, new = {source.root: source for source in before.sources}, {source.root: source for source in after.sources}
    for root in _only_in(new, old):
        yield f"{new[root].name} was added"
    for root in _only_in(old, new):
        yield f"{old[root].name} was removed"
    for root, source in new.items():
        if root in old and old[root] != source:
            yield f"{source.name} has changed"


def _only_in(these: Mapping[_T, object], those: Mapping[_T, object]) -> list[_T]:
    return [key for key in these if key not in those]


def _moved(before: Mapping[Root, BlockSet], after: Mapping[Root, BlockSet], view: View) -> tuple[int, int, int]:
    """(blocks gained, their bytes, blocks released)"""
    gained_count = gained_bytes = released_count = 0
    block_bytes = {source.root: source.block_bytes for source in view.sources}
    for root in before.keys() | after.keys():
        old, new = before.get(root, _NOTHING), after.get(root, _NOTHING)
        if old == new:
            continue
        gained = len(new - old)
        gained_count += gained
        gained_bytes += gained * block_bytes.get(root, 0)
        released_count += len(old - new)
    return gained_count, gained_bytes, released_count
