"""The small parts, each by itself: suspicion times, rumours, timers, the order of probing, options."""

from __future__ import annotations

import random
from collections import Counter
from math import inf

import pytest

from ralnode.api import Address, ConfigError, Liveness, Member, Versions
from ralnode.testing.fake_identity import FakeIdentity
from ralnode_gossip_swim import NullCipher, SwimOptions, packets
from ralnode_gossip_swim.health import LocalHealth
from ralnode_gossip_swim.packets import Kind, read_packet, with_rumours
from ralnode_gossip_swim.post import Post
from ralnode_gossip_swim.records import Notary, read_alive, read_left
from ralnode_gossip_swim.roster import Entry, Roster
from ralnode_gossip_swim.rumours import RumourQueue
from ralnode_gossip_swim.sealing import Sealer
from ralnode_gossip_swim.suspicion import begin
from ralnode_gossip_swim.timers import Alarm, Timers

# --- suspicion


@pytest.mark.parametrize(
    ("count", "confirmations", "seconds"),
    [
        (3, 0, 4.0),
        (4, 0, 24.0),
        (4, 1, 11.38),
        (4, 2, 4.0),
        (10, 2, 4.0),
        (50, 0, 40.78),
        (50, 2, 6.80),
        (1000, 2, 12.0),
    ],
)
def test_suspicion_lasts_as_memberlist_reckons(count, confirmations, seconds):
    suspicion = begin(SwimOptions(), count, b"first", 100.0)
    for number in range(confirmations):
        assert suspicion.confirm(b"%d" % number)
    assert suspicion.until - 100.0 == pytest.approx(seconds, abs=0.01)


def test_only_new_accusers_confirm_and_only_as_many_as_are_needed():
    suspicion = begin(SwimOptions(), 10, b"a", 0.0)
    assert [suspicion.confirm(accuser) for accuser in (b"a", b"b", b"b", b"c", b"d")] == [
        False,
        True,
        False,
        True,
        False,
    ]


def test_a_suspect_that_is_still_heard_gets_more_time_but_not_for_ever():
    suspicion = begin(SwimOptions(), 3, b"a", 0.0)
    assert suspicion.rings_at(0.0) == 1.0, "first it is warned"
    suspicion.is_warned = True
    assert suspicion.rings_at(-inf) == 4.0
    assert suspicion.rings_at(3.0) == 7.0
    assert suspicion.rings_at(1000.0) == 24.0


# --- rumours


def test_least_often_sent_rumours_go_first_and_each_goes_a_limited_number_of_times():
    queue = RumourQueue()
    for name in "abc":
        queue.put(name, name.encode())
    taken = [queue.take(2, 3) for _ in range(5)]
    assert sorted(name for some in taken for name in some) == [b"a"] * 3 + [b"b"] * 3 + [b"c"] * 3
    assert len(queue) == 0 and queue.take(100, 3) == []
    assert taken[0] == [b"a", b"b"] and taken[1] == [b"c", b"a"]


def test_newer_rumour_about_a_subject_replaces_the_older():
    queue = RumourQueue()
    queue.put("x", b"old")
    queue.take(100, 4)
    queue.put("x", b"new")
    assert [queue.take(100, 4) for _ in range(5)] == [[b"new"]] * 4 + [[]]


def test_what_does_not_fit_waits_and_smaller_ones_go():
    queue = RumourQueue()
    queue.put("big", b"x" * 100)
    queue.put("small", b"y")
    assert queue.take(50, 2) == [b"y"]
    assert queue.take(150, 2) == [b"x" * 100, b"y"]


def test_echoes_count_as_sent():
    queue = RumourQueue()
    queue.put("x", b"x")
    for _ in range(3):
        queue.echoed("x", 4)
    assert queue.take(10, 4) == [b"x"] and queue.take(10, 4) == []
    queue.echoed("x", 4)


def test_taking_costs_the_same_however_many_wait():
    queue = RumourQueue()
    for number in range(10_000):
        queue.put(number, b"0123456789abcdef")
    assert len(queue.take(1100, 16)) == 64, "bounded by count"
    assert len(queue.take(160, 16)) == 10, "bounded by room"
    assert len(queue) == 10_000


def test_versions_have_a_third_of_every_packet_while_a_mass_join_goes_on():
    out, rumours = [], RumourQueue()
    sealer = Sealer(FakeIdentity("x"), SwimOptions(), NullCipher, Counter())
    sealer.begin(1, b"salt")
    post = Post(sealer, SwimOptions(), Roster(random.Random(1)), rumours, Counter(), out)
    for number in range(200):
        rumours.put(number, packets.cbor2.dumps([99, bytes(50)]))
    post.send(Address("10.0.0.1", 1), packets.gossip())
    alone = len(cbor_rumours(out[0].data))
    for number in range(200):
        post.spread_versions(number.to_bytes(32, "big"), Versions(1, 1))
    post.send(Address("10.0.0.1", 1), packets.gossip())
    kinds = Counter(rumour[0] for rumour in cbor_rumours(out[1].data))
    assert alone > 18 and kinds[99] == pytest.approx(alone * 2 / 3, abs=1.5) and kinds[5] >= 9


