"""When to plan, for which view, and the plan in force. The planner itself runs in the shell (`ComputePlan`). Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ralnode.api import Instant, Liveness, NodeInfo, Plan, View
from ralnode.core.catalogue import Catalogue
from ralnode.core.events import ComputePlan, PlanComputed
from ralnode.core.holdings import Holdings
from ralnode.core.membership import Membership
from ralnode.core.placement import Placement
from ralnode.core.planchanges import PlanChanges

_NEVER: Final = float("inf")
_RETRY_SECONDS: Final = 60.0
"""After the planner failed."""
_ABSENCE_CHECK_SECONDS: Final = 5.0
"""While somebody is away the risk is weighed again this often."""


@dataclass(frozen=True, slots=True)
class PlanOptions:
    debounce_seconds: float = 1.0
    urgent_seconds: float = 0.1
    """Instead, for a source that has come or gone, when none was planned for in the last `debounce_seconds`."""
    needs_holdings: bool = False
    holdings_interval_seconds: float = 5.0
    """Between two plans of a planner that looks at holdings."""


class Planning:
    """Plans again when the view has changed, once things are quiet for `debounce_seconds`."""

    def __init__(
        self,
        options: PlanOptions,
        placement: Placement,
        membership: Membership,
        catalogue: Catalogue,
        holdings: Holdings,
        changes: PlanChanges,
    ) -> None:
        self.plan: Plan | None = None
        self.planned_view: View | None = None
        self.epoch = 0
        self.is_busy = False
        self._options = options
        self._placement = placement
        self._membership = membership
        self._catalogue = catalogue
        self._holdings = holdings
        self._changes = changes
        self._due_at = _NEVER
        self._is_for_sources = False
        """The next plan is (also) for a source that has come or gone; the last such one was begun at `_sources_at`."""
        self._sources_at = -_NEVER
        self._placement_changes_at = _NEVER

    @property
    def wake_at(self) -> float:
        return _NEVER if self.is_busy else min(self._due_at, self._placement_changes_at)

    def again(self, now: Instant) -> None:
        """Something that plans depend on may have changed."""
        self._due_at = min(self._due_at, now.seconds + self._options.debounce_seconds)

    def soon(self, now: Instant) -> None:
        """A user waits for a source: also right after a plan that was made for another reason, such as nodes that have
        met. Many sources are planned for no more often than other changes. Not before the first plan: a node that has
        just begun knows nobody yet."""
        self.again(now)
        self._is_for_sources = True
        if self.plan is not None:
            settled_at = self._sources_at + self._options.debounce_seconds
            self._due_at = min(self._due_at, max(now.seconds + self._options.urgent_seconds, settled_at))

    def view(self, me: NodeInfo, now: Instant) -> View:
        """What the planner would be given now."""
        infos = {info.id: info for info in self._catalogue.node_infos()} | {me.id: me}
        nodes, changes_at = self._placement.nodes(
            infos.values(),
            lambda node: self._membership.liveness(node) is Liveness.LEFT,
            self._membership.only_copy_at_risk,
            now,
        )
        self._placement_changes_at = (
            min(changes_at, now.seconds + _ABSENCE_CHECK_SECONDS) if changes_at < _NEVER else _NEVER
        )
        holdings = {}
        if self._options.needs_holdings:
            holdings = {node: dict(self._holdings.owned_by(node)) for node in self._membership.live()}
        return View(me.id, nodes, tuple(self._catalogue.sources()), holdings)

    def begin_if_due(self, me: NodeInfo, now: Instant) -> list[ComputePlan]:
        if now.seconds < self.wake_at:
            return []
        self._due_at = _NEVER
        view = self.view(me, now)
        if self._options.needs_holdings:
            self._due_at = now.seconds + self._options.holdings_interval_seconds
        if self.plan is not None and view == self.planned_view:
            return []
        self.epoch += 1
        if self._is_for_sources:
            self._is_for_sources, self._sources_at = False, now.seconds
        self.is_busy = True
        self.planned_view = view
        return [ComputePlan(self.epoch, view)]

    def computed(self, event: PlanComputed, now: Instant) -> bool:
        """Takes the plan over; False when it failed, and then the last one stays in force."""
        if event.epoch != self.epoch:
            return True
        self.is_busy = False
        if event.plan is None:
            self.planned_view = None
            self._due_at = min(self._due_at, now.seconds + _RETRY_SECONDS)
            return False
        self.plan = event.plan
        if self.planned_view is not None:
            self._changes.taken_over(event.plan, self.planned_view, now)
        return True
