"""Users and accidents, drawn from dice: what a fresh seed does to a cluster. Everything drawn is written down."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final

from ralnode.api import Held, Source
from ralnode.api.limits import MIB
from ralnode.testing.datagrams import Conditions
from ralnode.testing.simulated_node import SimulatedNode
from ralnode.testing.simulation import Cluster, NodeSpec

NODES_MAX: Final = 12
DOWN_MAX: Final = 2
SKEW_MS_MAX: Final = 300_000
PARTITION_SECONDS: Final = (1.0, 45.0, 120.0)
CAPACITIES: Final = (64 * MIB, 256 * MIB, 512 * MIB, 1024 * MIB)


class FaultPlay:
    """Draws acts against a cluster. `diary` has a line for each, to read when a seed fails."""

    def __init__(self, cluster: Cluster, dice: Random) -> None:
        self.cluster = cluster
        self.diary: list[str] = []
        self._dice = dice
        self._sources: list[Source] = []
        self._acts: list[tuple[int, Callable[[], str]]] = [
            (6, self._add),
            (2, self._remove),
            (1, self._add_again),
            (4, self._crash),
            (5, self._restart),
            (1, self._lose_disk),
            (3, self._partition),
            (3, self._heal),
            (1, self._cut),
            (2, self._weather),
            (1, self._pause),
            (1, self._skew),
            (2, self._resize),
            (1, self._rot),
            (1, self._join),
            (1, self._leave),
            (2, self._inject),
        ]

    def play(self, count: int) -> None:
        """That many acts, with time between them; ends with everybody's clock right and the network whole."""
        weights = [weight for weight, _ in self._acts]
        for _ in range(count):
            _, act = self._dice.choices(self._acts, weights)[0]
            self.note(act())
            self.cluster.run(self._dice.choice((0.0, 0.1, 1.0, 3.0, 10.0, 30.0)))
        for node in self.cluster.nodes.values():
            node.skew_ms = 0

    def note(self, line: str) -> None:
        self.diary.append(f"{self.cluster.clock.seconds:9.3f}  {line}")

    # --- users ------------------------------------------------------------------------------------------------------

    def _add(self) -> str:
        node = self._someone_up()
        if node is None:
            return "nobody is up to add anything"
        first_content = None
        if self._sources and self._dice.random() < 0.15:
            first_content = 3 * self._dice.randrange(4)
        source = self.cluster.add_source(
            node.name,
            self._dice.choice((1, 7, 30, 60)),
            copies=self._dice.choice((1, 2, 2, 3)),
            priority=self._dice.choice((0, 0, 5)),
            linked=self._dice.random() < 0.3,
            first_content=first_content,
        )
        if source is None:
            return f"{node.name} has no room for another source"
        self._sources.append(source)
        return f"{node.name} adds {source.name} ({source.leaf_count} leaves, {source.copies} copies)"

    def _remove(self) -> str:
        node = self._someone_up()
        if node is None or not node.mind.sources():
            return "nothing to remove"
        source = self._dice.choice(node.mind.sources())
        self.cluster.remove_source(node.name, source)
        return f"{node.name} removes {source.name}"

    def _add_again(self) -> str:
        node = self._someone_up()
        gone = [source for source in self._sources if not self.cluster.world.is_live(source.root)]
        if node is None or not gone:
            return "nothing to add again"
        source = self._dice.choice(gone)
        fits = self.cluster.add_again(node.name, source, linked=self._dice.random() < 0.3)
        return f"{node.name} adds {source.name} again{'' if fits else ', which does not fit'}"

    def _resize(self) -> str:
        node, capacity_bytes = self._someone_up(), self._dice.choice(CAPACITIES)
        if node is None:
            return "nobody is up to be resized"
        fits = node.resize(capacity_bytes)
        return f"{node.name} gets a capacity of {capacity_bytes // MIB} MiB{'' if fits else ', refused'}"

    def _join(self) -> str:
        if len(self.cluster.nodes) >= NODES_MAX:
            return "no more nodes join"
        return f"{self.cluster.join(NodeSpec(self._dice.choice(CAPACITIES[1:]))).name} joins"

    def _leave(self) -> str:
        node = self._someone_up()
        if node is None or not self._may_lose_one():
            return "nobody may leave"
        node.leave()
        return f"{node.name} leaves for good"

    # --- accidents --------------------------------------------------------------------------------------------------

    def _crash(self) -> str:
        node = self._someone_up()
        if node is None or not self._may_lose_one():
            return "enough nodes are down"
        self.cluster.crash(node.name)
        return f"{node.name} crashes"

    def _lose_disk(self) -> str:
        node = self._someone_up()
        if node is None or not self._may_lose_one():
            return "enough nodes are down"
        self.cluster.crash(node.name, lose_disk=True)
        return f"{node.name} crashes and loses its disk"

    def _restart(self) -> str:
        down = [node for node in self.cluster.nodes.values() if not node.is_up]
        if not down:
            return "everybody is up"
        node = self._dice.choice(down)
        self.cluster.restart(node.name)
        return f"{node.name} starts again"

    def _partition(self) -> str:
        names = list(self.cluster.nodes)
        self._dice.shuffle(names)
        size = self._dice.randrange(1, len(names)) if len(names) > 1 else 0
        seconds = self._dice.choice(PARTITION_SECONDS)
        self.cluster.partition(names[:size], names[size:])
        self.cluster.run(seconds)
        return f"partition of {sorted(names[:size])} from the rest since {seconds:.0f} s"

    def _heal(self) -> str:
        self.cluster.heal()
        return "the network heals"

    def _cut(self) -> str:
        one, other = self._dice.sample(sorted(self.cluster.nodes), 2)
        self.cluster.cut(one, other, both=False)
        return f"nothing gets from {one} to {other} any more"

    def _weather(self) -> str:
        conditions = Conditions(
            loss=self._dice.choice((0.0, 0.01, 0.1, 0.3)),
            duplicates=self._dice.choice((0.0, 0.05)),
            delay_seconds=self._dice.choice((0.0005, 0.02)),
            jitter_seconds=self._dice.choice((0.0, 0.05)),
        )
        failures = self._dice.choice((0.0, 0.05, 0.3))
        self.cluster.weather(conditions, failures)
        return f"weather: {conditions}, {failures:.0%} of streams fail"

    def _pause(self) -> str:
        node, seconds = self._someone_up(), self._dice.choice((2.0, 20.0))
        if node is None:
            return "nobody to pause"
        self.cluster.network.pause(node.gossip_address, seconds)
        self.cluster.world.fault()
        return f"{node.name} stands still for {seconds:.0f} s"

    def _skew(self) -> str:
        node = self._dice.choice(list(self.cluster.nodes.values()))
        node.skew_ms = self._dice.randrange(-SKEW_MS_MAX, SKEW_MS_MAX)
        return f"{node.name}'s clock is {node.skew_ms / 1000:+.0f} s off"

    def _rot(self) -> str:
        node = self._someone_up()
        keys = [key for key in node.disk.owned() if node.disk.held(key) is Held.OWNED] if node else []
        if node is None or not keys:
            return "nothing to rot"
        node.disk.rot(self._dice.choice(keys))
        return f"a block rots on {node.name}"

    def _inject(self) -> str:
        node = self._someone_up()
        if node is None or not self.cluster.world.received:
            return "nobody to attack"
        data, source, receiver, run = self._dice.choice(self.cluster.world.received)
        how = self._dice.choice(("junk", "damaged", "replayed"))
        if how == "junk":
            data = self._dice.randbytes(self._dice.randrange(1, 1200))
        elif how == "damaged":
            at = self._dice.randrange(len(data))
            data = data[:at] + bytes([data[at] ^ 1 << self._dice.randrange(8)]) + data[at + 1 :]
        elif receiver.is_up and receiver.run == run:
            node = self.cluster[receiver.name]
        else:
            return "who could be sent an old packet again has restarted"
        self.cluster.inject(node.name, data, source)
        return f"a packet ({how}) is slipped to {node.name}"

    # --- helpers ----------------------------------------------------------------------------------------------------

    def _someone_up(self) -> SimulatedNode | None:
        up = self.cluster.up()
        return self._dice.choice(up) if up else None

    def _may_lose_one(self) -> bool:
        return len(self.cluster.nodes) - len(self.cluster.up()) < DOWN_MAX and len(self.cluster.up()) > 2
