"""One engine, driven by hand. Whole clusters are in tests/sim."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import Any

from ralnode.api import (
    Address,
    BlockSet,
    GossipOutput,
    Holding,
    Instant,
    Liveness,
    Member,
    MemberChanged,
    NodeInfo,
    Plan,
    Source,
    Usage,
    Versions,
)
from ralnode.core import events as ev
from ralnode.core.engine import Engine
from ralnode.core.engine_options import EngineOptions
from ralnode.core.sync import SyncBody, encode_sync
from ralnode.testing.authors import Author
from ralnode.testing.fake_identity import FakeIdentity

ANN = FakeIdentity("ann")
FILM = Source(bytes.fromhex("01551220") + b"f" * 32, "film", 1000, 10, 1000, 1, 50)


class QuietGossip:
    """Says only what the test tells it to say."""

    def __init__(self) -> None:
        self.wake_at = float("inf")
        self.announced: list[Versions] = []
        self.clones = 0

    def start(self, me: Member, now: Instant) -> list[GossipOutput]:
        return []

    def tick(self, now: Instant) -> list[GossipOutput]:
        return []

    def datagram_received(self, data: bytes, sender: Address, now: Instant) -> list[GossipOutput]:
        return [MemberChanged(Member(ANN.id, "ann", sender, 10090, Liveness(data.decode())))]

    def exchange(self) -> bytes:
        return b""

    def exchange_received(self, data: bytes, sender: bytes, seen_at: Address, now: Instant) -> list[GossipOutput]:
        return []

    def announce(self, author: bytes, versions: Versions, now: Instant) -> list[GossipOutput]:
        self.announced.append(versions)
        return []

    def leave(self, now: Instant) -> list[GossipOutput]:
        return []

    def members(self) -> Sequence[Member]:
        return []

    def counters(self) -> Mapping[str, int]:
        return {"cloned_key": self.clones}


class Driven:
    """An engine with a hand-turned clock; keeps every effect and the saved documents."""

    def __init__(self, saved: Mapping[bytes, bytes] | None = None) -> None:
        self.identity, self.gossip = FakeIdentity("me"), QuietGossip()
        me = NodeInfo(self.identity.id, "me", 10**9, addresses=(Address("10.0.0.1", 10090),))
        self.engine = Engine(me, self.identity, self.gossip, EngineOptions(), Random(1), Address("10.0.0.1", 9090))
        self.seconds = 100.0
        self.saved: dict[bytes, bytes] = dict(saved or {})
        self.effects: list[ev.Effect] = []
        self._keep(self.engine.start(self.saved, Usage(10**9, 0), self.now))

    @property
    def now(self) -> Instant:
        return Instant(self.seconds, 1_700_000_000_000 + int(self.seconds * 1000))

    def tell(self, event: ev.Event) -> list[ev.Effect]:
        return self._keep(self.engine.handle(event, self.now))

    def wait(self, seconds: float) -> list[ev.Effect]:
        until, effects = self.seconds + seconds, []
        while self.engine.wake_at <= until:
            self.seconds = max(self.seconds, self.engine.wake_at)
            effects += self.tell(ev.Ticked())
        self.seconds = until
        return effects

    def _keep(self, effects: list[ev.Effect]) -> list[ev.Effect]:
        flat = list(effects)
        for effect in effects:
            if isinstance(effect, ev.SaveState):
                for name, value in effect.items.items():
                    if value is None:
                        self.saved.pop(name, None)
                    else:
                        self.saved[name] = value
                flat += effect.then
        self.effects += flat
        return flat

    def of(self, kind: type, effects: list[ev.Effect] | None = None) -> list[Any]:
        return [effect for effect in (self.effects if effects is None else effects) if isinstance(effect, kind)]


def published(driven: Driven) -> list[ev.Effect]:
    return driven.tell(ev.SourcePublished(FILM, Holding(True, BlockSet(), BlockSet.full(10))))


def test_an_added_source_is_settled_only_after_its_record_is_durable() -> None:
    driven = Driven()
    effects = driven.engine.handle(ev.SourcePublished(FILM, Holding(True)), driven.now)
    saves = [e for e in effects if isinstance(e, ev.SaveState)]
    assert not [e for e in effects if isinstance(e, ev.SourceSettled)]
    assert [e.root for save in saves for e in save.then if isinstance(e, ev.SourceSettled)] == [FILM.root]


def test_the_catalogue_survives_a_restart_and_the_blocks_are_counted_again() -> None:
    before = Driven()
    published(before)
    after = Driven(before.saved)
    assert after.engine.sources() == (FILM,)
    assert [e.source for e in after.of(ev.LocateBlocks)] == [FILM]


def test_a_source_with_a_bad_name_is_refused_and_nothing_is_stored() -> None:
    driven = Driven()
    bad = Source(FILM.root, "bad\nname", 1, 1, 1, 0, 0)
    effects = driven.tell(ev.SourcePublished(bad, Holding(True)))
    (settled,) = driven.of(ev.SourceSettled, effects)
    assert "nothing was changed" in settled.refusal
    assert not driven.engine.sources()


def test_removing_retracts_before_anything_is_deleted() -> None:
    driven = Driven()
    published(driven)
    effects = driven.tell(ev.SourceWithdrawn(FILM.root))
    assert not driven.engine.holding(driven.identity.id, FILM.root).servable
    (drop,) = driven.of(ev.DropSource, effects)
    assert drop.source == FILM
    assert drop.kept == ()


def test_removing_what_is_not_there_is_refused() -> None:
    driven = Driven()
    (settled,) = driven.of(ev.SourceSettled, driven.tell(ev.SourceWithdrawn(b"nothing")))
    assert settled.refusal


def test_a_view_is_planned_once_and_only_again_when_it_changes() -> None:
    driven = Driven()
    (first,) = driven.of(ev.ComputePlan, driven.wait(3))
    driven.tell(ev.PlanComputed(first.epoch, Plan({}, digest=b"d"), 0.1))
    assert not driven.of(ev.ComputePlan, driven.wait(60))
    published(driven)
    (second,) = driven.of(ev.ComputePlan, driven.wait(3))
    assert second.view.sources == (FILM,)


def planned() -> Driven:
    """Past its first plan, and quiet since."""
    driven = Driven()
    (first,) = driven.of(ev.ComputePlan, driven.wait(3))
    driven.tell(ev.PlanComputed(first.epoch, Plan({}), 0.1))
    driven.wait(10)
    return driven


def test_a_new_source_is_planned_for_at_once_when_things_were_quiet() -> None:
    driven = planned()
    published(driven)
    (compute,) = driven.of(ev.ComputePlan, driven.wait(0.2))
    assert compute.view.sources == (FILM,)


def test_a_new_source_is_planned_for_at_once_also_right_after_a_plan_made_for_nodes() -> None:
    driven = planned()
    driven.tell(ev.NodeChanged(capacity_bytes=50_000_000))
    (for_node,) = driven.of(ev.ComputePlan, driven.wait(1.1))
    driven.tell(ev.PlanComputed(for_node.epoch, Plan({}), 0.01))
    published(driven)
    (for_source,) = driven.of(ev.ComputePlan, driven.wait(0.2))
    assert for_source.view.sources == (FILM,)


def test_many_new_sources_are_planned_for_once_a_second() -> None:
    driven = planned()
    plans: list[ev.ComputePlan] = []
    for number in range(40):
        driven.tell(
            ev.SourcePublished(
                replace(FILM, root=FILM.root[:4] + bytes([number]) * 32, name=f"film {number}"),
                Holding(True, BlockSet(), BlockSet.full(10)),
            )
        )
        for compute in driven.of(ev.ComputePlan, driven.wait(0.1)):
            plans.append(compute)
            driven.tell(ev.PlanComputed(compute.epoch, Plan({}), 0.01))
    assert [len(plan.view.sources) for plan in plans[:2]] == [1, 12]
    assert len(plans) <= 5


def test_before_the_first_plan_even_a_new_source_waits_for_the_others_to_be_met() -> None:
    driven = Driven()
    published(driven)
    assert not driven.of(ev.ComputePlan, driven.wait(0.9))
    assert driven.of(ev.ComputePlan, driven.wait(0.2))


def test_a_failing_planner_leaves_the_last_plan_in_force_and_is_asked_again() -> None:
    driven = Driven()
    (first,) = driven.of(ev.ComputePlan, driven.wait(3))
    driven.tell(ev.PlanComputed(first.epoch, Plan({b"r": BlockSet.of([1])}), 0.1))
    published(driven)
    (second,) = driven.of(ev.ComputePlan, driven.wait(3))
    driven.tell(ev.PlanComputed(second.epoch, None, 0.1, "it divided by zero"))
    assert driven.engine.plan == Plan({b"r": BlockSet.of([1])})
    assert any("divided by zero" in line.text for line in driven.engine.events)
    assert driven.of(ev.ComputePlan, driven.wait(61))


def test_wanted_blocks_of_the_own_file_are_copied_and_counted() -> None:
    driven = Driven()
    published(driven)
    (compute,) = driven.of(ev.ComputePlan, driven.wait(3))
    effects = driven.tell(ev.PlanComputed(compute.epoch, Plan({FILM.root: BlockSet.of([2, 3])}), 0.1))
    (copy,) = driven.of(ev.CopyLinked, effects)
    assert set(copy.blocks) == {2, 3}
    driven.tell(ev.BlocksStored(copy.task, FILM.root, copy.blocks, 200))
    driven.tell(ev.FetchEnded(copy.task))
    assert set(driven.engine.holding(driven.identity.id, FILM.root).owned) == {2, 3}
    assert not driven.of(ev.CopyLinked, driven.wait(60))


def test_a_hint_leads_to_an_exchange_and_my_own_address_does_not() -> None:
    driven = Driven()
    assert driven.of(ev.SyncWith, driven.tell(ev.PeerHinted(Address("10.0.0.2", 10090), "static")))
    assert not driven.of(ev.SyncWith, driven.tell(ev.PeerHinted(Address("10.0.0.1", 10090), "mdns")))


def test_a_malformed_exchange_is_refused_and_changes_nothing() -> None:
    driven = Driven()
    published(driven)
    effects = driven.tell(ev.SyncRequested(7, ANN.id, Address("10.0.0.2", 1), b"\xff\x00 rubbish"))
    (reply,) = driven.of(ev.ReplySync, effects)
    assert reply.request == 7
    assert reply.refusal
    assert driven.engine.sources() == (FILM,)


def test_members_that_die_and_return_are_told_in_the_event_log() -> None:
    driven = Driven()
    where = Address("10.0.0.2", 9090)
    for state in ("alive", "suspect", "alive", "suspect", "dead", "alive"):
        driven.tell(ev.DatagramReceived(state.encode(), where))
    texts = [line.text for line in driven.engine.events]
    assert texts == ["node ann is here", "node ann does not answer", "node ann is here"]
    assert driven.engine.peer(ANN.id).addresses == (Address("10.0.0.2", 10090),)


def test_idle_means_no_busy_loop() -> None:
    driven = Driven()
    (first,) = driven.of(ev.ComputePlan, driven.wait(3))
    driven.tell(ev.PlanComputed(first.epoch, Plan({}, digest=b"d"), 0.1))
    driven.wait(30)
    ticks, seconds = 0, driven.seconds
    while driven.engine.wake_at < seconds + 600:
        driven.seconds = max(driven.seconds, driven.engine.wake_at)
        driven.tell(ev.Ticked())
        ticks += 1
        assert ticks < 600, "the engine wakes more than once a second with nothing to do"


def test_a_node_known_only_from_its_record_is_planned_with_for_the_grace_and_no_longer() -> None:
    driven, bob = Driven(), Author("bob")
    bob.unix_ms = driven.now.unix_ms
    bob.introduce()
    deltas = bob.catalogue.delta(driven.identity.id, {}, 10_000)
    driven.tell(ev.SyncRequested(1, ANN.id, Address("10.0.0.2", 5), encode_sync(SyncBody(deltas=deltas))))
    assert bob.id in [node.id for node in driven.engine.view(driven.now).nodes]
    driven.wait(601)
    assert bob.id not in [node.id for node in driven.engine.view(driven.now).nodes]


def test_a_second_machine_with_this_key_is_told_once() -> None:
    driven = Driven()
    driven.gossip.clones = 1
    driven.tell(ev.NodeChanged(capacity_bytes=10**9))
    driven.tell(ev.NodeChanged(capacity_bytes=10**9))
    assert [line.level for line in driven.engine.events if "key" in line.text] == ["error"]


def meet_ann(driven: Driven) -> None:
    driven.tell(ev.DatagramReceived(b"alive", Address("10.0.0.2", 9090)))


def test_a_node_that_left_for_good_is_tried_all_the_same() -> None:
    """It may have been started again and know nobody that is still there."""
    driven = Driven()
    meet_ann(driven)
    driven.tell(ev.DatagramReceived(b"left", Address("10.0.0.2", 9090)))
    for effect in driven.of(ev.SyncWith):
        driven.tell(ev.SyncFailed(effect.peer, "it has left"))
    assert ANN.id in {effect.peer.id for effect in driven.of(ev.SyncWith, driven.wait(80))}
