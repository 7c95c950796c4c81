"""Failure detection: one probe per interval, through others when there is no answer, and helping others with theirs.

Lifeguard: a helper that gets no answer says so (nack); missing nacks mean that this node itself is not well heard, and then it
waits longer before it accuses anybody.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from random import Random

from ralnode.api import Address, NodeId
from ralnode_gossip_swim import packets
from ralnode_gossip_swim.health import LocalHealth
from ralnode_gossip_swim.membership import Membership, is_specified
from ralnode_gossip_swim.options import RELAYS_MAX, SwimOptions
from ralnode_gossip_swim.packets import Packet
from ralnode_gossip_swim.post import Post
from ralnode_gossip_swim.records import Stamp
from ralnode_gossip_swim.roster import Entry
from ralnode_gossip_swim.timers import Alarm, Timers


@dataclass(slots=True)
class _Probe:
    """The one under way."""

    number: int
    entry: Entry
    stamp: Stamp
    helpers: list[NodeId] = field(default_factory=list)
    nacks: list[NodeId] = field(default_factory=list)


@dataclass(slots=True)
class _Relay:
    """A probe that is carried for somebody."""

    target: NodeId
    number: int
    """His."""
    asker: Address
    is_late: bool = False


class Prober:
    """Answers and asks; verdicts go to `Membership.suspect`."""

    def __init__(
        self,
        me: NodeId,
        options: SwimOptions,
        membership: Membership,
        post: Post,
        timers: Timers,
        rng: Random,
    ) -> None:
        self._me = me
        self._options = options
        self._membership = membership
        self._roster = membership.roster
        self._health: LocalHealth = membership.health
        self._counters: Counter[str] = membership.counters
        self._post = post
        self._timers = timers
        self._number = rng.getrandbits(31)
        self._probe: _Probe | None = None
        self._relays: dict[int, _Relay] = {}

    # --- my probes

    def next_interval(self, now: float) -> None:
        """Judges the last probe and begins the next; stops when nobody lives but this node."""
        self._judge(now)
        entry = self._roster.next_to_probe()
        if entry is None:
            return
        factor = self._health.factor
        self._timers.arm((Alarm.PROBE, 0), now + self._options.probe_interval_seconds * factor)
        self._timers.arm((Alarm.DIRECT, 0), now + self._options.probe_timeout_seconds * factor)
        self._probe = _Probe(self._next_number(), entry, entry.stamp)
        self._counters["probes_sent"] += 1
        self._ping(self._probe.number, entry)

    def ask_helpers(self) -> None:
        """The direct ping has had no answer."""
        probe = self._probe
        if probe is None:
            return
        for helper in self._roster.helpers(self._options.indirect_checks, probe.entry):
            probe.helpers.append(helper.id)
            self._counters["probes_indirect"] += 1
            head = packets.ping_request(probe.number, probe.entry.id, probe.entry.address)
            self._post.send(helper.address, head, self._membership.claims_against(helper))

    def warn(self, suspect: Entry) -> None:
        """Tells it what is said of it. Any answer counts as a sign of life, and a refutation ends the suspicion."""
        self._ping(self._next_number(), suspect)

    def _judge(self, now: float) -> None:
        probe, self._probe = self._probe, None
        if probe is None:
            return
        self._counters["probes_failed"] += 1
        self._health.change(len(probe.helpers) - len(probe.nacks) if probe.helpers else 1)
        if probe.entry.is_live and probe.entry.stamp == probe.stamp:
            self._membership.suspect(probe.entry, self._me, now)

    # --- packets

    def pinged(self, packet: Packet, source: Address, first: list[bytes]) -> None:
        """`first`: what the sender should hear before all else."""
        if packet.target != self._me[: packets.PREFIX_BYTES]:
            self._counters["pings_misdirected"] += 1
            return
        self._post.send(source, packets.ack(packet.number), first)

    def acked(self, packet: Packet, sender: NodeId) -> None:
        probe = self._probe
        if probe is not None and packet.number == probe.number:
            if sender == probe.entry.id or sender in probe.helpers:
                self._probe = None
                self._timers.cancel((Alarm.DIRECT, 0))
                self._health.change(-1)
            return
        relay = self._relays.get(packet.number)
        if relay is not None and sender == relay.target:
            self._end_relay(packet.number)
            self._post.send(relay.asker, packets.ack(relay.number))

    def nacked(self, packet: Packet, sender: NodeId) -> None:
        probe = self._probe
        if probe is None or packet.number != probe.number or sender not in probe.helpers:
            return
        if sender not in probe.nacks:
            probe.nacks.append(sender)

    def asked_for_help(self, packet: Packet, source: Address, now: float) -> None:
        if len(self._relays) >= RELAYS_MAX:
            self._counters["relays_refused"] += 1
            return
        known = self._roster.get(packet.target)
        address = known.address if known is not None else packet.address
        if not is_specified(address.host) or packet.target == self._me:
            return
        number = self._next_number()
        self._relays[number] = _Relay(packet.target, packet.number, source)
        wait = self._options.probe_timeout_seconds * self._options.nack_share
        self._timers.arm((Alarm.RELAY, number), now + wait)
        first = self._membership.claims_against(known) if known is not None else []
        self._post.send(address, packets.ping(number, packet.target), first)

    def relay_waited(self, number: int, now: float) -> None:
        """First time: say that there is no answer yet. Second time: give up; a late answer is still passed on between."""
        relay = self._relays.get(number)
        if relay is None:
            return
        if relay.is_late:
            del self._relays[number]
            return
        relay.is_late = True
        self._timers.arm((Alarm.RELAY, number), now + self._options.probe_interval_seconds)
        self._post.send(relay.asker, packets.nack(relay.number))

    def _end_relay(self, number: int) -> None:
        del self._relays[number]
        self._timers.cancel((Alarm.RELAY, number))

    def _ping(self, number: int, entry: Entry) -> None:
        self._post.send(entry.address, packets.ping(number, entry.id), self._membership.claims_against(entry))

    def _next_number(self) -> int:
        self._number += 1
        return self._number