def cbor_rumours(data):
    """The rumours of a packet sealed with the null cipher."""
    return packets.cbor2.loads(data[53:-16])[-1]


# --- timers


def test_timers_ring_in_order_and_can_be_moved_and_cancelled():
    timers = Timers()
    for subject, at in enumerate([5.0, 3.0, 4.0, 3.0]):
        timers.arm((Alarm.RELAY, subject), at)
    timers.arm((Alarm.RELAY, 1), 9.0)
    timers.cancel((Alarm.RELAY, 2))
    assert timers.next_at == 3.0
    rung = []
    while (key := timers.pop(10.0)) is not None:
        rung.append(key[1])
    assert rung == [3, 0, 1] and timers.next_at == inf


def test_timers_that_move_a_million_times_do_not_grow():
    timers = Timers()
    for at in range(100_000):
        timers.arm((Alarm.GOSSIP, 0), float(at))
    assert len(timers._heap) < 100
    assert timers.next_at == 99_999


def test_postponed_timers_keep_their_order_and_others_stay():
    timers = Timers()
    timers.arm((Alarm.PROBE, 0), 1.0)
    timers.arm((Alarm.FORGET, b"x"), 2.0)
    timers.arm((Alarm.RELAY, 1), 1.0)
    timers.postpone(5.0, lambda key: key[0] is not Alarm.FORGET)
    assert [timers.pop(10.0) for _ in range(4)] == [(Alarm.FORGET, b"x"), (Alarm.PROBE, 0), (Alarm.RELAY, 1), None]


# --- roster


def entries(count):
    made = []
    for number in range(count):
        identity = FakeIdentity(str(number))
        signed = Notary(identity).alive(Member(identity.id, "x", Address("10.0.0.1", 1), 2), (1, 0))
        claim = read_alive(signed.record)
        made.append(Entry(signed, claim, claim.stamp, claim.host, Liveness.ALIVE, 0.0))
    return made


@pytest.mark.parametrize("count", [1, 2, 7, 50])
def test_everybody_is_probed_once_per_cycle_and_the_order_changes(count):
    roster = Roster(random.Random(1))
    for entry in entries(count):
        roster.add(entry)
        roster.set_live(entry, live=True)
    while roster._next < len(roster._order):
        roster.next_to_probe()
    cycles = [[roster.next_to_probe().id for _ in range(count)] for _ in range(3)]
    assert all(len(set(cycle)) == count for cycle in cycles)
    assert count < 7 or cycles[0] != cycles[1] != cycles[2]


def test_newcomers_are_probed_within_the_running_cycle_and_the_dead_are_not():
    roster = Roster(random.Random(2))
    old, new = entries(20)[:15], entries(20)[15:]
    for entry in old:
        roster.add(entry)
        roster.set_live(entry, live=True)
    for _ in range(5):
        roster.next_to_probe()
    for entry in new:
        roster.add(entry)
        roster.set_live(entry, live=True)
    roster.set_live(old[3], live=False)
    seen = [roster.next_to_probe() for _ in range(40)]
    assert {entry.id for entry in new} <= {entry.id for entry in seen[:15]}
    assert old[3] not in seen


def test_flapping_nodes_do_not_make_the_order_grow():
    roster = Roster(random.Random(3))
    some = entries(5)
    for entry in some:
        roster.add(entry)
    for _ in range(1000):
        for entry in some:
            roster.set_live(entry, live=False)
            roster.set_live(entry, live=True)
    assert len(roster._order) < 40
    assert {roster.next_to_probe().id for _ in range(60)} == {entry.id for entry in some}


def test_helpers_are_alive_and_not_the_target():
    roster = Roster(random.Random(4))
    some = entries(8)
    for entry in some:
        roster.add(entry)
        roster.set_live(entry, live=True)
    some[1].liveness = Liveness.SUSPECT
    for _ in range(50):
        helpers = roster.helpers(3, besides=some[0])
        assert len(helpers) == 3 and some[0] not in helpers and some[1] not in helpers


# --- packets and records


