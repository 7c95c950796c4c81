"""Who can say what about whom: refutation, forged records, wild claims, cloned keys. The forger has the cluster's secret."""

from __future__ import annotations

import contextlib
import random
from math import inf

import pytest

from ralnode.api import Address, Liveness, Member, PeerError, Versions
from ralnode.testing.gossip_lab import GossipLab
from ralnode_gossip_swim import exchange, packets
from ralnode_gossip_swim.packets import accusation, alive_rumour, left_rumour
from ralnode_gossip_swim.records import Notary, Signed, read_alive


@pytest.fixture
def lab(swim):
    lab = GossipLab(swim(), 5)
    lab.join_all()
    lab.clock.run_for(10)
    assert lab.everyone_agrees()
    return lab


def stamp_of(lab, node):
    """(boot, incarnation) that node 0 (or 1) knows of that node."""
    observer = lab.nodes[0] if node is not lab.nodes[0] else lab.nodes[1]
    [incarnation] = [m.incarnation for m in observer.running.members() if m.id == node.id]
    return incarnation >> 32, incarnation & 0xFFFFFFFF


def seen(lab, observer, subject):
    return next((m for m in observer.running.members() if m.id == subject.id), None)


@pytest.mark.parametrize("is_dead", [False, True])
def test_wrongly_accused_node_refutes_and_all_believe_it(lab, insider, is_dead):
    victim = lab.nodes[3]
    claim = accusation(is_dead, victim.id, stamp_of(lab, victim), insider.id)
    insider.tell(lab, lab.nodes[0], claim)
    assert lab.opinion(lab.nodes[0], victim) is Liveness.SUSPECT, "heard a moment ago, so not dead whatever he says"
    assert lab.clock.run_until_true(lab.everyone_agrees, 5)
    assert stamp_of(lab, victim)[1] == 1
    assert victim.running.counters()["refutations"] == 1


def test_accused_node_answers_the_accuser_with_a_later_record_at_once(lab, insider):
    victim = lab.nodes[3]
    claim = accusation(False, victim.id, stamp_of(lab, victim), insider.id)
    sent = insider.tell(lab, victim, claim, head=packets.ping(7, victim.id))
    [answer] = [one for one in sent if one.address == insider.address]
    packet = packets.read_packet(insider.sealer.open(answer.data, "h", 0.0).body)
    assert (packet.kind, packet.number) == (packets.Kind.ACK, 7)
    [rumour] = [one for one in packet.rumours if isinstance(one, packets.AliveRumour)]
    assert read_alive(rumour.signed.record).stamp == (1, 1)


def test_who_tells_old_news_hears_the_new_one(lab, insider):
    """Whoever missed a refutation would otherwise hold the node for dead until the next exchange."""
    victim = lab.nodes[3]
    insider.tell(lab, lab.nodes[0], accusation(False, victim.id, (1, 0), insider.id))
    lab.clock.run_for(5)
    for teller in (lab.nodes[0], victim):
        sent = insider.tell(lab, teller, accusation(False, victim.id, (1, 0), insider.id))
        packet = packets.read_packet(insider.sealer.open(sent[-1].data, "h", 0.0).body)
        [rumour] = packet.rumours
        assert read_alive(rumour.signed.record).stamp == (1, 1)


def test_replies_to_a_packet_full_of_old_news_stay_one_packet(lab, insider):
    for node in lab.nodes:
        insider.tell(lab, lab.nodes[0], accusation(False, node.id, (1, 0), insider.id))
    lab.clock.run_for(10)
    old = [accusation(False, node.id, (1, 0), insider.id) for node in lab.nodes * 6]
    sent = insider.tell(lab, lab.nodes[0], *old)
    assert len(sent) == 1


def test_claims_about_an_older_incarnation_are_old_news(lab, insider):
    victim = lab.nodes[3]
    insider.tell(lab, lab.nodes[0], accusation(True, victim.id, (1, 0), insider.id))
    lab.clock.run_for(5)
    assert stamp_of(lab, victim) == (1, 1)
    insider.tell(lab, lab.nodes[0], accusation(True, victim.id, (1, 0), insider.id))
    assert lab.everyone_agrees()


@pytest.mark.parametrize("stamp", [(1, 5), (1, 2**32 - 1), (2**64 - 1, 0)])
def test_claims_about_incarnations_that_never_were_change_nothing(lab, insider, stamp):
    """Else one packet could push a node's incarnation to its end, where it can no longer refute."""
    victim = lab.nodes[3]
    for node in lab.nodes:
        insider.tell(lab, node, accusation(True, victim.id, stamp, insider.id))
    lab.clock.run_for(30)
    assert lab.everyone_agrees() and not lab.deaths(lab.nodes)
    assert stamp_of(lab, victim) == (1, 0)
    assert lab.nodes[0].running.counters()["claims_ahead"] == 1


