"""`Swim`: the `Gossip` role as a pure state machine. It only routes: packets, timers and tables to the parts that know the rules.

Every call returns what to send and what has changed. No IO, no clock, no dice but `Context.random`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from math import inf
from typing import Final

from ralnode.api import (
    Address,
    ConfigError,
    Context,
    GossipOutput,
    Instant,
    Liveness,
    Member,
    NodeId,
    PeerError,
    Versions,
)
from ralnode_gossip_swim import exchange, packets
from ralnode_gossip_swim.membership import Membership
from ralnode_gossip_swim.merging import Merger
from ralnode_gossip_swim.options import WHOLE_TABLE_MEMBERS, SwimOptions
from ralnode_gossip_swim.packets import (
    Accusation,
    AliveRumour,
    Kind,
    LeftRumour,
    Packet,
    Rumour,
    StrangerRumour,
    VersionsRumour,
)
from ralnode_gossip_swim.post import Post
from ralnode_gossip_swim.probing import Prober
from ralnode_gossip_swim.records import Notary
from ralnode_gossip_swim.roster import Roster
from ralnode_gossip_swim.sealing import AesGcm, CipherMaker, Opened, Sealer
from ralnode_gossip_swim.timers import Alarm, Key, Timers
from ralnode_gossip_swim.versions import VersionBook

_LEAVE_DIRECT_MAX: Final = 64
"""Nodes told of a departure at once; they tell the rest."""

_REPLIES_MAX: Final = 4
"""Corrections in answer to one packet: each is a record of up to 250 bytes."""

_GOSSIP_TIMER: Final[Key] = (Alarm.GOSSIP, 0)
_PROBE_TIMER: Final[Key] = (Alarm.PROBE, 0)

COUNTERS: Final = (
    "packets_received",
    "packets_sent",
    "dropped_wrong_size",
    "dropped_foreign",
    "dropped_flooding",
    "dropped_old_boot",
    "dropped_replayed",
    "dropped_forged",
    "dropped_own_echo",
    "dropped_malformed",
    "bad_signatures",
    "cloned_key",
    "boots_renewed",
    "claims_ahead",
    "probes_sent",
    "probes_indirect",
    "probes_failed",
    "pings_misdirected",
    "relays_refused",
    "suspicions",
    "refutations",
    "deaths",
    "ticks_late",
    "strangers",
    "members_refused",
    "rows_deferred",
    "versions_refused",
)


class Swim:
    """One node's membership. `make_cipher` is for simulations; packets are AES-256-GCM unless it says otherwise."""

    def __init__(self, context: Context, options: SwimOptions, make_cipher: CipherMaker = AesGcm) -> None:
        self._id = context.identity.id
        self._boot_nonce = context.boot_nonce
        self._options = options
        self._rng = context.random
        self._counters: Counter[str] = Counter(dict.fromkeys(COUNTERS, 0))
        self._out: list[GossipOutput] = []
        self._timers = Timers()
        self._roster = Roster(context.random)
        notary = Notary(context.identity)
        self._membership = Membership(self._id, notary, options, self._roster, self._timers, self._counters, self._out)
        self._myself = self._membership.myself
        self._merger = Merger(options, self._membership)
        self._sealer = Sealer(context.identity, options, make_cipher, self._counters)
        rumours = self._membership.rumours
        self._post = Post(self._sealer, options, self._roster, rumours, self._counters, self._out)
        self._prober = Prober(self._id, options, self._membership, self._post, self._timers, context.random)
        self._versions = VersionBook(self._id, self._roster, self._post, self._counters, self._out)
        self._now = 0.0
        self._gossiped_at = -inf
        self._renewed_at = -inf
        self._started = False
        self._differs = True
        """The last peer that we exchanged with holds others for living than we do: whole tables until one agrees."""

    # --- the role

    @property
    def wake_at(self) -> float:
        return self._timers.next_at

    def start(self, me: Member, now: Instant) -> list[GossipOutput]:
        """May be called again when this node's name or address has changed."""
        if me.id != self._id:
            raise ConfigError("gossip was started for another node id than its identity's; nothing was sent")
        if self._started:
            self._myself.change(me)
        else:
            self._started = True
            self._sealer.begin(self._boot_nonce, self._rng.randbytes(4))
            self._myself.begin(me, self._boot_nonce)
        return self._drain(now.seconds)

    def tick(self, now: Instant) -> list[GossipOutput]:
        late = now.seconds - self.wake_at
        if late > self._options.late_tick_seconds:
            self._excuse(late)
        if self._sealer.is_worn:
            self._renew_boot(self._myself.stamp[0])
        while (key := self._timers.pop(now.seconds)) is not None:
            self._ring(key, now.seconds)
        return self._drain(now.seconds)

    def datagram_received(self, data: bytes, sender: Address, now: Instant) -> list[GossipOutput]:
        self._counters["packets_received"] += 1
        opened = self._sealer.open(data, sender.host, now.seconds)
        if opened is None or self._myself.left is not None:
            return []
        try:
            packet = packets.read_packet(opened.body)
        except ValueError:
            self._counters["dropped_malformed"] += 1
            return []
        entry = self._roster.get(opened.sender)
        if entry is not None:
            self._membership.heard_from(entry, sender.host, now.seconds)
        replies: list[bytes] = []
        for rumour in packet.rumours:
            reply = self._hear(rumour, opened.sender, sender, now.seconds)
            if reply is not None and len(replies) < _REPLIES_MAX:
                replies.append(reply)
        self._answer(packet, opened, sender, replies, now.seconds)
        return self._drain(now.seconds)

    def exchange(self) -> bytes:
        mine, entries = self._myself, self._roster.entries()
        if len(self._roster) > WHOLE_TABLE_MEMBERS and not self._differs:
            entries = [entry for entry in entries if entry.disputed]
        return exchange.write(mine.signed, mine.left, entries, self._membership.fingerprint, self._now)

    def exchange_received(self, data: bytes, sender: NodeId, seen_at: Address, now: Instant) -> list[GossipOutput]:
        try:
            rows, fingerprint = exchange.read(data)
        except ValueError as error:
            raise PeerError(f"cannot merge the membership sent by {seen_at}: {error}; nothing was changed") from error
        if rows[0].claim.id != sender:
            raise PeerError(f"cannot merge the membership sent by {seen_at}: it is another node's; nothing was changed")
        rival_boot = self._merger.merge(rows, sender, seen_at.host, now.seconds)
        if rival_boot is not None and now.seconds >= self._renewed_at + self._options.renew_pause_seconds:
            self._renewed_at = now.seconds
            self._renew_boot(rival_boot)
        self._tell_if_disputed(sender)
        self._differs = fingerprint != self._membership.fingerprint
        return self._drain(now.seconds)

    def announce(self, author: NodeId, versions: Versions, now: Instant) -> list[GossipOutput]:
        self._versions.learn(author, versions)
        return self._drain(now.seconds)

    def leave(self, now: Instant) -> list[GossipOutput]:
        if self._myself.left is None:
            farewell = self._myself.leave()
            self._timers.cancel(_PROBE_TIMER)
            for entry in self._roster.sample(_LEAVE_DIRECT_MAX):
                self._post.send(entry.address, packets.gossip(), [farewell])
        return self._drain(now.seconds)

    def members(self) -> Sequence[Member]:
        return [entry.member for entry in self._roster.entries() if entry.member is not None]

    def counters(self) -> Mapping[str, int]:
        """Counts since the start, and the gauges, which tests and simulations want beside them."""
        return {**self._counters, **self.gauges()}

    def gauges(self) -> Mapping[str, int]:
        states = Counter(entry.liveness for entry in self._roster.entries())
        found = {f"members_{state.value}": states[state] for state in Liveness}
        waiting = len(self._membership.rumours) + len(self._post.versions)
        return {**found, "local_health": self._membership.health.score, "rumours_waiting": waiting}

    # --- packets

    def _tell_if_disputed(self, node: NodeId) -> None:
        """Whoever we have just met must refute what others say of it; this does not wait for its turn to be probed."""
        entry = self._roster.get(node)
        if entry is not None and entry.disputed:
            self._post.send(entry.address, packets.gossip(), self._membership.claims_against(entry))

    def _hear(self, rumour: Rumour, sender: NodeId, source: Address, now: float) -> bytes | None:
        """A rumour that the sender should hear in return, if any."""
        try:
            match rumour:
                case VersionsRumour():
                    self._versions.hear(rumour)
                case AliveRumour(signed, host):
                    self._membership.hear_alive(signed, host, sender, source.host, now)
                case Accusation():
                    return self._membership.hear_accusation(rumour, now)
                case LeftRumour(signed):
                    self._membership.hear_left(signed, now)
                case StrangerRumour():
                    return self._myself.introduction()
        except ValueError:
            self._counters["dropped_malformed"] += 1
        return None

    def _answer(self, packet: Packet, opened: Opened, source: Address, replies: list[bytes], now: float) -> None:
        match packet.kind:
            case Kind.PING:
                self._prober.pinged(packet, source, [*self._first_words(opened), *replies])
                return
            case Kind.ACK:
                self._prober.acked(packet, opened.sender)
            case Kind.NACK:
                self._prober.nacked(packet, opened.sender)
            case Kind.PING_REQUEST:
                self._prober.asked_for_help(packet, source, now)
        if replies:
            self._post.send(source, packets.gossip(), replies)

    def _first_words(self, opened: Opened) -> list[bytes]:
        """What the sender should hear before all else: that we do not know it, or what is said against it."""
        entry = self._roster.get(opened.sender)
        if entry is None or entry.claim.stamp[0] < opened.boot:
            self._counters["strangers"] += 1
            return [packets.STRANGER]
        return self._membership.claims_against(entry)

    # --- time

    def _ring(self, key: Key, now: float) -> None:
        alarm, subject = key
        match alarm:
            case Alarm.PROBE:
                self._prober.next_interval(now)
            case Alarm.DIRECT:
                self._prober.ask_helpers()
            case Alarm.GOSSIP:
                self._gossip(now)
            case Alarm.RELAY if isinstance(subject, int):
                self._prober.relay_waited(subject, now)
            case Alarm.SUSPICION if isinstance(subject, bytes):
                suspect = self._membership.suspicion_rang(subject, now)
                if suspect is not None:
                    self._prober.warn(suspect)
            case Alarm.FORGET if isinstance(subject, bytes):
                self._forget(subject)

    def _gossip_or_wait(self, now: float) -> None:
        """News goes out at once when nothing went out just before: on a slow machine a timer would double the delay."""
        next_at = self._gossiped_at + self._options.gossip_interval_seconds
        if now >= next_at:
            self._gossip(now)
            next_at = now + self._options.gossip_interval_seconds
        if self._post.is_waiting:
            self._timers.arm(_GOSSIP_TIMER, next_at)

    def _gossip(self, now: float) -> None:
        self._gossiped_at = now
        for entry in self._roster.sample(self._options.gossip_nodes):
            if self._post.is_waiting:
                self._post.send(entry.address, packets.gossip(), self._membership.claims_against(entry))

    def _forget(self, node: NodeId) -> None:
        self._membership.forget(node)
        self._sealer.forget(node)
        self._versions.forget(node)

    def _excuse(self, late: float) -> None:
        """This machine slept or was busy: what seemed to time out may have been answered."""
        self._counters["ticks_late"] += 1
        self._membership.health.change(+1)
        self._membership.postpone(late)
        self._timers.postpone(late, lambda key: key[0] not in (Alarm.GOSSIP, Alarm.FORGET))

    def _renew_boot(self, boot: int) -> None:
        """Above a boot number that somebody else uses with our key (a restored backup, a cloned disk), or a worn key."""
        self._counters["boots_renewed"] += 1
        boot = max(boot, self._myself.stamp[0]) + 1 + self._rng.randrange(1000)
        self._sealer.begin(boot, self._rng.randbytes(4))
        self._myself.begin_again(boot)

    def _drain(self, now: float) -> list[GossipOutput]:
        """Arms the timers that the present state needs and hands the outputs over."""
        self._now = now
        if self._roster.live_count:
            if _PROBE_TIMER not in self._timers and self._myself.left is None:
                self._timers.arm(_PROBE_TIMER, now + self._rng.random() * self._options.probe_interval_seconds)
            if self._post.is_waiting and _GOSSIP_TIMER not in self._timers:
                self._gossip_or_wait(now)
        out = self._out[:]
        self._out.clear()
        return out
