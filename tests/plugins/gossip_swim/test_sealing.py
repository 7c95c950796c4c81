"""Which packets are opened, and why the others are not."""

from __future__ import annotations

from collections import Counter

import pytest

from ralnode.api.limits import DATAGRAM_BYTES_MAX
from ralnode.testing.fake_identity import FakeIdentity
from ralnode_gossip_swim import AesGcm, NullCipher, SwimOptions
from ralnode_gossip_swim.buckets import Buckets
from ralnode_gossip_swim.options import HOSTS_MAX
from ralnode_gossip_swim.sealing import BODY_BYTES_MAX, Sealer


def make(name="alice", boot=1, salt=b"salt", secret=b"test cluster", cipher=AesGcm, **options):
    sealer = Sealer(FakeIdentity(name, secret), SwimOptions(**options), cipher, Counter())
    sealer.begin(boot, salt)
    return sealer


def opened(receiver, data, now=0.0):
    """The body, or the name of the counter that went up."""
    before = Counter(receiver._counters)
    result = receiver.open(data, "10.0.0.1", now)
    [reason] = (receiver._counters - before) or [""]
    return result.body if result is not None else reason


@pytest.mark.parametrize("cipher", [AesGcm, NullCipher])
@pytest.mark.parametrize("size", [0, 1, BODY_BYTES_MAX])
def test_what_was_sealed_is_opened(cipher, size):
    data = make(cipher=cipher).seal(b"x" * size)
    result = make("bob", cipher=cipher).open(data, "h", 0.0)
    assert (result.sender, result.boot, result.body) == (FakeIdentity("alice").id, 1, b"x" * size)
    assert len(data) <= DATAGRAM_BYTES_MAX


def test_the_body_cannot_be_read_on_the_wire_and_equal_bodies_look_different():
    alice = make()
    one, two = alice.seal(b"secret words"), alice.seal(b"secret words")
    assert b"secret" not in one
    assert one[53:] != two[53:]


@pytest.mark.parametrize(
    ("order", "accepted"),
    [
        ([1, 2, 3], [1, 2, 3]),
        ([1, 1, 2, 2, 1], [1, 2]),
        ([3, 1, 2, 1, 3], [3, 1, 2]),
        ([70, 6, 7, 8], [70, 7, 8]),
        ([70, 7, 7, 71, 7, 8], [70, 7, 71, 8]),
        ([70, 200, 70, 136, 137, 137], [70, 200, 137]),
        ([200, 136], [200]),
        (list(range(150, 0, -1)), list(range(150, 86, -1))),
    ],
)
def test_each_packet_counts_once_and_very_late_ones_not_at_all(order, accepted):
    """The window is 64 packets behind the highest."""
    alice, bob = make(), make("bob")
    packets = {number: alice.seal(str(number).encode()) for number in range(1, max(order) + 1)}
    results = [opened(bob, packets[number]) for number in order]
    assert [int(result) for result in results if isinstance(result, bytes)] == accepted
    assert {result for result in results if isinstance(result, str)} <= {"dropped_replayed"}


def test_every_byte_of_a_packet_is_protected():
    data = make().seal(b"words")
    for at in range(len(data)):
        bob = make("bob")
        assert isinstance(opened(bob, data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]), str)
        assert opened(bob, data) == b"words", "a refused packet must not use up the place of the true one"


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda data: b"", "dropped_wrong_size"),
        (lambda data: data[:68], "dropped_wrong_size"),
        (lambda data: data[:-1], "dropped_forged"),
        (lambda data: data + b"\0", "dropped_forged"),
        (lambda data: data + bytes(DATAGRAM_BYTES_MAX), "dropped_wrong_size"),
        (lambda data: b"\x02" + data[1:], "dropped_foreign"),
        (lambda data: data[:1] + b"tag!" + data[5:], "dropped_foreign"),
    ],
)
def test_refusals_are_counted_by_reason(spoil, reason):
    assert opened(make("bob"), spoil(make().seal(b"some words here"))) == reason


def test_packets_of_another_cluster_are_foreign_and_with_a_stolen_tag_forged():
    foreign, bob = make(secret=b"other"), make("bob")
    data = foreign.seal(b"words")
    assert opened(bob, data) == "dropped_foreign"
    own_tag = make().seal(b"")[1:5]
    assert opened(bob, data[:1] + own_tag + data[5:]) == "dropped_forged"


