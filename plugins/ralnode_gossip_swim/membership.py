"""Who is believed to live: the rules by which claims override each other, suspicion, refutation, and direct contact.

A later stamp wins; at one stamp dead beats suspect beats alive; only the subject can make a later stamp, so only it
can refute. Sends nothing: changes go to `out`, what is to be spread to the rumour queue.
"""

from __future__ import annotations

from collections import Counter
from ipaddress import ip_address

from ralnode.api import GossipOutput, Liveness, Member, MemberChanged, NodeId
from ralnode_gossip_swim import packets
from ralnode_gossip_swim.health import LocalHealth
from ralnode_gossip_swim.myself import Myself
from ralnode_gossip_swim.options import MEMBERS_MAX, SwimOptions
from ralnode_gossip_swim.packets import PREFIX_BYTES, Accusation
from ralnode_gossip_swim.records import Alive, Notary, Signed, read_alive, read_left
from ralnode_gossip_swim.roster import Entry, Roster
from ralnode_gossip_swim.rumours import RumourQueue
from ralnode_gossip_swim.suspicion import begin, minimum_seconds
from ralnode_gossip_swim.timers import Alarm, Timers


class Membership:
    """What this node believes of the others. What it says of itself is in `myself`."""

    def __init__(
        self,
        node: NodeId,
        notary: Notary,
        options: SwimOptions,
        roster: Roster,
        timers: Timers,
        counters: Counter[str],
        out: list[GossipOutput],
    ) -> None:
        self.roster = roster
        self.rumours = RumourQueue()
        self.health = LocalHealth(options.awareness_max)
        self.counters = counters
        self.myself = Myself(node, notary, self.rumours, self.health, counters)
        self._notary = notary
        self._options = options
        self._timers = timers
        self._out = out

    @property
    def fingerprint(self) -> int:
        """Equal on nodes that hold the same nodes, this one included, in the same incarnations for living."""
        return self.roster.fingerprint ^ self.myself.mark

    # --- what is heard

    def hear_alive(self, signed: Signed, hint: str, sender: NodeId, source_host: str, now: float) -> Entry | None:
        """The entry that changed, if any. Raises ValueError on a malformed record."""
        known = self.roster.by_record(signed.record)
        if known is not None or signed.record == self.myself.signed.record:
            self._note_echo(known)
            return None
        claim = read_alive(signed.record)
        if claim.id == self.myself.id:
            self.myself.is_clone(claim.stamp, signed)
            return None
        entry = self.roster.get(claim.id)
        if entry is not None and claim.stamp <= entry.stamp:
            self._notice_equivocation(entry, claim, signed)
            return None
        host = _host(claim, hint, sender, source_host) or (entry.host if entry is not None else "")
        if not host or not self._is_true(claim.id, signed):
            return None
        entry = self._renew(entry, signed, claim, host) if entry is not None else self._introduce(signed, claim, host)
        if entry is not None:
            self._set(entry, Liveness.ALIVE, now)
            self._spread_alive(entry)
        return entry

    def hear_accusation(self, said: Accusation, now: float) -> bytes | None:
        """Returns the rumour that the teller should hear in return, when what he says is out of date.

        Who was heard here a moment ago is not dead whatever others say, but suspect: slow, or cut off from them.
        """
        if said.subject == self.myself.prefix:
            return self.myself.refute(said.stamp)
        entry = self.roster.by_prefix(said.subject)
        if entry is None or not entry.is_live:
            return None
        if said.stamp < entry.stamp:
            return self._alive_rumour(entry)
        if said.stamp > entry.stamp:
            self.counters["claims_ahead"] += 1
        elif said.is_dead and now - entry.heard_at > minimum_seconds(self._options, self.roster.live_count + 1):
            self._die(entry, said.accuser, now)
        else:
            self.suspect(entry, said.accuser, now)
        return None

    def hear_left(self, signed: Signed, now: float) -> None:
        """Raises ValueError on a malformed record."""
        claim = read_left(signed.record)
        if claim.id == self.myself.id:
            self.myself.is_clone(claim.stamp, signed)
            return
        entry = self.roster.get(claim.id)
        if entry is None or claim.stamp <= entry.stamp or not self._is_true(claim.id, signed):
            return
        self._end_suspicion(entry)
        entry.left, entry.stamp, entry.disputed = signed, claim.stamp, False
        self._set(entry, Liveness.LEFT, now if entry.is_live else entry.since)
        self.rumours.put(entry.id, packets.left_rumour(signed))

    def learn_dead(self, signed: Signed, claim: Alive, host: str, since: float) -> None:
        """A node unknown or dead here that a peer's table lists as dead since then: to be remembered, not to be spread."""
        if not host or not self._is_true(claim.id, signed):
            return
        entry = self.roster.get(claim.id)
        entry = self._renew(entry, signed, claim, host) if entry is not None else self._introduce(signed, claim, host)
        if entry is not None:
            self._set(entry, Liveness.DEAD, since)

    # --- what is found out

    def suspect(self, entry: Entry, accuser: bytes, now: float) -> None:
        """`accuser` could not reach it. Another accuser of a suspect confirms."""
        if entry.suspicion is None:
            count = self.roster.live_count + 1
            entry.suspicion = begin(self._options, count, accuser[:PREFIX_BYTES], now)
            self.counters["suspicions"] += 1
            self._set(entry, Liveness.SUSPECT, now)
        elif not entry.suspicion.confirm(accuser[:PREFIX_BYTES]):
            return
        self._timers.arm((Alarm.SUSPICION, entry.id), max(now, entry.suspicion.rings_at(entry.heard_at)))
        self.rumours.put(entry.id, packets.accusation(False, entry.id, entry.stamp, accuser))

    def suspicion_rang(self, node: NodeId, now: float) -> Entry | None:
        """Time to warn the suspect: then it is returned. Or time to condemn it, for nobody has refuted."""
        entry = self.roster.get(node)
        if entry is None or entry.suspicion is None:
            return None
        if not entry.suspicion.is_warned:
            entry.suspicion.is_warned = True
            answer_by = now + self._options.probe_timeout_seconds
            self._timers.arm((Alarm.SUSPICION, node), max(answer_by, entry.suspicion.rings_at(entry.heard_at)))
            return entry
        if now < entry.suspicion.rings_at(entry.heard_at):
            self._timers.arm((Alarm.SUSPICION, node), entry.suspicion.rings_at(entry.heard_at))
        else:
            self._die(entry, self.myself.prefix, now)
        return None

    def met(self, entry: Entry, host: str, now: float) -> None:
        """We have just talked to it over the transport, so it lives; it must still refute what others say."""
        if entry.liveness is Liveness.LEFT:
            return
        if entry.liveness is not Liveness.ALIVE:
            entry.disputed = True
            self._end_suspicion(entry)
        entry.heard_at = now
        self._move(entry, host)
        self._set(entry, Liveness.ALIVE, now)

    def heard_from(self, entry: Entry, host: str, now: float) -> None:
        """A packet of its came from there. The address is believed only when the one that we have does not work."""
        entry.heard_at = now
        if entry.liveness is not Liveness.ALIVE and entry.liveness is not Liveness.LEFT:
            self._move(entry, host)

    def claims_against(self, entry: Entry) -> list[bytes]:
        """What it should hear first, so that it can refute (Lifeguard's buddy system)."""
        if entry.liveness is Liveness.SUSPECT:
            return [packets.accusation(False, entry.id, entry.stamp, self.myself.prefix)]
        if entry.liveness is Liveness.DEAD or entry.disputed:
            return [packets.accusation(True, entry.id, entry.stamp, self.myself.prefix)]
        return []

    def forget(self, node: NodeId) -> None:
        entry = self.roster.get(node)
        if entry is not None and not entry.is_live:
            self.roster.remove(entry)
            self.rumours.drop(node)

    def postpone(self, seconds: float) -> None:
        """This machine was away for so long: no suspect may be condemned for it."""
        for entry in self.roster.entries():
            if entry.suspicion is not None:
                entry.suspicion.since += seconds

    # --- changes

    def _introduce(self, signed: Signed, claim: Alive, host: str) -> Entry | None:
        if len(self.roster) >= MEMBERS_MAX:
            self.counters["members_refused"] += 1
            return None
        entry = Entry(signed, claim, claim.stamp, host, Liveness.DEAD, 0.0)
        self.roster.add(entry)
        return entry

    def _renew(self, entry: Entry, signed: Signed, claim: Alive, host: str) -> Entry:
        self.roster.replace_record(entry, signed, claim)
        entry.stamp, entry.host, entry.left, entry.disputed = claim.stamp, host, None, False
        self._end_suspicion(entry)
        return entry

    def _die(self, entry: Entry, accuser: bytes, now: float) -> None:
        self._end_suspicion(entry)
        self.counters["deaths"] += 1
        self._set(entry, Liveness.DEAD, now)
        self.rumours.put(entry.id, packets.accusation(True, entry.id, entry.stamp, accuser))

    def _end_suspicion(self, entry: Entry) -> None:
        if entry.suspicion is not None:
            entry.suspicion = None
            self._timers.cancel((Alarm.SUSPICION, entry.id))

    def _move(self, entry: Entry, host: str) -> None:
        if entry.host != host and not is_specified(entry.claim.host):
            entry.host = host
            self._publish(entry)

    def _note_echo(self, entry: Entry | None) -> None:
        """Old news. In a large cluster it counts as spread once more by us: that spares half of a mass join's traffic."""
        scale = self.roster.retransmit_scale
        if entry is not None and scale > 2 and entry.liveness is Liveness.ALIVE and len(self.rumours):
            self.rumours.echoed(entry.id, self._options.retransmit_multiplier * scale)

    def _spread_alive(self, entry: Entry) -> None:
        self.rumours.put(entry.id, self._alive_rumour(entry))

    def _alive_rumour(self, entry: Entry) -> bytes:
        return packets.alive_rumour(entry.signed, "" if is_specified(entry.claim.host) else entry.host)

    def _set(self, entry: Entry, liveness: Liveness, since: float) -> None:
        if entry.liveness is not liveness or entry.member is None:
            entry.liveness, entry.since = liveness, since
            self.roster.set_live(entry, live=entry.is_live)
            if entry.is_live:
                self._timers.cancel((Alarm.FORGET, entry.id))
            else:
                self._timers.arm((Alarm.FORGET, entry.id), since + self._options.dead_kept_seconds)
        self._publish(entry)

    def _publish(self, entry: Entry) -> None:
        """Tells the engine, unless only the incarnation is new."""
        self.roster.remark(entry)
        old = entry.member
        boot, incarnation = entry.stamp
        member = Member(
            entry.id,
            entry.claim.name,
            entry.address,
            entry.claim.transport_port,
            entry.liveness,
            boot << 32 | incarnation,
        )
        entry.member = member
        if old is None or _shown(old) != _shown(member):
            self._out.append(MemberChanged(member))

    def _is_true(self, author: NodeId, signed: Signed) -> bool:
        if self._notary.is_true(author, signed):
            return True
        self.counters["bad_signatures"] += 1
        return False

    def _notice_equivocation(self, entry: Entry, claim: Alive, signed: Signed) -> None:
        """Two records of one stamp: two nodes run with one key."""
        if claim.stamp == entry.claim.stamp and self._is_true(claim.id, signed):
            self.counters["cloned_key"] += 1


def is_specified(host: str) -> bool:
    """Whether a node has announced where it is, rather than "wherever you see me"."""
    return host not in ("", "0.0.0.0", "::")


def _host(claim: Alive, hint: str, sender: NodeId, source_host: str) -> str:
    """Where to reach the subject of a record; empty when nobody has said. A stranger's loopback is not ours."""
    if is_specified(claim.host):
        return claim.host
    if sender == claim.id:
        return source_host
    return hint if is_specified(hint) and (not _is_loopback(hint) or _is_loopback(source_host)) else ""


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _shown(member: Member) -> tuple[object, ...]:
    return (member.liveness, member.name, member.address, member.transport_port)
