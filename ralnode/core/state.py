"""The parts of the engine put together, and all that others may read of it. Nothing here changes anything."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random

from ralnode.api import (
    Address,
    ClusterStatus,
    EventLine,
    Gossip,
    Holding,
    Identity,
    Instant,
    Liveness,
    Member,
    NodeId,
    NodeInfo,
    Peer,
    Plan,
    Root,
    Source,
    Usage,
    View,
    limits,
)
from ralnode.core.announcing import Announcing, told_free_bytes
from ralnode.core.catalogue import Catalogue
from ralnode.core.engine_options import EngineOptions
from ralnode.core.events import Effect
from ralnode.core.exchange import Exchange
from ralnode.core.fetching import Fetcher
from ralnode.core.health import Facts, NodeFacts, StatusMaker
from ralnode.core.holdings import Holdings
from ralnode.core.interiors import Interiors
from ralnode.core.membership import Membership
from ralnode.core.placement import Placement
from ralnode.core.planchanges import PlanChanges
from ralnode.core.planning import Planning
from ralnode.core.records import SourceRecord
from ralnode.core.rounds import Rounds


class EngineState:
    """What `Engine` is made of; see there."""

    def __init__(
        self,
        me: NodeInfo,
        identity: Identity,
        gossip: Gossip,
        options: EngineOptions,
        rng: Random,
        gossip_address: Address,
    ) -> None:
        self.me = replace(me, planner=options.planner, version=options.version)
        self.options = options
        self.events: deque[EventLine] = deque(maxlen=limits.EVENT_LOG_MAX)
        self.usage = Usage(me.capacity_bytes, 0)
        self._gossip = gossip
        self._gossip_address = gossip_address
        self._rng = rng
        self._catalogue = Catalogue(me.id, identity)
        self._holdings = Holdings(me.id)
        self._membership = Membership(me.id, self._catalogue, self._holdings)
        self._placement = Placement(me.id, options.repair_grace_seconds, options.repair_grace_last_copy_seconds)
        self._plan_changes = PlanChanges(options.planner, self._name)
        self._planning = Planning(
            options.plan, self._placement, self._membership, self._catalogue, self._holdings, self._plan_changes
        )
        self._fetcher = Fetcher(me.id, self._holdings, rng)
        self._interiors = Interiors(self._holdings, rng)
        self._rounds = Rounds(me.id, self._membership, options.rounds, rng)
        self._exchange = Exchange(me.id, gossip, self._catalogue, self._holdings, self._rounds)
        self._announcing = Announcing(
            options.record_interval_seconds, options.announce_interval_seconds, lambda: len(self._membership.live())
        )
        self._status = StatusMaker(self._holdings)
        self._locating: set[Root] = set()
        self._documents: dict[bytes, bytes | None] = {}
        self._then: list[Effect] = []
        self._said: list[Effect] = []
        self._fetch_again = False
        self._clones_seen = 0
        self._retry_at = float("inf")
        self._tend_at = float("inf")

    # --- what others may read ---------------------------------------------------------------------------------------

    @property
    def members(self) -> Sequence[Member]:
        return self._membership.all()

    @property
    def plan(self) -> Plan | None:
        return self._planning.plan

    @property
    def plan_view(self) -> View | None:
        """What the plan in force, or the one being made, was made from."""
        return self._planning.planned_view

    def sources(self) -> Sequence[Source]:
        """Sorted by root."""
        return self._catalogue.sources()

    def source(self, root: Root) -> Source | None:
        return self._catalogue.source(root)

    def source_record(self, root: Root) -> tuple[NodeId, SourceRecord] | None:
        """The record that counts, with its author; it may say that the source was removed."""
        return self._catalogue.source_record(root)

    def added_unix_ms(self, root: Root) -> int:
        """When the source was added, by its author's clock; 0 if unknown."""
        return self._catalogue.added_unix_ms(root)

    def nodes(self) -> Sequence[NodeInfo]:
        """Everybody with a record, this node included, sorted by name."""
        infos = {info.id: info for info in self._catalogue.node_infos()} | {self.me.id: self.me}
        return sorted(infos.values(), key=lambda info: (info.name, info.id))

    def node(self, node: NodeId) -> NodeInfo | None:
        return self.me if node == self.me.id else self._catalogue.node_info(node)

    def liveness(self, node: NodeId) -> Liveness:
        return self._membership.liveness(node)

    def live(self) -> Sequence[NodeId]:
        """This node and the peers believed alive, sorted."""
        return self._membership.live()

    def peer(self, node: NodeId) -> Peer:
        return self._membership.peer(node)

    def holding(self, node: NodeId, root: Root) -> Holding:
        return self._holdings.of(node, root)

    def holders_of(self, root: Root, index: int) -> Sequence[Peer]:
        """Live peers that have this leaf, those that are not under suspicion first."""
        having = [n for n in self._membership.live_others() if index in self._holdings.of(n, root).servable]
        return [self.peer(node) for node in sorted(having, key=lambda n: self.liveness(n) is not Liveness.ALIVE)]

    def holders_of_interior(self, root: Root) -> Sequence[Peer]:
        live = self._membership.live_others()
        return [self.peer(node) for node in live if self._holdings.of(node, root).has_interior]

    def view(self, now: Instant) -> View:
        """What the planner would be given now."""
        return self._planning.view(self.me, now)

    def is_plan_current(self, now: Instant) -> bool:
        """Whether the plan in force was made for the view as it is now."""
        planning = self._planning
        return planning.plan is not None and not planning.is_busy and planning.planned_view == self.view(now)

    def status(self, now: Instant, rates: Mapping[NodeId, tuple[float, float]] | None = None) -> ClusterStatus:
        facts = Facts(
            me=self.me.id,
            group=self.options.group,
            version=self.options.version,
            now=now,
            nodes=[self._node_facts(info, now) for info in self.nodes()],
            sources=self.sources(),
            added_unix_ms=self._catalogue.added_unix_ms,
            plan=self.plan,
            plan_epoch=self._planning.epoch,
            usage=self.usage,
            events=list(self.events),
            node_text=self.options.node_text,
            root_text=self.options.root_text,
            rates=rates or {},
            default_copies=self.options.default_copies,
            plan_changes=self._plan_changes.all(),
        )
        return self._status.make(facts)

    def _node_facts(self, info: NodeInfo, now: Instant) -> NodeFacts:
        repair_at = self._placement.repair_at(info, self._membership.only_copy_at_risk(info.id), now)
        return NodeFacts(
            info,
            self.liveness(info.id),
            self._membership.silent_seconds(info.id, now),
            None if repair_at is None else max(0.0, repair_at - now.seconds),
        )

    def _described(self) -> NodeInfo:
        """This node's record as it should read now."""
        plan = self.plan
        return replace(
            self.me,
            used_bytes=self.usage.used_bytes,
            activity=self._activity(),
            plan_digest=plan.digest[:16] if plan else b"",
            wanted_count=sum(map(len, plan.want.values())) if plan else 0,
            disk_total_bytes=self.usage.disk_total_bytes,
            disk_free_bytes=told_free_bytes(self.me, self.usage),
        )

    def _activity(self) -> str:
        if self.me.draining:
            return "draining"
        if not self._membership.live_others():
            return "looking for peers"
        if self._interiors.count:
            return "fetching metadata"
        if self._fetcher.is_busy:
            return "downloading"
        if self._planning.is_busy or self.plan is None:
            return "picking blocks"
        return "full" if self._fetcher.is_full else "seeding"

    def _name(self, node: NodeId) -> str:
        info = self.node(node)
        return info.name if info else self.options.node_text(node)
