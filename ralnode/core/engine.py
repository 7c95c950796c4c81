"""The node's mind: `handle(event, now) -> effects`. No IO, no clock, no dice of its own (a seeded Random is handed in).

It joins the parts that each know one thing: gossip (who lives), catalogue (what exists), holdings (who has what),
placement (who counts), the planner's last plan (what I should own), interiors and fetching (what to get next), rounds
(with whom to exchange state). The shell carries the effects out in order and reports back with events.

Nothing here deletes a block, except `DropSource` after a user's `ralnode rm`. Deletion under locks has its place where
a new plan is taken over (`_plan_computed`): what is owned and no longer wanted is surplus and is kept for now.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, Final

from ralnode.api import (
    Address,
    ClusterStatus,
    EventLine,
    Gossip,
    GossipOutput,
    Holding,
    Identity,
    Instant,
    Liveness,
    Member,
    MemberChanged,
    NodeId,
    NodeInfo,
    Peer,
    PeerError,
    Plan,
    Root,
    SendDatagram,
    Source,
    Usage,
    Versions,
    VersionsHeard,
    View,
    limits,
)
from ralnode.core import events as ev
from ralnode.core.catalogue import Catalogue, Merged
from ralnode.core.events import Effect, Event
from ralnode.core.fetching import Fetcher
from ralnode.core.health import Facts, NodeFacts, StatusMaker
from ralnode.core.holdings import Holdings
from ralnode.core.interiors import Interiors
from ralnode.core.placement import Placement
from ralnode.core.rounds import RoundOptions, Rounds
from ralnode.core.sync import SyncBody, decode_sync, encode_sync

NEVER: Final = float("inf")
_LIVE: Final = (Liveness.ALIVE, Liveness.SUSPECT)
_PLAN_RETRY_SECONDS: Final = 60.0
_ABSENCE_CHECK_SECONDS: Final = 5.0
_USED_HYSTERESIS_BYTES: Final = 64 * limits.MIB


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """Times in seconds; the demo and tests shorten them."""

    group: str = "default"
    version: str = ""
    planner: str = "rendezvous/1"
    planner_needs_holdings: bool = False
    repair_grace_seconds: float = 600.0
    repair_grace_last_copy_seconds: float = 60.0
    plan_debounce_seconds: float = 1.0
    holdings_plan_seconds: float = 5.0
    """Between two plans of a planner that looks at holdings."""
    record_interval_seconds: float = 5.0
    announce_interval_seconds: float = 1.0
    default_copies: int = 2
    rounds: RoundOptions = field(default_factory=RoundOptions)
    node_text: Callable[[NodeId], str] = bytes.hex
    root_text: Callable[[Root], str] = bytes.hex


class Engine:
    """See the module. `now` never goes back. After each call read `wake_at` and send `Ticked` when it has come."""

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
        self.plan: Plan | None = None
        self.plan_view: View | None = None
        self.events: deque[EventLine] = deque(maxlen=limits.EVENT_LOG_MAX)
        self.usage = Usage(me.capacity_bytes, 0)
        self._rng = rng
        self._gossip = gossip
        self._gossip_address = gossip_address
        self._catalogue = Catalogue(me.id, identity)
        self._holdings = Holdings(me.id, 0)
        self._placement = Placement(me.id, options.repair_grace_seconds, options.repair_grace_last_copy_seconds)
        self._fetcher = Fetcher(me.id, self._holdings, rng)
        self._interiors = Interiors(self._holdings, rng)
        self._rounds = Rounds(me.id, options.rounds, rng)
        self._status = StatusMaker(self._holdings)
        self._members: dict[NodeId, Member] = {}
        self._heard_at: dict[NodeId, float] = {}
        self._locating: set[Root] = set()
        self._pushing: set[NodeId] = set()
        self._documents: dict[bytes, bytes | None] = {}
        self._then: list[Effect] = []
        self._plan_epoch = 0
        self._planning = False
        self._plan_at = NEVER
        self._placement_changes_at = NEVER
        self._record_at = NEVER
        self._announce_at = NEVER
        self._announced = Versions(0, 0)
        self._fetch_again = False
        self._retry_at = NEVER
        self._said: list[Effect] = []
        self._at_risk: tuple[object, dict[NodeId, bool]] = (None, {})
        self._handlers: dict[type, Callable[[Any, Instant], list[Effect]]] = {
            ev.Ticked: lambda _event, _now: [],
            ev.DatagramReceived: self._datagram_received,
            ev.PeerHinted: self._peer_hinted,
            ev.SyncRequested: self._sync_requested,
            ev.SyncAnswered: self._sync_answered,
            ev.SyncFailed: self._sync_failed,
            ev.SourcePublished: self._source_published,
            ev.SourceWithdrawn: self._source_withdrawn,
            ev.InteriorStored: self._interior_stored,
            ev.InteriorFailed: self._interior_failed,
            ev.HoldingFound: self._holding_found,
            ev.BlocksStored: self._blocks_stored,
            ev.FetchEnded: self._fetch_ended,
            ev.PlanComputed: self._plan_computed,
            ev.UsageMeasured: self._usage_measured,
            ev.NodeChanged: self._node_changed,
            ev.Stopping: self._stopping,
        }

    # --- life -------------------------------------------------------------------------------------------------------

    def start(self, saved: Mapping[bytes, bytes], usage: Usage, now: Instant) -> list[Effect]:
        """Once, before any event. `saved`: the state documents of an earlier run."""
        self._catalogue.load(saved)
        self._holdings = Holdings(self.me.id, max(1, now.unix_ms))
        self._fetcher = Fetcher(self.me.id, self._holdings, self._rng)
        self._interiors = Interiors(self._holdings, self._rng)
        self._status = StatusMaker(self._holdings)
        self._usage_measured(ev.UsageMeasured(usage), now)
        transport_port = self.me.addresses[0].port if self.me.addresses else 0
        member = Member(self.me.id, self.me.name, self._gossip_address, transport_port)
        effects = self._carry(self._gossip.start(member, now), now)
        for info in self._catalogue.node_infos():
            self._placement.observe(info.id, Liveness.DEAD, now)
        for source in self._catalogue.sources():
            effects += self._locate(source)
        self._rounds.start(now.seconds)
        self._publish_node(now)
        self._plan_at = now.seconds + self.options.plan_debounce_seconds
        return effects + self._advance(now)

    def handle(self, event: Event, now: Instant) -> list[Effect]:
        """One event and all that follows from it at this instant."""
        return self._handlers[type(event)](event, now) + self._advance(now)

    def handle_all(self, batch: Sequence[Event], now: Instant) -> list[Effect]:
        """Several events of one instant; what follows is worked out once."""
        effects: list[Effect] = []
        for event in batch:
            effects += self._handlers[type(event)](event, now)
        return effects + self._advance(now)

    @property
    def wake_at(self) -> float:
        """Monotonic seconds at which a `Ticked` is due."""
        return min(
            self._gossip.wake_at,
            self._rounds.wake_at,
            NEVER if self._planning else self._plan_at,
            self._placement_changes_at,
            self._record_at,
            self._announce_at,
            self._retry_at,
        )

    # --- what others may read ---------------------------------------------------------------------------------------

    @property
    def members(self) -> Sequence[Member]:
        return list(self._members.values())

    def sources(self) -> Sequence[Source]:
        """Sorted by root."""
        return self._catalogue.sources()

    def source(self, root: Root) -> Source | None:
        return self._catalogue.source(root)

    def nodes(self) -> Sequence[NodeInfo]:
        """Everybody with a record, this node included, sorted by name."""
        infos = {info.id: info for info in self._catalogue.node_infos()} | {self.me.id: self.me}
        return sorted(infos.values(), key=lambda info: (info.name, info.id))

    def node(self, node: NodeId) -> NodeInfo | None:
        return next((info for info in self.nodes() if info.id == node), None)

    def liveness(self, node: NodeId) -> Liveness:
        if node == self.me.id:
            return Liveness.ALIVE
        return self._members[node].liveness if node in self._members else Liveness.DEAD

    def holding(self, node: NodeId, root: Root) -> Holding:
        return self._holdings.of(node, root)

    def peer(self, node: NodeId) -> Peer:
        """With every address known of that node, the one membership uses first."""
        member, addresses = self._members.get(node), []
        if member is not None:
            addresses.append(Address(member.address.host, member.transport_port))
        info = self._catalogue.node_info(node)
        addresses += [address for address in (info.addresses if info else ()) if address not in addresses]
        return Peer(node, tuple(addresses))

    def holders_of(self, root: Root, index: int) -> Sequence[Peer]:
        """Live peers that have this leaf, those without trouble first."""
        having = [n for n in self._live() if n != self.me.id and index in self._holdings.of(n, root).servable]
        return [
            self.peer(node) for node in sorted(having, key=lambda n: self._members[n].liveness is not Liveness.ALIVE)
        ]

    def holders_of_interior(self, root: Root) -> Sequence[Peer]:
        live = [node for node in self._live() if node != self.me.id]
        return [self.peer(node) for node in live if self._holdings.of(node, root).has_interior]

    def view(self, now: Instant) -> View:
        """What the planner would be given now."""
        nodes, self._placement_changes_at = self._placement.nodes(
            self.nodes(), lambda node: self.liveness(node) is Liveness.LEFT, self._only_copy_at_risk, now
        )
        if self._placement_changes_at < NEVER:  # the risk may grow while somebody is away
            self._placement_changes_at = min(self._placement_changes_at, now.seconds + _ABSENCE_CHECK_SECONDS)
        holdings = {}
        if self.options.planner_needs_holdings:
            holdings = {node: dict(self._holdings.owned_by(node)) for node in self._live()}
        return View(self.me.id, nodes, tuple(self._catalogue.sources()), holdings)

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
            plan_epoch=self._plan_epoch,
            usage=self.usage,
            events=list(self.events),
            node_text=self.options.node_text,
            root_text=self.options.root_text,
            rates=rates or {},
            default_copies=self.options.default_copies,
        )
        return self._status.make(facts)

    def _node_facts(self, info: NodeInfo, now: Instant) -> NodeFacts:
        repair_at = self._placement.repair_at(info, self._only_copy_at_risk(info.id), now)
        return NodeFacts(
            info,
            self.liveness(info.id),
            now.seconds - self._heard_at.get(info.id, now.seconds),
            None if repair_at is None else max(0.0, repair_at - now.seconds),
        )

    # --- membership -------------------------------------------------------------------------------------------------

    def _datagram_received(self, event: ev.DatagramReceived, now: Instant) -> list[Effect]:
        return self._carry(self._gossip.datagram_received(event.data, event.sender, now), now)

    def _carry(self, outputs: Sequence[GossipOutput], now: Instant) -> list[Effect]:
        effects: list[Effect] = []
        for output in outputs:
            if isinstance(output, SendDatagram):
                effects.append(output)
            elif isinstance(output, MemberChanged):
                self._member_changed(output.member, now)
            elif isinstance(output, VersionsHeard):
                self._versions_heard(output.author, output.versions, now)
        return effects

    def _member_changed(self, member: Member, now: Instant) -> None:
        before = self._members.get(member.id)
        self._members[member.id] = member
        if member.liveness is not Liveness.DEAD:
            self._heard_at[member.id] = now.seconds
        if before is not None and before.liveness is member.liveness:
            return
        self._placement.observe(member.id, member.liveness, now)
        if member.liveness is Liveness.ALIVE:
            self._rounds.news_at(member.id, now.seconds)
            if before is None or before.liveness is not Liveness.SUSPECT:
                self._say(now, "info", f"node {member.name} is here")
        elif member.liveness is not Liveness.SUSPECT:
            word = "left the cluster" if member.liveness is Liveness.LEFT else "does not answer"
            self._say(now, "warning", f"node {member.name} {word}")
        self._replan(now)
        self._fetch_again = True

    def _versions_heard(self, author: NodeId, versions: Versions, now: Instant) -> None:
        newer_records = versions.records > self._catalogue.version(author)
        newer_holdings = versions.holdings > self._holdings.known_version(author)
        if author == self.me.id or not (newer_records or newer_holdings):
            return
        live = [node for node in self._live() if node != self.me.id]
        if author in live:
            self._rounds.news_at(author, now.seconds)
        elif newer_records and live:
            self._rounds.news_at(self._rng.choice(live), now.seconds)

    def _live(self) -> list[NodeId]:
        """This node and the peers that membership believes alive, sorted."""
        return sorted([self.me.id, *(m.id for m in self._members.values() if m.liveness in _LIVE)])

    def _live_peers(self) -> list[Peer]:
        return [self.peer(node) for node in self._live() if node != self.me.id]

    def _lost_peers(self) -> list[Peer]:
        """Known, not alive, not gone for good."""
        known = {info.id for info in self._catalogue.node_infos()} | set(self._members)
        lost = [n for n in sorted(known) if n != self.me.id and self.liveness(n) is Liveness.DEAD]
        return [peer for peer in map(self.peer, lost) if peer.addresses]

    def _only_copy_at_risk(self, node: NodeId) -> bool:
        """Whether a block that this dead node owned has at most one live copy left."""
        stamp = (self._holdings.generation, tuple(self._live()))
        if self._at_risk[0] != stamp:
            self._at_risk = (stamp, {})
        known = self._at_risk[1]
        if node not in known:
            known[node] = any(self._is_short_without(source, node) for source in self.sources())
        return known[node]

    def _is_short_without(self, source: Source, node: NodeId) -> bool:
        owned = self._holdings.of(node, source.root).owned
        if not owned:
            return False
        none, one, _more = self._holdings.copies(source, self._live(), 2)
        return bool(owned & (none | one))

    # --- exchange of state ------------------------------------------------------------------------------------------

    def _peer_hinted(self, event: ev.PeerHinted, now: Instant) -> list[Effect]:
        if event.address not in self.me.addresses:
            self._rounds.hinted(event.address, now.seconds)
        return []

    def _sync_with(self, peer: Peer, push: Sequence[Any] = ()) -> ev.SyncWith:
        since = self._holdings.known_version(peer.id) if peer.id is not None else 0
        body = SyncBody(
            digest=self._catalogue.digest(),
            deltas=tuple(push),
            gossip=self._gossip.exchange(),
            holdings_since=since,
            holdings=None,
            my_versions=self._versions(),
        )
        return ev.SyncWith(peer, encode_sync(body))

    def _sync_requested(self, event: ev.SyncRequested, now: Instant) -> list[Effect]:
        try:
            body = decode_sync(event.body)
            effects = self._carry(self._gossip.exchange_received(body.gossip, event.peer, event.seen_at, now), now)
        except (PeerError, ValueError) as error:
            return [ev.ReplySync(event.request, b"", refusal=str(error))]
        effects += self._merge(body, now)
        self._take_holdings(body, event.peer, now)
        answer = SyncBody(
            digest=self._catalogue.digest(),
            deltas=tuple(self._catalogue.delta(body.digest, limits.SYNC_RECORDS_BYTES)),
            gossip=self._gossip.exchange(),
            holdings_since=self._holdings.known_version(event.peer),
            holdings=self._holdings.delta(body.holdings_since, self._catalogue.source),
            my_versions=self._versions(),
        )
        return [*effects, ev.ReplySync(event.request, encode_sync(answer))]

    def _sync_answered(self, event: ev.SyncAnswered, now: Instant) -> list[Effect]:
        self._rounds.answered(event.asked, event.peer, now.seconds)
        if event.peer == self.me.id:
            return []
        try:
            body = decode_sync(event.body)
            effects = self._carry(self._gossip.exchange_received(body.gossip, event.peer, event.seen_at, now), now)
            effects += self._merge(body, now)
            self._take_holdings(body, event.peer, now)
        except (PeerError, ValueError) as error:
            self._say(now, "warning", f"{event.seen_at} answered with a malformed exchange: {error}")
            return []
        return effects + self._push(body, event, now)

    def _push(self, body: SyncBody, event: ev.SyncAnswered, now: Instant) -> list[Effect]:
        """If the answer shows that the peer lacks records that we have: one more message with them."""
        peer = replace(event.asked, id=event.peer)
        lacking = self._catalogue.delta(body.digest, limits.SYNC_RECORDS_BYTES)
        if not lacking or event.peer in self._pushing:
            self._pushing.discard(event.peer)
            return []
        self._pushing.add(event.peer)
        self._rounds.repeat(peer)
        return [self._sync_with(peer, lacking)]

    def _sync_failed(self, event: ev.SyncFailed, now: Instant) -> list[Effect]:
        self._rounds.failed(event.asked, now.seconds)
        if event.asked.id is not None:
            self._pushing.discard(event.asked.id)
        return []

    def _merge(self, body: SyncBody, now: Instant) -> list[Effect]:
        merged = self._catalogue.merge(body.deltas, now)
        self._documents.update(merged.documents)
        for reason in merged.refused[:3]:
            self._say(now, "warning", f"refused a record: {reason}")
        return self._catalogue_changed(merged, now)

    def _take_holdings(self, body: SyncBody, peer: NodeId, now: Instant) -> None:
        """Takes what came and asks again where there is more."""
        if body.holdings is not None:
            self._holdings.merge(peer, body.holdings, self._catalogue.source)
            self._fetch_again = True
        if body.my_versions.holdings != self._holdings.known_version(peer):
            self._rounds.news_at(peer, now.seconds)

    def _catalogue_changed(self, merged: Merged, now: Instant) -> list[Effect]:
        effects: list[Effect] = []
        for root in sorted(merged.sources):
            source, before = self._catalogue.source(root), merged.sources[root]
            if source is not None and (before is None or before.leaf_count != source.leaf_count):
                self._say(now, "info", f"source {source.name} is in the catalogue")
                self._holdings.source_arrived(source)
                effects += self._locate(source)
            elif source is None and before is not None:
                effects += self._drop(before, now)
        if merged.nodes or merged.sources:
            self._replan(now)
        if merged.own_changed:
            self._announce_at = min(self._announce_at, now.seconds)
        return effects

    def _versions(self) -> Versions:
        return Versions(self._catalogue.version(self.me.id), self._holdings.version)

    # --- sources ----------------------------------------------------------------------------------------------------

    def _source_published(self, event: ev.SourcePublished, now: Instant) -> list[Effect]:
        """The record goes out once it is durable; whoever added it is told then."""
        source = event.source
        self._documents.update(self._catalogue.put_source(source, now))
        self._holdings.source_arrived(source)
        self._holdings.set_mine(source.root, event.holding)
        self._interiors.has(source.root)
        self._then.append(ev.SourceSettled(source.root))
        self._announce_at = now.seconds
        self._fetch_again = True
        self._say(now, "info", f"source {source.name} was added here")
        self._replan(now)
        return []

    def _source_withdrawn(self, event: ev.SourceWithdrawn, now: Instant) -> list[Effect]:
        source = self._catalogue.source(event.root)
        if source is None:
            return [ev.SourceSettled(event.root, refusal="no such source in the catalogue; nothing was changed")]
        self._documents.update(self._catalogue.remove_source(event.root, now))
        self._then.append(ev.SourceSettled(event.root))
        self._announce_at = now.seconds
        self._replan(now)
        return self._drop(source, now)

    def _drop(self, source: Source, now: Instant) -> list[Effect]:
        """A user removed it: retract first, then stop fetching, then delete here what no other source uses."""
        self._say(now, "info", f"source {source.name} was removed")
        self._holdings.drop_mine(source.root)
        self._holdings.source_removed(source.root)
        self._interiors.has(source.root)
        self._locating.discard(source.root)
        self._announce_at = min(self._announce_at, now.seconds)
        cancels: list[Effect] = [ev.CancelFetch(task) for task in self._fetcher.source_removed(source.root)]
        return [*cancels, ev.DropSource(source, tuple(self._catalogue.sources()))]

    def _locate(self, source: Source) -> list[Effect]:
        if source.root in self._locating:
            return []
        self._locating.add(source.root)
        return [ev.LocateBlocks(source)]

    def _holding_found(self, event: ev.HoldingFound, now: Instant) -> list[Effect]:
        self._locating.discard(event.root)
        if self._catalogue.source(event.root) is None:
            return []
        if self._holdings.set_mine(event.root, event.holding):
            self._announce_soon(now)
        if event.holding.has_interior:
            self._interiors.has(event.root)
        else:
            self._interiors.want(event.root)
        self._fetch_again = True
        return []

    def _interior_stored(self, event: ev.InteriorStored, now: Instant) -> list[Effect]:
        self._interiors.stored(event.root)
        source = self._catalogue.source(event.root)
        return self._locate(source) if source else []

    def _interior_failed(self, event: ev.InteriorFailed, now: Instant) -> list[Effect]:
        self._interiors.failed(event.root, now.seconds)
        self._fetcher.peer_failed(event.peer, now.seconds, peer_fault=event.peer_fault)
        if event.peer_fault:
            self._say(now, "warning", f"node {self._name(event.peer)} sent wrong metadata: {event.reason}")
        return []

    # --- blocks -----------------------------------------------------------------------------------------------------

    def _blocks_stored(self, event: ev.BlocksStored, now: Instant) -> list[Effect]:
        self._fetcher.blocks_stored(event.task, event.blocks, event.size_bytes)
        if self._catalogue.source(event.root) is not None and self._holdings.add_mine(event.root, event.blocks):
            self._announce_soon(now)
        return []

    def _fetch_ended(self, event: ev.FetchEnded, now: Instant) -> list[Effect]:
        was_full = self._fetcher.is_full
        holder = self._fetcher.holder_of(event.task)
        self._fetcher.ended(
            event.task,
            failed=bool(event.reason),
            peer_fault=event.peer_fault,
            full=event.full,
            now_seconds=now.seconds,
        )
        if event.peer_fault and holder is not None:
            self._say(now, "warning", f"node {self._name(holder)} sent wrong blocks: {event.reason}")
        if self._fetcher.is_full and not was_full:
            self._say(now, "warning", f"this node is full: {event.reason}. Raise its capacity or remove a source")
        self._fetch_again = True
        self._record_soon(now)
        return []

    def _usage_measured(self, event: ev.UsageMeasured, now: Instant) -> list[Effect]:
        self.usage = event.usage
        self._fetcher.usage_measured(event.usage)
        if abs(event.usage.used_bytes - self.me.used_bytes) > min(
            _USED_HYSTERESIS_BYTES, event.usage.capacity_bytes // 64
        ):
            self._record_soon(now)
        self._fetch_again = True
        return []

    # --- planning ---------------------------------------------------------------------------------------------------

    def _replan(self, now: Instant) -> None:
        self._plan_at = min(self._plan_at, now.seconds + self.options.plan_debounce_seconds)

    def _plan_if_due(self, now: Instant) -> list[Effect]:
        if self._planning or now.seconds < min(self._plan_at, self._placement_changes_at):
            return []
        self._plan_at = NEVER
        view = self.view(now)
        if self.options.planner_needs_holdings:
            self._plan_at = now.seconds + self.options.holdings_plan_seconds
        if view == self.plan_view and self.plan is not None:
            return []
        self._plan_epoch += 1
        self._planning = True
        self.plan_view = view
        return [ev.ComputePlan(self._plan_epoch, view)]

    def _plan_computed(self, event: ev.PlanComputed, now: Instant) -> list[Effect]:
        """A failing planner leaves the old plan in force. What the new plan no longer wants is kept (see the module)."""
        if event.epoch != self._plan_epoch:
            return []
        self._planning = False
        if event.plan is None:
            self.plan_view = None
            self._plan_at = min(self._plan_at, now.seconds + _PLAN_RETRY_SECONDS)
            self._say(
                now, "error", f"planner {self.options.planner} failed: {event.reason}; the last plan stays in force"
            )
            return []
        self.plan = event.plan
        self._fetch_again = True
        self._record_soon(now)
        return []

    # --- this node's record -----------------------------------------------------------------------------------------

    def _node_changed(self, event: ev.NodeChanged, now: Instant) -> list[Effect]:
        changes = {
            name: value
            for name in ("capacity_bytes", "addresses", "page_url", "away_until_ms")
            if (value := getattr(event, name)) is not None
        }
        self.me = replace(self.me, **changes)
        self._publish_node(now)
        self._replan(now)
        return []

    def _record_soon(self, now: Instant) -> None:
        self._record_at = min(self._record_at, now.seconds + self.options.record_interval_seconds)

    def _publish_node(self, now: Instant) -> None:
        self._record_at = NEVER
        fresh = replace(
            self.me,
            used_bytes=self.usage.used_bytes,
            activity=self._activity(),
            plan_digest=self.plan.digest[:16] if self.plan else b"",
            wanted_count=sum(map(len, self.plan.want.values())) if self.plan else 0,
        )
        self.me = fresh
        if self._catalogue.node_info(self.me.id) != fresh:
            self._documents.update(self._catalogue.put_node(fresh, now))
            self._announce_soon(now)

    def _activity(self) -> str:
        if not any(node != self.me.id for node in self._live()):
            return "looking for peers"
        if self._interiors.count:
            return "fetching metadata"
        if self._fetcher.is_busy:
            return "downloading"
        if self._planning or self.plan is None:
            return "picking blocks"
        return "full" if self._fetcher.is_full else "seeding"

    def _announce_soon(self, now: Instant) -> None:
        self._announce_at = min(self._announce_at, now.seconds + self.options.announce_interval_seconds)

    def _announce_if_due(self, now: Instant) -> list[Effect]:
        if now.seconds < self._announce_at:
            return []
        self._announce_at = NEVER
        versions = self._versions()
        if versions == self._announced:
            return []
        self._announced = versions
        return self._carry(self._gossip.announce(self.me.id, versions, now), now)

    def _stopping(self, event: ev.Stopping, now: Instant) -> list[Effect]:
        return self._carry(self._gossip.leave(now), now) if event.for_good else []

    # --- what follows -----------------------------------------------------------------------------------------------

    def _advance(self, now: Instant) -> list[Effect]:
        effects: list[Effect] = []
        if now.seconds >= self._gossip.wake_at:
            effects += self._carry(self._gossip.tick(now), now)
        if now.seconds >= self._record_at:
            self._publish_node(now)
        effects += self._plan_if_due(now)
        effects += self._fetch(now)
        if now.seconds >= self._rounds.wake_at:
            due = self._rounds.due(self._live_peers(), self._lost_peers(), now.seconds)
            effects += [self._sync_with(peer) for peer in due]
        effects += self._announce_if_due(now)
        said, self._said = self._said, []
        return self._saved() + effects + said

    def _fetch(self, now: Instant) -> list[Effect]:
        if not self._fetch_again and now.seconds < self._retry_at:
            return []
        self._fetch_again = False
        live = self._live_peers()
        sources = {source.root: source for source in self.sources()}
        effects: list[Effect] = list(self._interiors.schedule(sources, live, now.seconds))
        if self.plan is not None:
            ready = [
                s for s in sources.values() if s.root not in self._locating and self._holdings.mine(s.root).has_interior
            ]
            ready.sort(key=lambda source: -source.priority)
            effects += self._fetcher.schedule(self.plan, ready, live, now.seconds)
        self._retry_at = min(self._fetcher.next_retry(now.seconds), self._interiors.next_retry(now.seconds))
        if effects:
            self._record_soon(now)
        return effects

    def _saved(self) -> list[Effect]:
        if not self._documents and not self._then:
            return []
        effect = ev.SaveState(dict(self._documents), tuple(self._then))
        self._documents.clear()
        self._then.clear()
        return [effect]

    def _say(self, now: Instant, level: str, text: str) -> None:
        self.events.append(EventLine(now.unix_ms, level, text))
        self._said.append(ev.Report(level, text))

    def _name(self, node: NodeId) -> str:
        info = self._catalogue.node_info(node)
        return info.name if info else self.options.node_text(node)