def test_claims_about_unknown_nodes_change_nothing(lab, insider):
    before = lab.nodes[0].running.exchange()
    insider.tell(lab, lab.nodes[0], accusation(True, b"x" * 32, (1, 0), insider.id))
    assert lab.nodes[0].running.exchange() == before


@pytest.mark.parametrize("how", ["his own key", "garbage", "other text", "other cluster"])
def test_alive_record_with_a_wrong_signature_is_refused(lab, insider, how):
    victim = lab.nodes[3]
    moved = Member(victim.id, "stolen", Address("10.0.0.250", 9090), 10090)
    forged = insider.notary.alive(moved, (1, 9))
    true = Notary(victim.identity).alive(moved, (1, 9))
    foreign = Notary(type(victim.identity)("node3", b"another secret")).alive(moved, (1, 9))
    signed = {
        "his own key": forged,
        "garbage": Signed(forged.record, b"\0" * 64),
        "other text": Signed(forged.record[:-1] + b"\0", true.signature),
        "other cluster": foreign,
    }[how]
    insider.tell(lab, lab.nodes[0], alive_rumour(signed, ""))
    lab.clock.run_for(10)
    assert seen(lab, lab.nodes[0], victim).name == "node3"
    assert stamp_of(lab, victim) == (1, 0)
    assert lab.nodes[0].running.counters()["bad_signatures"] == 1
    assert sum(node.running.counters()["bad_signatures"] for node in lab.nodes[1:]) == 0, "it must not be passed on"


def test_true_record_is_accepted_from_anybody(lab, insider):
    """The table above can fail: the same record with the right signature is believed."""
    victim = lab.nodes[3]
    moved = Member(victim.id, "renamed", victim.address, 10090)
    insider.tell(lab, lab.nodes[0], alive_rumour(Notary(victim.identity).alive(moved, (1, 9)), ""))
    assert seen(lab, lab.nodes[0], victim).name == "renamed"


def test_second_record_of_one_incarnation_is_a_clone_and_not_believed(lab, insider):
    """Else a clone could bring back a node that is dead in that incarnation, and take its address."""
    victim = lab.nodes[3]
    twin = Notary(victim.identity).alive(Member(victim.id, "twin", Address("10.0.0.250", 1), 10090), (1, 0))
    insider.tell(lab, lab.nodes[0], alive_rumour(twin, ""))
    assert seen(lab, lab.nodes[0], victim).name == "node3"
    assert lab.nodes[0].running.counters()["cloned_key"] == 1
    lab.crash(victim)
    assert lab.clock.run_until_true(lambda: lab.opinion(lab.nodes[0], victim) is Liveness.DEAD, 30)
    insider.tell(lab, lab.nodes[0], alive_rumour(twin, ""))
    assert lab.opinion(lab.nodes[0], victim) is Liveness.DEAD


def test_nobody_can_make_another_leave(lab, insider):
    victim = lab.nodes[3]
    forged = insider.notary.left(victim.id, (1, 9))
    for node in lab.nodes:
        insider.tell(lab, node, left_rumour(forged))
    lab.clock.run_for(5)
    assert lab.everyone_agrees()


def test_late_table_of_one_who_has_left_does_not_bring_it_back(lab):
    leaver, other = lab.nodes[3], lab.nodes[0]
    old = leaver.running.exchange()
    lab.leave(leaver)
    lab.clock.run_for(5)
    other.running.exchange_received(old, leaver.id, leaver.address, lab.clock.now())
    assert lab.opinion(other, leaver) is Liveness.LEFT


@pytest.mark.parametrize("state", [1, 2])
def test_accusation_in_a_table_is_refuted_before_the_answer_is_written(lab, state):
    victim, peer = lab.nodes[3], lab.nodes[0]
    rows = [[*own_record(peer), "", 0, 0, None, None], [*own_record(victim), "", state, 5, None, None]]
    victim.running.exchange_received(exchange.cbor2.dumps([1, rows]), peer.id, peer.address, lab.clock.now())
    assert exchange.read(victim.running.exchange()).rows[0].claim.stamp == (1, 1)