def test_one_sender_cannot_speak_as_another_without_the_secret():
    data = make().seal(b"words")
    assert opened(make("bob"), data[:5] + FakeIdentity("carol").id + data[37:]) == "dropped_forged"


def test_boot_numbers_only_rise():
    bob = make("bob")
    old, new = make(boot=5), make(boot=6)
    packets = [old.seal(b"a"), old.seal(b"b"), new.seal(b"c"), old.seal(b"d")]
    assert [opened(bob, data) for data in packets] == [b"a", b"b", b"c", "dropped_old_boot"]
    assert opened(bob, packets[2]) == "dropped_replayed"


def test_forged_higher_boot_does_not_shut_out_the_real_sender():
    bob, alice = make("bob"), make(boot=5)
    assert opened(bob, alice.seal(b"a")) == b"a"
    forged = bytearray(alice.seal(b"b"))
    forged[37:45] = (2**63).to_bytes(8, "big")
    assert opened(bob, bytes(forged)) == "dropped_forged"
    assert opened(bob, alice.seal(b"c")) == b"c"


def test_second_user_of_a_key_and_boot_is_refused_and_counted_as_a_clone():
    bob, alice, clone = make("bob"), make(salt=b"aaaa"), make(salt=b"bbbb")
    assert opened(bob, alice.seal(b"a")) == b"a"
    assert opened(bob, clone.seal(b"b")) == "cloned_key"
    assert opened(bob, alice.seal(b"c")) == b"c"


def test_clones_never_use_one_nonce_twice():
    one, two = make(salt=b"aaaa").seal(b"words"), make(salt=b"bbbb").seal(b"words")
    assert one[45:53] != two[45:53]


def test_own_packets_are_an_echo_and_own_key_elsewhere_is_a_clone():
    alice = make()
    assert opened(alice, alice.seal(b"a")) == "dropped_own_echo"
    assert opened(alice, make(boot=2).seal(b"a")) == "cloned_key"
    assert opened(alice, make(salt=b"else").seal(b"a")) == "cloned_key"


def test_flooding_host_is_cut_off_and_let_in_again_with_time():
    bob, alice = make("bob", packets_burst_per_host=10, packets_per_second_per_host=5), make()
    results = [opened(bob, alice.seal(b"a")) for _ in range(12)]
    assert results == [b"a"] * 10 + ["dropped_flooding"] * 2
    assert [opened(bob, alice.seal(b"a"), now=0.4) for _ in range(3)] == [b"a"] * 2 + ["dropped_flooding"]


def test_foreign_packets_use_up_nobodys_allowance():
    bob, alice, foreign = make("bob", packets_burst_per_host=2), make(), make(secret=b"other")
    for _ in range(50):
        opened(bob, foreign.seal(b"a"))
    assert opened(bob, alice.seal(b"a")) == b"a"


def test_invented_senders_cost_a_bounded_number_of_keys():
    made = []

    class Counting(AesGcm):
        def __init__(self, identity, sender, boot):
            made.append(sender)
            super().__init__(identity, sender, boot)

    bob, alice = make("bob", cipher=Counting, strangers_per_second=20), make()
    data = alice.seal(b"words")
    for number in range(500):
        bob.open(data[:5] + number.to_bytes(32, "big") + data[37:], f"10.1.{number}.1", 0.0)
    assert len(made) == 1 + 20
    assert opened(bob, data, now=1.0) == b"words"


def test_known_senders_are_heard_during_such_an_attack():
    bob, alice = make("bob", strangers_per_second=5), make()
    assert opened(bob, alice.seal(b"hello")) == b"hello"
    data = alice.seal(b"words")
    for number in range(100):
        bob.open(data[:5] + number.to_bytes(32, "big") + data[37:], f"10.1.{number}.1", 0.0)
    assert opened(bob, alice.seal(b"still here")) == b"still here"


def test_buckets_remember_a_bounded_number_of_hosts():
    buckets = Buckets(1, 1)
    for number in range(HOSTS_MAX + 100):
        assert buckets.take(str(number), 0.0)
    assert len(buckets._hosts) == HOSTS_MAX
    assert not buckets.take(str(HOSTS_MAX + 99), 0.0)


def test_a_worn_key_is_noticed_long_before_its_counter_ends():
    alice = make()
    assert not alice.is_worn
    alice._count = 2**32 - 500_000
    assert alice.is_worn
