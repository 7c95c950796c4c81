"""How long a suspect has to refute: long at first, shorter with every independent confirmation (Lifeguard, section IV-B)."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import log, log10
from typing import Final

from ralnode_gossip_swim.options import SwimOptions

_WARNING_SHARE: Final = 0.75
"""Of the minimum, before the end: time for a slow suspect to hear of it from us directly and to answer."""


@dataclass(slots=True)
class Suspicion:
    """One suspect. Times in monotonic seconds."""

    since: float
    minimum: float
    maximum: float
    needed: int
    """Confirmations beside the first accuser that bring the wait down to the minimum."""
    accusers: list[bytes] = field(default_factory=list)
    """Prefixes of the node ids; the first is the one who began it."""
    is_warned: bool = False
    """Whether we have told the suspect ourselves. Gossip of its refutation may have missed us."""

    def confirm(self, accuser: bytes) -> bool:
        """True when this is a new accuser and still counts: then it is worth passing on."""
        if accuser in self.accusers or len(self.accusers) > self.needed:
            return False
        self.accusers.append(accuser)
        return True

    @property
    def until(self) -> float:
        """memberlist's formula: from maximum down to minimum with the logarithm of the confirmations."""
        if not self.needed:
            return self.since + self.minimum
        share = log(len(self.accusers)) / log(self.needed + 1)
        return self.since + max(self.minimum, self.maximum - share * (self.maximum - self.minimum))

    def rings_at(self, heard_at: float) -> float:
        """When to warn it, and then when to condemn it. A suspect whose packets still come, only too late, has the
        minimum from each of them, up to the maximum.
        """
        if not self.is_warned:
            return self.until - _WARNING_SHARE * self.minimum
        return min(self.since + self.maximum, max(self.until, heard_at + self.minimum))


def minimum_seconds(options: SwimOptions, count: int) -> float:
    """The shortest time to refute in a cluster of `count` nodes, this one and the suspect among them."""
    return options.suspicion_multiplier * max(1.0, log10(max(1, count))) * options.probe_interval_seconds


def begin(options: SwimOptions, count: int, accuser: bytes, now_seconds: float) -> Suspicion:
    """As `minimum_seconds`; the first accuser is known."""
    minimum = minimum_seconds(options, count)
    needed = max(0, options.suspicion_multiplier - 2)
    if count - 2 < needed:
        needed = 0
    return Suspicion(now_seconds, minimum, options.suspicion_max_factor * minimum, needed, [accuser])