def test_those_dead_for_longer_than_a_day_are_not_learned_of(lab, insider, make_insider):
    old, recent = make_insider("old"), make_insider("recent")
    rows = [
        [*insider.alive(), "", 0, 0, None, None],
        [*old.alive(), "", 2, 24 * 3600, None, None],
        [*recent.alive(), "", 2, 24 * 3600 - 60, None, None],
    ]
    node = lab.nodes[0]
    node.running.exchange_received(exchange.cbor2.dumps([1, rows]), insider.id, insider.address, lab.clock.now())
    assert seen(lab, node, old) is None
    assert seen(lab, node, recent).liveness is Liveness.DEAD


def test_sleep_does_not_count_towards_a_suspicion_that_is_confirmed_afterwards(lab, make_insider):
    """The confirmations shorten the wait to 4 s of waking time, not to the 4 s that passed in the hour asleep."""
    observer, suspect = lab.nodes[0], lab.nodes[3]
    one, two, three = (make_insider(name) for name in ("one", "two", "three"))
    lab.network.partition([observer.address])
    one.tell(lab, observer, accusation(False, suspect.id, (1, 0), one.id))
    lab.network.pause(observer.address, 3600)
    lab.clock.run_for(3600.01)
    for accuser in (two, three):
        accuser.tell(lab, observer, accusation(False, suspect.id, (1, 0), accuser.id))
    lab.clock.run_for(2.5)
    assert lab.opinion(observer, suspect) is Liveness.SUSPECT
    lab.clock.run_for(2.5)
    assert lab.opinion(observer, suspect) is Liveness.DEAD


def test_who_left_does_not_refute_any_more(lab):
    leaver, other = lab.nodes[3], lab.nodes[0]
    leaver.running.leave(lab.clock.now())
    stamp = exchange.read(leaver.running.exchange()).rows[0].claim.stamp
    row = [*own_record(leaver), "", 1, 0, None, None]
    table = exchange.cbor2.dumps([1, [[*own_record(other), "", 0, 0, None, None], row]])
    leaver.running.exchange_received(table, other.id, other.address, lab.clock.now())
    [own, *_] = exchange.read(leaver.running.exchange()).rows
    assert (own.state, own.claim.stamp) == (Liveness.LEFT, stamp)
    assert leaver.running.counters()["refutations"] == 0


def own_record(node):
    """The node's own signed record, as its table has it."""
    return exchange.read(node.running.exchange()).rows[0].signed


def test_who_left_does_not_come_back_by_old_records(lab, insider):
    leaver = lab.nodes[3]
    old = alive_rumour(Notary(leaver.identity).alive(Member(leaver.id, "node3", leaver.address, 10090), (1, 0)), "")
    lab.leave(leaver)
    lab.clock.run_for(5)
    for node in lab.running:
        insider.tell(lab, node, old)
        insider.tell(lab, node, accusation(True, leaver.id, (1, 1), insider.id))
    lab.clock.run_for(20)
    assert lab.all_see(lab.running, [leaver], Liveness.LEFT)


def test_a_suspect_that_leaves_does_not_die_of_the_suspicion(lab, insider):
    leaver = lab.nodes[3]
    insider.tell(lab, lab.nodes[0], accusation(False, leaver.id, (1, 0), insider.id))
    assert lab.opinion(lab.nodes[0], leaver) is Liveness.SUSPECT
    lab.leave(leaver)
    lab.clock.run_for(60)
    assert lab.all_see(lab.running, [leaver], Liveness.LEFT)
    assert lab.exchange(lab.nodes[0], lab.nodes[1])


def test_bad_record_in_a_table_does_not_spoil_the_rest(lab, insider, swim):
    """An insider's table: his own true row, a forged one, and a true one that the receiver lacks."""
    newcomer = GossipLab(swim(), 6).nodes[5]
    victim = lab.nodes[3]
    rows = [
        [*insider.alive(), "", 0, 0, None, None],
        [*insider.notary.alive(Member(victim.id, "stolen", victim.address, 1), (1, 9)), "", 0, 0, None, None],
        [
            *Notary(newcomer.identity).alive(Member(newcomer.id, "new", newcomer.address, 1), (1, 0)),
            "",
            0,
            0,
            None,
            None,
        ],
    ]
    table = exchange.cbor2.dumps([1, rows])
    node = lab.nodes[0]
    lab.carry_out(node, node.running.exchange_received(table, insider.id, insider.address, lab.clock.now()))
    assert seen(lab, node, victim).name == "node3"
    assert seen(lab, node, newcomer).name == "new"
    assert seen(lab, node, insider).liveness is Liveness.ALIVE