def test_packets_say_what_was_written():
    node = FakeIdentity("x").id
    rumour = packets.versions_rumour(node[:8], Versions(3, 4))
    for head, kind, number in (
        (packets.ping(7, node), Kind.PING, 7),
        (packets.ack(2**40), Kind.ACK, 2**40),
        (packets.nack(0), Kind.NACK, 0),
        (packets.ping_request(9, node, Address("fe80::1%eth0", 9090)), Kind.PING_REQUEST, 9),
        (packets.gossip(), Kind.GOSSIP, 0),
    ):
        for count in (0, 1, 23, 24, 64):
            packet = read_packet(with_rumours(head, [rumour] * count))
            assert (packet.kind, packet.number) == (kind, number)
            assert [one.versions for one in packet.rumours] == [Versions(3, 4)] * count
    assert read_packet(with_rumours(packets.ping(1, node), [])).target == node[:8]
    request = read_packet(with_rumours(packets.ping_request(1, node, Address("10.1.2.3", 4)), []))
    assert (request.target, request.address) == (node, Address("10.1.2.3", 4))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"\x80",
        b"\x81" * 500,
        packets.cbor2.dumps({1: 2}),
        packets.cbor2.dumps([2, 5, []]),
        packets.cbor2.dumps([1, 9, 1, []]),
        packets.cbor2.dumps([1, 2, -1, []]),
        packets.cbor2.dumps([1, 2, 2**64, []]),
        packets.cbor2.dumps([1, 2, True, []]),
        packets.cbor2.dumps([1, 2, 1]),
        packets.cbor2.dumps([1, 1, 1, b"short", []]),
        packets.cbor2.dumps([1, 3, 1, b"x" * 32, "h", 0, []]),
        packets.cbor2.dumps([1, 3, 1, b"x" * 32, "h" * 100, 5, []]),
        packets.cbor2.dumps([1, 5, 7]),
        packets.cbor2.dumps([1, 5, [7]]),
        packets.cbor2.dumps([1, 5, [[]]]),
        packets.cbor2.dumps([1, 5, [[1, "x", b"y" * 64, ""]]]),
        packets.cbor2.dumps([1, 5, [[1, b"x", b"y" * 63, ""]]]),
        packets.cbor2.dumps([1, 5, [[2, b"x" * 8, 2**64, 0, b"x" * 8]]]),
        packets.cbor2.dumps([1, 5, [[2, b"x" * 8, 1, 2**32, b"x" * 8]]]),
        packets.cbor2.dumps([1, 5, [[2, b"x" * 8, 1, 1.0, b"x" * 8]]]),
        packets.cbor2.dumps([1, 5, [[3, b"x" * 8, 1, 1]]]),
        packets.cbor2.dumps([1, 5, [[4, b"x"]]]),
        packets.cbor2.dumps([1, 5, [[5, b"x" * 9, 1, 1]]]),
        packets.cbor2.dumps([1, 5, [[5, b"x" * 8, -1, 1]]]),
        packets.cbor2.dumps([1, 5, [[5, b"x" * 8, 1, 2**53 + 1]]]),
        packets.cbor2.dumps([1, 5, [[6]] * 65]),
    ],
)
def test_malformed_bodies_are_refused(body):
    with pytest.raises(ValueError):
        read_packet(body)


def test_what_later_versions_add_is_skipped():
    body = packets.cbor2.dumps([1, 5, [[99, "new kind"], [5, b"x" * 8, 1, 2, "new field"]], "new element"])
    [rumour] = read_packet(body).rumours
    assert rumour.versions == Versions(1, 2)


def test_records_keep_what_the_node_said_and_foreign_hands_cannot_change_it():
    identity = FakeIdentity("x")
    notary = Notary(identity)
    signed = notary.alive(Member(identity.id, "attic", Address("fd00::7", 9090), 10090), (5, 6))
    claim = read_alive(signed.record)
    assert claim == (identity.id, (5, 6), "attic", "fd00::7", 9090, 10090)
    assert notary.is_true(identity.id, signed)
    assert not notary.is_true(identity.id, signed._replace(record=signed.record + b"\0"))
    left = notary.left(identity.id, (5, 7))
    assert read_left(left.record) == (identity.id, (5, 7)) and notary.is_true(identity.id, left)
    with pytest.raises(ValueError):
        read_alive(left.record)
    with pytest.raises(ValueError):
        read_left(signed.record)


# --- health and options


def test_local_health_stays_between_one_and_eight():
    health = LocalHealth(8)
    health.change(-5)
    assert health.factor == 1
    health.change(+100)
    assert health.factor == 8
    health.change(-1)
    assert health.factor == 7


@pytest.mark.parametrize(
    "wrong", [{"probe_interval_seconds": 0}, {"gossip_nodes": -1}, {"probe_timeout_seconds": 1.0}, {"nack_share": 1.0}]
)
def test_impossible_options_are_refused_by_name(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        SwimOptions(**wrong)
