"""The node's mind: `handle(event, now) -> effects`. No IO, no clock, no dice of its own (a seeded Random is handed in).

It joins the parts that each know one thing: gossip (who lives), membership (where they are), catalogue (what exists),
holdings (who has what), placement (who counts), planning (what I should own), interiors and fetching (what to get
next), rounds and exchange (with whom to share state). The shell carries the effects out in order and reports back.

Nothing here deletes a block, except `DropSource` after a user's `ralnode rm`. Deletion under locks has its place where
a new plan is taken over (`_plan_computed`): what is owned and no longer wanted is surplus, and is kept for now.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from ralnode.api import (
    EventLine,
    GossipOutput,
    Instant,
    Liveness,
    Member,
    MemberChanged,
    NodeId,
    PeerError,
    SendDatagram,
    Source,
    Usage,
    Versions,
    VersionsHeard,
)
from ralnode.core import events as ev
from ralnode.core.events import Effect, Event
from ralnode.core.exchange import News
from ralnode.core.state import EngineState
from ralnode.core.updates import Merged

NEVER: Final = float("inf")
_TEND_SECONDS: Final = 3600.0


class Engine(EngineState):
    """See the module. `now` never goes back. After each call read `wake_at` and send `Ticked` when it has come."""

    # --- life -------------------------------------------------------------------------------------------------------

    def start(self, saved: Mapping[bytes, bytes], usage: Usage, now: Instant) -> list[Effect]:
        """Once, before any event. `saved`: the state documents of an earlier run."""
        self.me = replace(self.me, started_unix_ms=max(0, now.unix_ms))
        self._catalogue.load(saved)
        self._holdings.start(max(1, now.unix_ms))
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
        self._planning.again(now)
        self._tend_at = now.seconds
        return effects + self._advance(now)

    def handle(self, event: Event, now: Instant) -> list[Effect]:
        """One event and all that follows from it at this instant."""
        return self.handle_all([event], now)

    def handle_all(self, batch: Sequence[Event], now: Instant) -> list[Effect]:
        """Several events of one instant; what follows is worked out once."""
        effects: list[Effect] = []
        for event in batch:
            effects += _HANDLERS[type(event)](self, event, now)
        return effects + self._advance(now)

    @property
    def wake_at(self) -> float:
        """Monotonic seconds at which a `Ticked` is due."""
        parts = (self._gossip, self._rounds, self._planning, self._announcing)
        return min(self._retry_at, self._tend_at, *(part.wake_at for part in parts))

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
        before = self._membership.changed(member, now)
        if before is member.liveness:
            return
        self._placement.observe(member.id, member.liveness, now)
        if member.liveness is Liveness.ALIVE:
            self._rounds.news_at(member.id, now.seconds)
            if before is not Liveness.SUSPECT:
                self._say(now, "info", f"node {member.name} is here")
        elif member.liveness is not Liveness.SUSPECT:
            word = "left the cluster" if member.liveness is Liveness.LEFT else "does not answer"
            self._say(now, "warning", f"node {member.name} {word}")
        self._planning.again(now)
        self._fetch_again = True

    def _versions_heard(self, author: NodeId, versions: Versions, now: Instant) -> None:
        newer_records = versions.records > self._catalogue.version(author)
        newer_holdings = versions.holdings > self._holdings.known_version(author)
        if author == self.me.id or not (newer_records or newer_holdings):
            return
        self._exchange.heard(author, versions, now)
        others = self._membership.live_others()
        if newer_records and others and not self._membership.is_live(author):
            self._exchange.has_more(self._rng.choice(others), now)

    # --- exchange of state ------------------------------------------------------------------------------------------

    def _peer_hinted(self, event: ev.PeerHinted, now: Instant) -> list[Effect]:
        if event.address not in self.me.addresses:
            self._rounds.hinted(event.address, now.seconds)
        return []

    def _sync_requested(self, event: ev.SyncRequested, now: Instant) -> list[Effect]:
        try:
            news = self._exchange.take(event.body, event.peer, event.seen_at, now)
        except PeerError as error:
            return [ev.ReplySync(event.request, b"", refusal=str(error))]
        effects = self._carry(news.gossip, now) + self._news_came(news, now)
        return [*effects, ev.ReplySync(event.request, self._exchange.answer(news.body, event.peer))]

    def _sync_answered(self, event: ev.SyncAnswered, now: Instant) -> list[Effect]:
        self._rounds.answered(event.asked, event.peer, now.seconds)
        if event.peer == self.me.id:
            return []
        try:
            news = self._exchange.take(event.body, event.peer, event.seen_at, now)
        except PeerError as error:
            self._say(now, "warning", f"{event.seen_at}: {error}")
            return []
        effects = self._carry(news.gossip, now) + self._news_came(news, now)
        return [*effects, *self._exchange.push(news.body, event.asked, event.peer)]

    def _sync_failed(self, event: ev.SyncFailed, now: Instant) -> list[Effect]:
        self._exchange.failed(event.asked, now)
        return []

    def _news_came(self, news: News, now: Instant) -> list[Effect]:
        self._fetch_again |= news.has_holdings
        if news.is_remembered:
            self._announcing.announce_soon(now)
        return self._catalogue_changed(news.merged, now)

    def _catalogue_changed(self, merged: Merged, now: Instant) -> list[Effect]:
        self._documents.update(merged.documents)
        self._fetch_again |= bool(merged.nodes or merged.sources)
        if merged.own_number_jumped:
            self._say(
                now, "warning", "others knew later records of this node: its disk was lost, or its key is used twice"
            )
        for refusal in merged.refused[:3]:
            self._say(now, "warning", f"refused a record: {refusal}")
        for node in merged.nodes:  # one that gossip has never met would otherwise be planned with for ever
            self._placement.observe(node, self._membership.liveness(node), now)
        effects: list[Effect] = []
        for root, before in sorted(merged.sources.items()):
            effects += self._source_changed(before, self._catalogue.source(root), now)
        if merged.nodes or merged.sources:
            self._membership.records_changed()
            (self._planning.soon if merged.sources else self._planning.again)(now)
        if merged.own_changed:
            self._announcing.announce_soon(now, 0.0)
        return effects

    def _source_changed(self, before: Source | None, source: Source | None, now: Instant) -> list[Effect]:
        if source is None:
            return self._drop(before, now) if before and self._catalogue.is_removed(before.root) else []
        if before is None or before.leaf_count != source.leaf_count:
            self._say(now, "info", f"source {source.name} is in the catalogue")
            self._holdings.source_arrived(source)
            return self._locate(source)
        return []

    # --- sources ----------------------------------------------------------------------------------------------------

    def _source_published(self, event: ev.SourcePublished, now: Instant) -> list[Effect]:
        """The record goes out once it is durable; whoever added it is told then."""
        source = event.source
        try:
            self._documents.update(self._catalogue.put_source(source, now))
        except ValueError as error:
            return [ev.SourceSettled(source.root, refusal=f"{error}; nothing was changed")]
        self._holdings.source_arrived(source)
        self._holdings.set_mine(source.root, event.holding)
        self._interiors.has(source.root)
        self._then.append(ev.SourceSettled(source.root))
        self._announcing.announce_soon(now, 0.0)
        self._fetch_again = True
        self._say(now, "info", f"source {source.name} was added here")
        self._planning.soon(now)
        return []

    def _source_withdrawn(self, event: ev.SourceWithdrawn, now: Instant) -> list[Effect]:
        source = self._catalogue.source(event.root)
        if source is None:
            return [ev.SourceSettled(event.root, refusal="no such source in the catalogue; nothing was changed")]
        self._documents.update(self._catalogue.remove_source(event.root, now))
        self._then.append(ev.SourceSettled(event.root))
        self._planning.soon(now)
        return self._drop(source, now)

    def _drop(self, source: Source, now: Instant) -> list[Effect]:
        """A user removed it: retract first, then stop fetching, then delete here what no other source uses."""
        self._say(now, "info", f"source {source.name} was removed")
        self._holdings.drop_mine(source.root)
        self._holdings.source_removed(source.root)
        self._interiors.has(source.root)
        self._locating.discard(source.root)
        self._announcing.announce_soon(now, 0.0)
        cancels: list[Effect] = [ev.CancelFetch(task) for task in self._fetcher.tasks_of(source.root)]
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
            self._announcing.announce_soon(now)
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
        self._fetch_again = True
        return []

    # --- blocks -----------------------------------------------------------------------------------------------------

    def _blocks_stored(self, event: ev.BlocksStored, now: Instant) -> list[Effect]:
        self._fetcher.blocks_stored(event.task, event.blocks, event.size_bytes)
        holder = self._fetcher.holder_of(event.task)
        self._fetch_again |= holder is not None and not self._fetcher.is_occupied(holder)
        if self._catalogue.source(event.root) is not None and self._holdings.add_mine(event.root, event.blocks):
            self._announcing.announce_soon(now)
        return []

    def _fetch_ended(self, event: ev.FetchEnded, now: Instant) -> list[Effect]:
        was_full, holder = self._fetcher.is_full, self._fetcher.holder_of(event.task)
        self._fetcher.ended(event, now.seconds)
        if event.peer_fault and holder is not None:
            self._say(now, "warning", f"node {self._name(holder)} sent wrong blocks: {event.reason}")
        if self._fetcher.is_full and not was_full:
            self._say(now, "warning", f"this node is full: {event.reason}. Raise its capacity or remove a source")
        self._fetch_again = True
        self._announcing.record_soon(now)
        return []

    def _usage_measured(self, event: ev.UsageMeasured, now: Instant) -> list[Effect]:
        self.usage = event.usage
        self._fetcher.usage_measured(event.usage)
        if self._announcing.is_worth_telling(self.me, event.usage):
            self._announcing.record_soon(now)
        self._fetch_again = True
        return []

    def _plan_computed(self, event: ev.PlanComputed, now: Instant) -> list[Effect]:
        """A failing planner leaves the old plan in force. What the new plan no longer wants is kept (see the module)."""
        if not self._planning.computed(event, now):
            self._say(
                now, "error", f"planner {self.options.planner} failed: {event.reason}; the last plan stays in force"
            )
        self._fetch_again = True
        self._announcing.record_soon(now, 1.0)
        return []

    # --- this node's record -----------------------------------------------------------------------------------------

    def _node_changed(self, event: ev.NodeChanged, now: Instant) -> list[Effect]:
        names = (
            "capacity_bytes", "addresses", "page_url", "away_until_ms", "draining", "gateway_port", "gateway_tls_port",
        )  # fmt: skip
        changes: dict[str, Any] = {name: getattr(event, name) for name in names}
        self.me = replace(self.me, **{name: value for name, value in changes.items() if value is not None})
        self._publish_node(now)
        self._planning.again(now)
        return []

    def _publish_node(self, now: Instant) -> None:
        self.me = self._described()
        self._announcing.record_done()
        self._warn_of_clones(now)
        if self._catalogue.node_info(self.me.id) != self.me:
            self._documents.update(self._catalogue.put_node(self.me, now))
            self._announcing.announce_soon(now)

    def _warn_of_clones(self, now: Instant) -> None:
        count = self._gossip.counters().get("cloned_key", 0)
        if count > self._clones_seen:
            self._say(now, "error", "another machine uses this node's key: give one of them a data folder of its own")
        self._clones_seen = count

    def _stopping(self, event: ev.Stopping, now: Instant) -> list[Effect]:
        return self._carry(self._gossip.leave(now), now) if event.for_good else []

    # --- what follows -----------------------------------------------------------------------------------------------

    def _advance(self, now: Instant) -> list[Effect]:
        effects: list[Effect] = []
        if now.seconds >= self._gossip.wake_at:
            effects += self._carry(self._gossip.tick(now), now)
        if now.seconds >= self._announcing.record_at:
            self._publish_node(now)
        if now.seconds >= self._tend_at:
            self._tend_at = now.seconds + _TEND_SECONDS
            self._documents.update(self._catalogue.tend(now))
        effects += self._planning.begin_if_due(self.me, now)
        effects += self._fetch(now)
        if now.seconds >= self._rounds.wake_at:
            effects += self._exchange.begin(now)
        if self._announcing.is_due(self._exchange.versions(), now):
            effects += self._carry(self._gossip.announce(self.me.id, self._exchange.versions(), now), now)
        said, self._said = self._said, []
        return self._saved() + effects + said

    def _fetch(self, now: Instant) -> list[Effect]:
        if not self._fetch_again and now.seconds < self._retry_at:
            return []
        self._fetch_again = False
        live = self._membership.live_peers()
        sources = {source.root: source for source in self.sources()}
        effects: list[Effect] = list(self._interiors.schedule(sources, live, now.seconds))
        if self.plan is not None:
            ready = [
                s for s in sources.values() if s.root not in self._locating and self._holdings.mine(s.root).has_interior
            ]
            ready.sort(key=lambda source: -source.priority)
            effects += self._fetcher.schedule(self.plan, ready, live, now.seconds)
        self._exchange.blocks_are_needed(self._fetcher.is_hungry or self._interiors.is_hungry, now)
        self._retry_at = min(self._fetcher.next_retry(now.seconds), self._interiors.next_retry(now.seconds))
        if effects:
            self._announcing.record_soon(now)
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


_HANDLERS: Final[dict[type, Callable[[Engine, Any, Instant], list[Effect]]]] = {
    ev.Ticked: lambda _engine, _event, _now: [],
    ev.DatagramReceived: Engine._datagram_received,
    ev.PeerHinted: Engine._peer_hinted,
    ev.SyncRequested: Engine._sync_requested,
    ev.SyncAnswered: Engine._sync_answered,
    ev.SyncFailed: Engine._sync_failed,
    ev.SourcePublished: Engine._source_published,
    ev.SourceWithdrawn: Engine._source_withdrawn,
    ev.InteriorStored: Engine._interior_stored,
    ev.InteriorFailed: Engine._interior_failed,
    ev.HoldingFound: Engine._holding_found,
    ev.BlocksStored: Engine._blocks_stored,
    ev.FetchEnded: Engine._fetch_ended,
    ev.PlanComputed: Engine._plan_computed,
    ev.UsageMeasured: Engine._usage_measured,
    ev.NodeChanged: Engine._node_changed,
    ev.Stopping: Engine._stopping,
}