@pytest.mark.parametrize(
    "spoil",
    [
        lambda row: row[:6],
        lambda row: ["x", *row[1:]],
        lambda row: [row[0], b"short", *row[2:]],
        lambda row: [*row[:2], 5, *row[3:]],
        lambda row: [*row[:3], 4, *row[4:]],
        lambda row: [*row[:3], True, *row[4:]],
        lambda row: [*row[:4], -1, *row[5:]],
        lambda row: [*row[:3], 3, *row[4:]],
        lambda row: [*row[:5], row[0], row[1]],
        lambda row: [b"\x80", *row[1:]],
    ],
)
def test_malformed_rows_refuse_the_whole_table(lab, insider, spoil):
    row = [*insider.alive(), "", 0, 0, None, None]
    node, before = lab.nodes[0], lab.nodes[0].running.exchange()
    good = exchange.cbor2.dumps([1, [row]])
    bad = exchange.cbor2.dumps([1, [row, spoil(row)]])
    with pytest.raises(PeerError, match="nothing was changed"):
        node.running.exchange_received(bad, insider.id, insider.address, lab.clock.now())
    assert node.running.exchange() == before
    assert node.running.exchange_received(good, insider.id, insider.address, lab.clock.now())


def test_signature_checks_per_table_are_bounded_and_the_rest_comes_later(lab, insider, make_insider):
    others = [make_insider(f"extra{n}") for n in range(400)]
    rows = [[*one.alive(), "", 0, 0, None, None] for one in [insider, *others]]
    node = lab.nodes[0]
    counts = []
    for _ in range(2):
        table = exchange.cbor2.dumps([1, rows])
        node.running.exchange_received(table, insider.id, insider.address, lab.clock.now())
        counts.append(len(node.running.members()))
    assert counts == [4 + 256, 4 + 401]
    assert node.running.counters()["rows_deferred"] == 401 - 256


def test_stranger_is_asked_to_introduce_itself(lab, swim):
    """A node that others have forgotten pings them: they do not know it, say so, and then they do."""
    stray = lab.add()
    lab.start(stray)
    table = lab.nodes[0].running.exchange()
    lab.carry_out(stray, stray.running.exchange_received(table, lab.nodes[0].id, lab.nodes[0].address, lab.clock.now()))
    assert seen(lab, lab.nodes[0], stray) is None
    assert lab.clock.run_until_true(lab.everyone_agrees, 10)


def test_restored_backup_gets_a_boot_number_above_its_old_one(lab):
    """The disk was set back: the boot nonce starts below what the others have seen. One exchange mends it."""
    node = lab.nodes[2]
    for _ in range(4):
        lab.restart(node)
    lab.exchange(node, lab.nodes[0])
    lab.clock.run_for(10)
    lab.crash(node)
    node.boot = 1
    lab.start(node)
    lab.exchange(node, lab.nodes[0])
    assert node.running.counters()["boots_renewed"] == 1
    assert lab.clock.run_until_true(lab.everyone_agrees, 30)
    lab.clock.run_for(60)
    assert lab.everyone_agrees()


@pytest.mark.parametrize("boot_ahead", [0, 1])
def test_two_nodes_with_one_key_are_noticed_on_both_sides(lab, boot_ahead):
    original = lab.nodes[2]
    clone = lab.add(original.identity)
    clone.boot = original.boot - 1 + boot_ahead
    lab.start(clone)
    lab.exchange_every(10)
    lab.clock.run_for(90)
    assert clone.running.counters()["cloned_key"] + original.running.counters()["cloned_key"] > 0
    assert sum(node.running.counters()["cloned_key"] for node in lab.nodes) > 1
    renewals = clone.running.counters()["boots_renewed"] + original.running.counters()["boots_renewed"]
    assert renewals <= 2 * (90 / 30 + 1), "they must not chase each other faster than the pause"


def test_loopback_hint_is_not_believed_from_another_machine(lab, insider, make_insider):
    """A node that shares a machine with the subject knows it as 127.0.0.1; to others that is themselves."""
    subject = make_insider("subject")
    unplaced = subject.alive(host="0.0.0.0")
    insider.tell(lab, lab.nodes[0], alive_rumour(unplaced, "127.0.0.1"))
    assert seen(lab, lab.nodes[0], subject) is None
    insider.tell(lab, lab.nodes[0], alive_rumour(unplaced, ""))
    assert seen(lab, lab.nodes[0], subject) is None
    insider.tell(lab, lab.nodes[0], alive_rumour(unplaced, "10.0.0.77"))
    assert seen(lab, lab.nodes[0], subject).address == Address("10.0.0.77", 9090)


