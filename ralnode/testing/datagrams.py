"""A lossy datagram network on a virtual clock: loss, duplicates, delay, reordering, cuts, partitions, lag; one seed, one trace.

It carries opaque bytes between addresses and knows no protocol. A simulator that also has streams asks `reachable`
for them, so that a partition cuts both alike. Faults can change at any time; packets on their way keep their fate.
"""

from __future__ import annotations

import random
import zlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from ralnode.api import Address, Instant
from ralnode.testing.clock import VirtualClock

Receiver: TypeAlias = Callable[[bytes, Address, Instant], object]
"""Called with (data, source, now)."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """How one direction of a link behaves. Probabilities are of a packet; delays in seconds."""

    loss: float = 0.0
    duplicates: float = 0.0
    delay_seconds: float = 0.0005
    jitter_seconds: float = 0.0
    """Mean of an exponential extra delay: above zero packets overtake each other."""


class DatagramNetwork:
    """Delivers `send` to whoever is attached at the destination, or loses it.

    `conditions` is the rule for all links (assign it to change it); `set_link` overrides it for one direction.
    """

    def __init__(self, clock: VirtualClock, rng: random.Random, conditions: Conditions | None = None) -> None:
        self.clock = clock
        self.conditions = conditions or Conditions()
        self.counters: Counter[str] = Counter()
        self._rng = rng
        self._receivers: dict[Address, Receiver] = {}
        self._links: dict[tuple[Address, Address], Conditions] = {}
        self._cuts: set[tuple[Address, Address]] = set()
        self._island: dict[Address, int] = {}
        self._lag: dict[Address, float] = {}
        self._paused_until: dict[Address, float] = {}
        self._trace = 0

    # --- ends

    def attach(self, address: Address, receiver: Receiver) -> None:
        """From now on packets for `address` go to `receiver`; replaces an earlier one."""
        self._receivers[address] = receiver

    def detach(self, address: Address) -> None:
        """The machine is off: packets for it are lost, also those on their way."""
        self._receivers.pop(address, None)

    def send(self, source: Address, destination: Address, data: bytes) -> None:
        """Never fails and never delivers at once."""
        self.counters["sent"] += 1
        self.counters["sent_bytes"] += len(data)
        if not self.reachable(source, destination):
            self.counters["cut"] += 1
            return
        link = self._links.get((source, destination), self.conditions) if self._links else self.conditions
        if link.loss and self._rng.random() < link.loss:
            self.counters["lost"] += 1
            return
        self._schedule(link, source, destination, data)
        if link.duplicates and self._rng.random() < link.duplicates:
            self.counters["duplicated"] += 1
            self._schedule(link, source, destination, data)

    # --- faults

    def set_link(self, source: Address, destination: Address, conditions: Conditions | None) -> None:
        """Overrides the conditions of one direction; None takes the override away."""
        if conditions is None:
            self._links.pop((source, destination), None)
        else:
            self._links[source, destination] = conditions

    def cut(self, source: Address, destination: Address, *, both: bool = True) -> None:
        """Nothing passes from source to destination (nor back, unless `both` is False)."""
        self._cuts.add((source, destination))
        if both:
            self._cuts.add((destination, source))

    def partition(self, *islands: Iterable[Address]) -> None:
        """Only members of one island reach each other; addresses named in none form an island of their own together."""
        self._island = {address: number for number, island in enumerate(islands, 1) for address in island}

    def heal(self) -> None:
        """Ends all cuts and partitions; conditions, lag and pauses stay."""
        self._cuts.clear()
        self._island.clear()

    def slow(self, address: Address, lag_seconds: float) -> None:
        """The machine handles everything that much later (its event loop is busy); 0 ends it."""
        self._lag[address] = lag_seconds

    def pause(self, address: Address, seconds: float) -> None:
        """The machine handles nothing for that long, then all that has come (a stop of the process, a GC pause)."""
        self._paused_until[address] = self.clock.seconds + seconds

    # --- questions

    def reachable(self, source: Address, destination: Address) -> bool:
        """Whether the direction is neither cut nor across islands. A stream needs both directions."""
        if self._cuts and (source, destination) in self._cuts:
            return False
        return not self._island or self._island.get(source, 0) == self._island.get(destination, 0)

    def ready_at(self, address: Address, seconds: float) -> float:
        """When that machine gets round to something due at `seconds`: what its timers should wait for, too."""
        return max(seconds + self._lag.get(address, 0.0), self._paused_until.get(address, 0.0))

    @property
    def trace(self) -> int:
        """A checksum of every delivery so far, with its time and order: equal seeds give equal traces."""
        return self._trace

    # --- delivery

    def _schedule(self, link: Conditions, source: Address, destination: Address, data: bytes) -> None:
        delay = link.delay_seconds
        if link.jitter_seconds:
            delay += self._rng.expovariate(1 / link.jitter_seconds)
        arrival = self.clock.seconds + delay
        if self._lag or self._paused_until:
            arrival = self.ready_at(destination, arrival)
        self.clock.call_at(arrival, self._deliver, source, destination, data)

    def _deliver(self, source: Address, destination: Address, data: bytes) -> None:
        receiver = self._receivers.get(destination)
        if receiver is None:
            self.counters["nobody_there"] += 1
            return
        self.counters["delivered"] += 1
        now = self.clock.now()
        self._trace = zlib.crc32(data, zlib.crc32(f"{now.seconds:.9f}{source}{destination}".encode(), self._trace))
        receiver(data, source, now)
