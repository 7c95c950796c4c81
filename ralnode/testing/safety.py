"""What must hold after every event of a simulated cluster (S1, S3 to S9), and the trace by which two runs are compared.

Cheap checks run after each event for the node concerned, a sweep over all nodes every so many events. A breach raises
`InvariantError`; the message names the rule.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final, Protocol

from ralnode.api import Address, BlockKey, Held, Holding, Instant, Liveness, NodeId, Plan, Root, Source, View
from ralnode.core import events as ev
from ralnode.core.catalogue_state import key_of, record_name
from ralnode.core.engine import Engine
from ralnode.core.events import Event
from ralnode.core.records import trust
from ralnode.testing.simulated_disk import SimulatedDisk
from ralnode.testing.world import Machine, World

SWEEP_EVENTS: Final = 500
"""Between two sweeps in a small cluster. A sweep looks at every pair of nodes: in a large one they are rarer."""
SMALL_NODES: Final = 12
PAIR_SECONDS: Final = 90.0
"""So long after the last fault nobody may hold a live, connected node for dead (S7): SWIM needs 16 s at 1,000 nodes, a
healed partition two rejoin rounds of 36 s at most."""


class InvariantError(AssertionError):
    """An invariant does not hold."""


class Watched(Machine, Protocol):
    """What the checks look at."""

    disk: SimulatedDisk
    engine: Engine | None
    life: int
    lost: set[BlockKey]
    boasts: set[Root]


class Safety:
    """Implements `Watch`. `nodes` is filled by the cluster."""

    def __init__(self) -> None:
        self.world: World | None = None
        self.nodes: dict[NodeId, Watched] = {}
        self.event_count = 0
        self.trace = 0
        self._sweep_at = SWEEP_EVENTS
        self._advertised: dict[tuple[NodeId, int, Root], Holding] = {}
        self._sources: dict[tuple[NodeId, int], tuple[Source, ...]] = {}
        self._words: dict[tuple[NodeId, int], dict[Root, tuple[int, NodeId, bool]]] = {}
        self._written: dict[tuple[NodeId, int, int], bytes] = {}
        self._plans: dict[object, tuple[str, bytes]] = {}

    # --- called by the simulation -----------------------------------------------------------------------------------

    def before(self, node: Machine, event: Event) -> None:
        assert self.world is not None
        self.event_count += 1
        line = f"{self.world.clock.seconds:.9f} {node.name} {_in_short(event)!r}"
        self.trace = zlib.crc32(line.encode(), self.trace)

    def after(self, machine: Machine) -> None:
        node = self._watched(machine)
        assert node.engine is not None
        self._quota_is_kept(node)
        self._advertised_is_on_disk(node, node.engine)
        self._removed_stays_removed(node, node.engine)
        if self.event_count >= self._sweep_at:
            self._sweep_at = self.event_count + SWEEP_EVENTS * max(1, len(self.nodes) ** 2 // SMALL_NODES**2)
            self.sweep()

    def saved(self, machine: Machine, items: Mapping[bytes, bytes | None]) -> None:
        """Durable now, and only now shown to others."""
        self._numbers_are_used_once(self._watched(machine), items)

    def deleting(self, machine: Machine, source: Source, keys: Iterable[BlockKey]) -> None:
        """S1 and S5: only what a user removed goes, taken back first, and never what a live source still needs."""
        assert self.world is not None
        node = self._watched(machine)
        assert node.engine is not None
        if source.root not in self.world.withdrawn:
            raise self._violation("S1", node, f"deletes blocks of {source.name}, which no user has removed")
        going = set(keys)
        for kept in node.engine.sources():
            content, holding = self.world.contents.of(kept.root), node.engine.holding(node.id, kept.root)
            told = {content.leaves[index] for index in holding.servable} | set(content.interior)
            if holding.has_interior and told & going:
                raise self._violation("S1", node, f"deletes blocks of {kept.name} while removing {source.name}")
        others = [other for other in self.nodes.values() if other is not node]
        for kept in self._live_by_users():
            for key in going.intersection(self.world.contents.of(kept.root).leaves):
                if node.disk.held(key) is Held.OWNED and not any(
                    other.disk.held(key) is not Held.NO for other in others
                ):
                    raise self._violation("S1", node, f"deletes the last copy of a block of {kept.name}")

    def planned(self, node: Machine, planner: str, view: View, plan: Plan) -> None:
        """S8: equal views and planners, equal digests."""
        holdings = tuple((who, tuple(sorted(roots.items()))) for who, roots in sorted(view.holdings.items()))
        facts = (planner, view.nodes, view.sources, tuple((who, tuple(found)) for who, found in holdings))
        other, digest = self._plans.setdefault(facts, (node.name, plan.digest))
        if digest != plan.digest:
            raise self._violation("S8", node, f"plans otherwise than {other} with the same view")

    # --- after each event -------------------------------------------------------------------------------------------

    def _quota_is_kept(self, node: Watched) -> None:
        usage = node.disk.usage()
        if usage.used_bytes + usage.reserved_bytes > usage.capacity_bytes or usage.reserved_bytes < 0:
            raise self._violation("S3", node, f"uses {usage}")

    def _advertised_is_on_disk(self, node: Watched, engine: Engine) -> None:
        """S5, for sources whose holding is another object than at the last look."""
        for source in engine.sources():
            holding, place = engine.holding(node.id, source.root), (node.id, node.run, source.root)
            if self._advertised.get(place) is not holding:
                self._check_holding(node, source, holding)
                self._advertised[place] = holding

    def _check_holding(self, node: Watched, source: Source, holding: Holding) -> None:
        assert self.world is not None
        if source.root in node.boasts:
            return
        content, held = self.world.contents.of(source.root), node.disk.held
        for index in holding.owned:
            if held(content.leaves[index]) is not Held.OWNED and content.leaves[index] not in node.lost:
                raise self._violation("S5", node, f"claims to own block {index} of {source.name} and does not")
        for index in holding.linked:
            if held(content.leaves[index]) is Held.NO and content.leaves[index] not in node.lost:
                raise self._violation("S5", node, f"claims block {index} of {source.name} and has no link to it")
        if holding.has_interior and not set(content.interior) - node.lost <= set(node.disk.owned()):
            raise self._violation("S5", node, f"claims the interior nodes of {source.name}")

    def _removed_stays_removed(self, node: Watched, engine: Engine) -> None:
        """S6, seen from one node in one run (a crash may take back what was not durable): the word on a source only ever
        gives way to a later one."""
        life = (node.id, node.run)
        sources = engine.sources()
        if self._sources.get(life) is sources:
            return
        self._sources[life] = tuple(sources)
        words = self._words.setdefault(life, {})
        for root in {source.root for source in sources} | set(words):
            found = engine.source_record(root)
            word = (found[1].clock, found[0], found[1].deleted) if found else None
            before = words.get(root)
            if before is not None and word is None and not before[2]:
                raise self._violation("S6", node, f"has forgotten source {root.hex()[-8:]} without a removal")
            if before is not None and before[2] and word is not None and word[:2] < before[:2]:
                raise self._violation("S6", node, f"source {root.hex()[-8:]} came back after its removal")
            if word is not None:
                words[root] = max(word, before or word)

    def _numbers_are_used_once(self, node: Watched, items: Mapping[bytes, bytes | None]) -> None:
        """S6: no number stands for different bytes within one life of the disk."""
        prefix = record_name(node.id, b"")
        for name, envelope in items.items():
            if envelope is None or not name.startswith(prefix):
                continue
            signed = trust(node.id, envelope)
            if any(self._written.get((node.id, life, signed.seq)) == envelope for life in range(node.life)):
                continue  # its own, from before it lost its disk, come back from a peer
            known = self._written.setdefault((node.id, node.life, signed.seq), envelope)
            if known != envelope:
                raise self._violation("S6", node, f"uses number {signed.seq} twice")

    # --- now and then -----------------------------------------------------------------------------------------------

    def sweep(self) -> None:
        """Over all nodes: what is stored (S4), what is advertised (S5), who is held for dead (S7)."""
        assert self.world is not None
        for node in self.nodes.values():
            for key in node.disk.owned():
                if not node.disk.is_rotten(key) and node.disk.peek(key) != self.world.contents.data_of(key):
                    raise self._violation("S4", node, f"stores wrong bytes under {key.hex()[-8:]}")
            if node.engine is not None:
                for source in node.engine.sources():
                    self._check_holding(node, source, node.engine.holding(node.id, source.root))
        if self.world.clock.seconds - self.world.last_fault_at > PAIR_SECONDS and not self.world.is_stormy:
            self._nobody_is_dead_for_ever()

    def _nobody_is_dead_for_ever(self) -> None:
        assert self.world is not None
        for node in self.nodes.values():
            for other in self.nodes.values():
                if node is other or node.engine is None or not self.world.can_talk(node, other):
                    continue
                is_known = node.engine.node(other.id) is not None
                if is_known and node.engine.liveness(other.id) is Liveness.DEAD:
                    raise self._violation("S7", node, f"still holds {other.name} for dead")

    def check_inert(self, machine: Machine, data: bytes, sender: Address) -> None:
        """S9: a packet that is foreign, damaged or repeated changes nothing. Timers that are due run before."""
        assert self.world is not None
        node = self._watched(machine)
        assert node.engine is not None
        now = self.world.clock.now()
        machine.tell(ev.Ticked())
        before = _state(node.engine, now)
        machine.tell(ev.DatagramReceived(data, sender))
        if _state(node.engine, now) != before:
            raise self._violation("S9", node, f"lets a foreign packet change its state ({data[:16].hex()}…)")

    # --- helpers ----------------------------------------------------------------------------------------------------

    def _live_by_users(self) -> list[Source]:
        """But not what nobody has a record of any more, after the only disk that had one was lost."""
        assert self.world is not None
        live = [source for root, source in self.world.published.items() if self.world.is_live(root)]
        return [source for source in live if any(_knows(node, source.root) for node in self.nodes.values())]

    def _watched(self, machine: Machine) -> Watched:
        return self.nodes[machine.id]

    def _violation(self, rule: str, node: Machine, what: str) -> InvariantError:
        assert self.world is not None
        return InvariantError(f"{rule} at {self.world.clock.seconds:.3f} s, seed {self.world.seed}: {node.name} {what}")


def _knows(node: Watched, root: Root) -> bool:
    """Whether it has a record of the source, on its disk if it is down."""
    if node.engine is not None:
        return node.engine.source(root) is not None
    return any(name.endswith(key_of(root)) for name in node.disk.documents)


def _in_short(event: Event) -> object:
    """Long bodies by their checksum: all of an exchange would take longer to print than to handle."""
    if isinstance(event, ev.SyncRequested | ev.SyncAnswered):
        return replace(event, body=zlib.crc32(event.body).to_bytes(4, "big"))
    return event


def _state(engine: Engine, now: Instant) -> object:
    """All that a packet could change, as others can see it."""
    sources = engine.sources()
    holdings = [engine.holding(info.id, source.root) for info in engine.nodes() for source in sources]
    return list(engine.members), sources, engine.nodes(), holdings, engine.view(now), engine.plan
