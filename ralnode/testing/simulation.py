"""`cluster(seed, nodes, parts)`: a whole cluster in one thread, in virtual time; one seed, one trace.

The engine, gossip and planner are the real ones; network, disks and users are imagined. The methods are what a user,
a power cut or a careless cat would do. Safety is checked after every event; `settle` asks for liveness.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from random import Random

from ralnode.api import Address, Context, Planner, Source
from ralnode.api.limits import GIB, MIB
from ralnode.core.engine_options import EngineOptions
from ralnode.testing import liveness
from ralnode.testing.clock import VirtualClock
from ralnode.testing.contents import Contents
from ralnode.testing.datagrams import Conditions, DatagramNetwork
from ralnode.testing.safety import InvariantError, Safety
from ralnode.testing.simulated_node import Lie, SimulatedNode
from ralnode.testing.world import Parts, Timings, World

VIEWS_SECONDS = 60.0
"""L1: so long after the faults have stopped all views are equal."""
VIEWS_SECONDS_PER_NODE = 0.2
"""Beyond a hundred nodes it takes longer: each asks every other for its holdings, at most 20 a second."""
SUSPICION_SECONDS = 20.0
"""What the faults have left behind (suspicions under way, packets late) is over by then."""
COPIES_SECONDS = 900.0
SILENCE_SECONDS = 60.0
KNOWN_PEERS_MAX = 20
"""How many addresses a node is told when it joins, of those that joined before it."""

OPTIONS = EngineOptions(repair_grace_seconds=20.0, repair_grace_last_copy_seconds=5.0)
"""Short graces, so that a death is repaired within a test."""


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """A node to begin with."""

    capacity_bytes: int = GIB
    zone: str = ""
    name: str = ""


class Cluster:
    """See the module. Nodes are `c["n0"]`, `c["n1"]`, … or by their own name."""

    def __init__(
        self,
        seed: int,
        specs: Sequence[NodeSpec],
        parts: Parts,
        options: EngineOptions = OPTIONS,
        timings: Timings | None = None,
    ) -> None:
        self.seed = seed
        self.clock = VirtualClock()
        self.network = DatagramNetwork(self.clock, Random(f"{seed}/network"))
        self.safety = Safety()
        self.world = World(
            seed=seed,
            parts=parts,
            timings=timings or Timings(),
            clock=self.clock,
            network=self.network,
            contents=Contents(),
            dice=Random(f"{seed}/world"),
            watch=self.safety,
        )
        self.safety.world = self.world
        self.nodes: dict[str, SimulatedNode] = {}
        self._options = options
        for spec in specs:
            self.join(spec)

    # --- nodes ------------------------------------------------------------------------------------------------------

    def __getitem__(self, name: str) -> SimulatedNode:
        return self.nodes[name]

    def up(self) -> list[SimulatedNode]:
        return [node for node in self.nodes.values() if node.is_up]

    def honest(self) -> list[SimulatedNode]:
        """Those that are up and deceive nobody."""
        return [node for node in self.up() if node.lie is Lie.NONE and not node.boasts]

    def join(self, spec: NodeSpec = NodeSpec(), planner: Callable[[Context], Planner] | None = None) -> SimulatedNode:
        """A new node, which knows the addresses of some that joined before it."""
        number = len(self.nodes)
        known = [node.transport_address for node in self.nodes.values()][-KNOWN_PEERS_MAX:]
        node = SimulatedNode(
            self.world,
            spec.name or f"n{number}",
            number + 1,
            spec.capacity_bytes,
            zone=spec.zone,
            options=replace(self._options, planner=""),
            known=known,
            planner=planner,
        )
        self.nodes[node.name] = node
        self.safety.nodes[node.id] = node
        self.world.machines[node.transport_address] = node
        node.start()
        return node

    def crash(self, name: str, *, lose_disk: bool = False) -> None:
        """Down at once. With `lose_disk` everything on it is gone (its key is not)."""
        node = self.nodes[name]
        if node.is_up:
            node.stop()
        if lose_disk:
            node.life += 1
            node.disk.wipe()

    def restart(self, name: str) -> None:
        if not self.nodes[name].is_up:
            self.nodes[name].start()

    # --- sources ----------------------------------------------------------------------------------------------------

    def add_source(
        self,
        node: str,
        leaf_count: int,
        *,
        name: str = "",
        block_bytes: int = MIB,
        copies: int = 2,
        priority: int = 0,
        linked: bool = False,
        first_content: int | None = None,
    ) -> Source | None:
        """None when it does not fit on the node; `first_content` makes it share leaves with others."""
        title = name or f"source {len(self.world.published)}"
        content = self.world.contents.make(title, leaf_count, block_bytes, copies, priority, first_content)
        return content.source if self.nodes[node].add(content, linked=linked) else None

    def add_again(self, node: str, source: Source, *, linked: bool = False) -> bool:
        """The user adds something removed before."""
        return self.nodes[node].add(self.world.contents.of(source.root), linked=linked)

    def remove_source(self, node: str, source: Source) -> None:
        self.nodes[node].remove(source.root)

    # --- faults -----------------------------------------------------------------------------------------------------

    def partition(self, *groups: Iterable[str]) -> None:
        """Only members of one group reach each other; those named in none are together."""
        self.network.partition(*([self.nodes[name].gossip_address for name in group] for group in groups))
        self.world.fault()

    def cut(self, source: str, destination: str, *, both: bool = True) -> None:
        self.network.cut(self.nodes[source].gossip_address, self.nodes[destination].gossip_address, both=both)
        self.world.fault()

    def heal(self) -> None:
        self.network.heal()
        self.world.fault()

    def weather(self, conditions: Conditions, stream_failures: float = 0.0) -> None:
        """How well packets and streams pass, for everybody."""
        self.network.conditions = conditions
        self.world.stream_failures = stream_failures
        self.world.is_stormy = conditions.loss > 0.05 or conditions.jitter_seconds > 0.1 or stream_failures > 0.1
        self.world.fault()

    def inject(self, name: str, data: bytes, sender: Address) -> None:
        """A foreign, damaged or repeated packet (S9): the node's state must not change."""
        self.safety.check_inert(self.nodes[name], data, sender)

    # --- time -------------------------------------------------------------------------------------------------------

    def run(self, seconds: float) -> None:
        self.clock.run_for(seconds)

    def run_until(self, problem: Callable[[], str], within_seconds: float, rule: str) -> None:
        """Runs until nothing is the matter any more; an InvariantError with the last answer if that takes too long."""
        look_every_seconds = max(1.0, len(self.nodes) / 100)
        if not self.clock.run_until_true(lambda: not problem(), within_seconds, look_every_seconds=look_every_seconds):
            raise InvariantError(
                f"{rule} at {self.clock.seconds:.3f} s, seed {self.seed}: after {within_seconds:.0f} s {problem()}"
            )

    def settle(self, *, has_exact_plans: bool = True) -> None:
        """Stops all faults of the network and asks for L1, L2 and L3 of the nodes that are up and honest.

        `has_exact_plans`: the planner promises min(copies, nodes) copies where there is room.
        """
        self.heal()
        self.weather(Conditions())
        for node in self.nodes.values():
            self.network.pause(node.gossip_address, 0.0)
            self.network.slow(node.gossip_address, 0.0)
        nodes = self.honest()
        if not nodes:
            return
        self.run(SUSPICION_SECONDS)
        gone = [node for node in self.nodes.values() if not node.is_up]
        grace = self._options.repair_grace_seconds if gone else 0.0
        views_seconds = VIEWS_SECONDS + VIEWS_SECONDS_PER_NODE * max(0, len(self.nodes) - 100)
        within_seconds = views_seconds - SUSPICION_SECONDS + grace
        self.run_until(lambda: liveness.unequal_views(nodes, gone), within_seconds, "L1")
        self.run_until(lambda: liveness.unfinished(self.world, nodes), COPIES_SECONDS, "L2")
        self.run_until(lambda: liveness.unequal_records(nodes), views_seconds, "L1")
        self.run_until(lambda: liveness.unfinished(self.world, nodes), COPIES_SECONDS, "L2")
        if has_exact_plans and len(nodes) == len(self.up()) and not liveness.is_anybody_full(nodes):
            self._fail_if(liveness.copies_missing(self.world, nodes), "L2")
        self._silence()
        self.safety.sweep()

    def _silence(self) -> None:
        before = self.world.counters["blocks_fetched"]
        self.run(SILENCE_SECONDS)
        moved = self.world.counters["blocks_fetched"] - before
        self._fail_if(f"{moved} blocks moved although nothing had happened" if moved else "", "L3")

    def _fail_if(self, problem: str, rule: str) -> None:
        if problem:
            raise InvariantError(f"{rule} at {self.clock.seconds:.3f} s, seed {self.seed}: {problem}")

    @property
    def trace(self) -> tuple[int, int, int]:
        """What two runs of one seed must have in common: events, and checksums of them and of the packets."""
        return self.safety.event_count, self.safety.trace, self.network.trace


def cluster(
    seed: int,
    nodes: int | Sequence[NodeSpec],
    parts: Parts,
    *,
    options: EngineOptions = OPTIONS,
    timings: Timings | None = None,
) -> Cluster:
    """`nodes`: how many, with capacities that differ, or which."""
    if isinstance(nodes, int):
        dice = Random(f"{seed}/capacities")
        nodes = [NodeSpec(dice.choice((256, 512, 1024, 2048)) * MIB) for _ in range(nodes)]
    return Cluster(seed, nodes, parts, options, timings)