def test_packet_from_elsewhere_moves_only_a_node_that_does_not_answer(swim):
    lab = GossipLab(swim(), 4, announce_host="0.0.0.0")
    lab.join_all()
    lab.clock.run_for(10)
    observer, node = lab.nodes[0], lab.nodes[3]
    packet = _next_packet(lab, node, observer)
    observer.running.datagram_received(packet, Address("10.66.6.6", 1), lab.clock.now())
    assert seen(lab, observer, node).address == node.address
    lab.network.detach(node.address)
    lab.clock.run_until_true(lambda: lab.opinion(observer, node) is Liveness.SUSPECT, 30)
    packet = _next_packet(lab, node, observer)
    observer.running.datagram_received(packet, Address("10.0.0.99", 9090), lab.clock.now())
    assert seen(lab, observer, node).address.host == "10.0.0.99"


def _next_packet(lab, source, destination):
    """Takes the next packet between the two off the wire."""
    caught = []
    send = lab.network.send

    def tap(a, b, data):
        if (a, b) == (source.address, destination.address):
            caught.append(data)
        else:
            send(a, b, data)

    lab.network.send = tap
    assert lab.clock.run_until_true(lambda: bool(caught), 30, 0.01)
    lab.network.send = send
    return caught[0]


def test_absurd_versions_are_not_believed(lab, insider):
    author = lab.nodes[3].id
    rumour = packets.cbor2.dumps([5, author[:8], 2**60, 1])
    insider.tell(lab, lab.nodes[0], rumour)
    lab.announce(lab.nodes[3], author, Versions(5, 5))
    lab.clock.run_for(10)
    assert lab.nodes[0].heard[author] == Versions(5, 5)
    assert lab.nodes[0].running.counters()["dropped_malformed"] == 1


def test_unanswered_probe_says_nothing_of_an_incarnation_that_came_meanwhile(lab, insider):
    observer, victim = lab.nodes[0], lab.nodes[3]
    lab.network.partition([observer.address])
    pinged = []

    def wire(source, to, data):
        packet = packets.read_packet(data[53:-16])
        if source == observer.address and packet.kind is packets.Kind.PING:
            pinged.append(packet.target)

    lab.network.send = wire
    assert lab.clock.run_until_true(lambda: pinged[-1:] == [victim.id[:8]], 30, 0.01)
    assert lab.opinion(observer, victim) is Liveness.ALIVE, "it was a probe, no warning to a suspect"
    later = Notary(victim.identity).alive(Member(victim.id, "node3", victim.address, 10090), (1, 1))
    insider.tell(lab, observer, alive_rumour(later, ""))
    failed = observer.running.counters()["probes_failed"]
    assert lab.clock.run_until_true(lambda: observer.running.counters()["probes_failed"] > failed, 20, 0.01)
    assert lab.opinion(observer, victim) is Liveness.ALIVE


def test_ping_for_another_node_is_not_answered(lab, insider):
    """A machine that got a dead one's address must not keep it alive."""
    node, absent = lab.nodes[0], b"x" * 32
    sent = insider.tell(lab, node, head=packets.ping(7, absent))
    assert sent == [] and node.running.counters()["pings_misdirected"] == 1
    assert insider.tell(lab, node, head=packets.ping(8, node.id)) != []


def test_who_has_left_falls_silent(lab):
    leaver = lab.nodes[3]
    lab.carry_out(leaver, leaver.running.leave(lab.clock.now()))
    lab.clock.run_for(10)
    assert leaver.running.wake_at == inf
    assert leaver.running.leave(lab.clock.now()) == []


def test_nobody_is_told_of_its_own_versions(lab, insider):
    node = lab.nodes[0]
    insider.tell(lab, node, packets.versions_rumour(node.id, Versions(99, 99)))
    insider.tell(lab, node, packets.versions_rumour(node.id[:8], Versions(99, 99)))
    assert node.heard == {}


def test_names_too_long_for_the_wire_are_cut_at_a_character(swim):
    lab = GossipLab(swim(), 1)
    node = lab.nodes[0]
    node.running.start(Member(node.id, "ä" * 60, node.address, 1), lab.clock.now())
    [row] = exchange.read(node.running.exchange()).rows
    assert row.claim.name == "ä" * 32


def test_random_tables_never_do_more_than_raise(lab, insider):
    rng = random.Random(5)
    good = lab.nodes[1].running.exchange()
    for _ in range(2000):
        at = rng.randrange(len(good))
        bad = good[:at] + rng.randbytes(rng.randrange(4)) + good[at + rng.randrange(4) :]
        with contextlib.suppress(PeerError):
            lab.nodes[0].running.exchange_received(bad, lab.nodes[1].id, lab.nodes[1].address, lab.clock.now())
    assert len(lab.nodes[0].running.members()) == 4
