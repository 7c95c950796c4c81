"""The catalogue: who has the last word, what is refused, what a restart and a lost disk leave."""

from dataclasses import replace

import pytest

from ralnode.api import NodeInfo
from ralnode.api.limits import RECORDS_PER_AUTHOR_MAX
from ralnode.core import catalogue_state, dagcbor
from ralnode.core.catalogue import Catalogue
from ralnode.core.deltas import Delta, DigestEntry
from ralnode.core.records import SIGNED_PREFIX, NodeRecord, SourceRecord, sign
from ralnode.testing.authors import DAY_MS, LIMIT_BYTES, Author, make_source, settle

ROOT_1 = make_source(1).root


def delta_of(author: Author, *envelopes: bytes, from_seq: int = 0, complete: bool = True) -> Delta:
    return Delta(author.id, from_seq, 0, complete, envelopes)


def signed(author: Author, seq: int, number: int, clock: int = 0) -> bytes:
    record = SourceRecord(make_source(number), clock or (author.unix_ms << 16) + seq)
    return sign(author.identity, seq, record).envelope


# --- who has the last word ------------------------------------------------------------------------------------------


def test_what_one_adds_the_other_sees_after_one_pull() -> None:
    ann, bob = Author("ann"), Author("bob")
    ann.introduce()
    ann.add(1)
    merged = bob.pull(ann)
    assert bob.catalogue.sources() == (make_source(1),)
    assert merged.sources == {ROOT_1: None}
    assert merged.nodes == {ann.id}
    assert bob.catalogue.node_info(ann.id) == NodeInfo(ann.id, "ann", 1000)
    assert bob.catalogue.version(ann.id) == ann.catalogue.version(ann.id) == 2


def test_nothing_travels_between_equal_catalogues() -> None:
    ann, bob = Author("ann"), Author("bob")
    ann.add(1)
    settle([ann, bob])
    assert bob.catalogue.delta(ann.id, ann.catalogue.digest(bob.id), LIMIT_BYTES) == ()
    assert not bob.pull(ann).documents
    assert not bob.catalogue.is_behind(ann.id, ann.catalogue.digest(bob.id))


def test_the_last_writer_wins_whoever_it_is() -> None:
    ann, bob = Author("ann"), Author("bob")
    ann.add(1, "old name")
    bob.pull(ann)
    bob.unix_ms -= 60_000  # a clock that lags does not lose, because it has seen the other's
    bob.add(1, "new name")
    settle([ann, bob])
    assert ann.names() == bob.names() == ["new name"]
    winner = ann.catalogue.source_record(ROOT_1)
    assert winner is not None
    assert winner[0] == bob.id


def test_of_two_writers_at_once_both_sides_choose_the_same() -> None:
    ann, bob = Author("ann"), Author("bob")
    ann.add(1, "ann's")
    bob.add(1, "bob's")
    settle([ann, bob])
    assert ann.names() == bob.names()


def test_a_removed_source_is_gone_everywhere_and_known_as_removed() -> None:
    ann, bob, eve = Author("ann"), Author("bob"), Author("eve")
    ann.add(1)
    settle([ann, bob, eve])
    bob.remove(1)
    settle([ann, bob, eve])
    for author in (ann, bob, eve):
        assert author.catalogue.sources() == ()
        assert author.catalogue.is_removed(ROOT_1)
    assert not ann.catalogue.is_removed(make_source(2).root)


def test_the_change_names_what_was_live_before() -> None:
    ann, bob = Author("ann"), Author("bob")
    ann.add(1)
    bob.pull(ann)
    ann.remove(1)
    assert bob.pull(ann).sources == {ROOT_1: make_source(1)}


def test_a_removed_source_may_be_added_again() -> None:
    ann, bob = Author("ann"), Author("bob")
    ann.add(1)
    settle([ann, bob])
    bob.remove(1)
    settle([ann, bob])
    ann.add(1)
    settle([ann, bob])
    assert bob.names() == ["source 1"]


def test_adding_again_on_one_side_survives_the_retraction_of_another() -> None:
    """Ann comes back after a removal and a new add: her own retraction must not kill the new one."""
    ann, bob, eve = Author("ann"), Author("bob"), Author("eve")
    ann.add(1)
    settle([ann, bob, eve])
    bob.unix_ms += 60_000
    bob.remove(1)
    ann.unix_ms = eve.unix_ms = bob.unix_ms + 60_000
    ann.pull(bob)
    assert ann.catalogue.is_removed(ROOT_1)
    eve.pull(bob)
    eve.unix_ms -= 59_000
    eve.add(1)
    settle([ann, bob, eve])
    assert ann.names() == bob.names() == eve.names() == ["source 1"]


def test_unchanged_facts_make_no_record() -> None:
    ann = Author("ann")
    ann.introduce()
    ann.add(1)
    version = ann.catalogue.version(ann.id)
    ann.introduce()
    ann.add(1)
    ann.remove(2)
    assert ann.catalogue.version(ann.id) == version


def test_a_source_out_of_bounds_changes_nothing() -> None:
    ann = Author("ann")
    with pytest.raises(ValueError, match="name"):
        ann.add(1, "a\nb")
    assert ann.catalogue.sources() == ()
    assert ann.catalogue.version(ann.id) == 0


# --- refusals -------------------------------------------------------------------------------------------------------


def test_a_bad_signature_loses_no_other_record_and_leaves_a_gap_that_is_filled_later() -> None:
    ann, bob = Author("ann"), Author("bob")
    good = [signed(ann, seq, seq) for seq in (1, 2, 3)]
    broken = bytes([*good[1][:-1], good[1][-1] ^ 1])
    merged = bob.catalogue.merge(b"e" * 32, [delta_of(ann, good[0], broken, good[2])], bob.now)
    assert [refusal.reason for refusal in merged.refused] == ["bad signature"]
    assert "bad signature" in str(merged.refused[0])
    assert bob.names() == ["source 1", "source 3"]
    assert bob.catalogue.version(ann.id) == 1
    assert not bob.catalogue.merge(ann.id, [delta_of(ann, *good[1:], from_seq=1)], bob.now).refused
    assert bob.names() == ["source 1", "source 2", "source 3"]
    assert bob.catalogue.version(ann.id) == 3


def test_records_from_the_future_are_refused_until_the_time_comes() -> None:
    ann, bob = Author("ann"), Author("bob")
    ann.unix_ms += 11 * 60_000
    ann.add(1)
    assert [refusal.reason for refusal in bob.pull(ann).refused] == ["clock too far ahead"]
    assert bob.catalogue.version(ann.id) == 0
    bob.unix_ms += 2 * 60_000
    assert not bob.pull(ann).refused
    assert bob.names() == ["source 1"]


def test_a_node_whose_clock_had_run_ahead_is_heard_again_after_tend() -> None:
    ann, bob = Author("ann"), Author("bob")
    ann.unix_ms += 365 * DAY_MS
    ann.introduce()
    ann.add(1)
    ann.unix_ms = bob.unix_ms
    ann.add(2)
    assert len(bob.pull(ann).refused) == 2
    ann.tend()
    assert not bob.pull(ann).refused
    assert bob.names() == ["source 1", "source 2"]
    assert bob.catalogue.version(ann.id) == ann.catalogue.version(ann.id)


def test_records_out_of_order_are_refused() -> None:
    ann, bob = Author("ann"), Author("bob")
    merged = bob.catalogue.merge(ann.id, [delta_of(ann, signed(ann, 2, 2), signed(ann, 1, 1))], bob.now)
    assert "not in order" in merged.refused[0].reason
    assert bob.catalogue.version(ann.id) == 2


def test_a_delta_with_a_gap_before_it_does_not_move_the_version() -> None:
    ann, bob = Author("ann"), Author("bob")
    bob.catalogue.merge(ann.id, [delta_of(ann, signed(ann, 5, 5), from_seq=4)], bob.now)
    assert bob.catalogue.version(ann.id) == 0
    bob.catalogue.merge(ann.id, [delta_of(ann, *(signed(ann, n, n) for n in range(1, 6)))], bob.now)
    assert bob.catalogue.version(ann.id) == 5


def test_a_record_that_cannot_be_read_is_named_kept_and_forwarded() -> None:
    ann, bob, eve = Author("ann"), Author("bob"), Author("eve")
    payload = dagcbor.decode(dagcbor.decode(signed(ann, 1, 1))[0])
    payload[7] = -1
    packed = dagcbor.encode(payload)
    strange = dagcbor.encode([packed, ann.identity.sign(SIGNED_PREFIX + packed)])
    merged = bob.catalogue.merge(ann.id, [delta_of(ann, strange, signed(ann, 2, 2))], bob.now)
    assert [(refusal.seq, refusal.reason[:9]) for refusal in merged.refused] == [(1, "malformed")]
    assert bob.names() == ["source 2"]
    assert bob.catalogue.version(ann.id) == 2
    assert len(eve.pull(bob).refused) == 1
    assert eve.catalogue.digest()[ann.id] == bob.catalogue.digest()[ann.id]


def test_too_many_records_of_one_author_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert RECORDS_PER_AUTHOR_MAX > 100
    monkeypatch.setattr("ralnode.core.catalogue.RECORDS_PER_AUTHOR_MAX", 3)
    ann, bob = Author("ann"), Author("bob")
    for number in range(5):
        ann.add(number)
    merged = bob.pull(ann)
    assert [refusal.reason[:16] for refusal in merged.refused] == ["too many records"] * 2
    assert len(bob.catalogue.sources()) == 3
    ann.add(0, "changed")
    assert "changed" in (bob.pull(ann), bob.names())[1]


def test_too_many_authors_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ralnode.core.catalogue.AUTHORS_MAX", 2)
    ann, bob, eve = Author("ann"), Author("bob"), Author("eve")
    ann.add(1)
    eve.add(2)
    bob.pull(ann)
    assert bob.pull(eve).refused[0].reason.startswith("too many authors")
    assert bob.names() == ["source 1"]


def test_a_peer_that_claims_much_and_sends_nothing_changes_nothing() -> None:
    ann, bob, liar = Author("ann"), Author("bob"), Author("liar")
    ann.add(1)
    bob.pull(ann)
    lie = {ann.id: DigestEntry(1 << 60, 1 << 60, 0, 5), bob.id: DigestEntry(1 << 60, 1 << 60, 0, 5)}
    assert bob.catalogue.is_behind(liar.id, lie)
    bob.catalogue.delta(liar.id, lie, LIMIT_BYTES)
    empty = [Delta(author.id, 0, 1 << 60, True, ()) for author in (ann, bob)]
    merged = bob.catalogue.merge(liar.id, empty, bob.now)
    assert not merged.documents
    ann.add(2)
    settle([ann, bob])
    assert bob.names() == ["source 1", "source 2"]


def test_a_peer_that_leaves_records_out_is_found_out_by_the_fingerprint() -> None:
    ann, bob, liar = Author("ann"), Author("bob"), Author("liar")
    for number in range(1, 4):
        ann.add(number)
    all_three = ann.catalogue.delta(liar.id, {}, LIMIT_BYTES)[0].envelopes
    bob.catalogue.merge(liar.id, [delta_of(ann, all_three[0], all_three[2])], bob.now)
    assert bob.catalogue.version(ann.id) == 3
    assert bob.names() == ["source 1", "source 3"]
    settle([ann, bob])
    assert bob.names() == ["source 1", "source 2", "source 3"]


# --- sizes ----------------------------------------------------------------------------------------------------------


def test_a_large_catalogue_comes_in_pieces_oldest_first_and_the_node_record_at_once() -> None:
    ann, bob = Author("ann"), Author("bob")
    for number in range(50):
        ann.add(number)
    ann.introduce()
    merged = bob.pull(ann, limit_bytes=2000)
    assert merged.more
    assert bob.catalogue.node_info(ann.id) is not None
    assert 0 < bob.catalogue.version(ann.id) < 20
    assert {source.name for source in bob.catalogue.sources()} == {f"source {n}" for n in range(len(bob.names()))}
    count = 1
    while bob.pull(ann, limit_bytes=2000).more:
        count += 1
    assert count < 15
    assert bob.catalogue.digest()[ann.id] == ann.catalogue.digest()[ann.id]


def test_an_author_with_little_to_say_does_not_wait_for_one_with_much() -> None:
    ann, bob, eve = Author("ann"), Author("bob"), Author("eve")
    for number in range(100):
        ann.add(number)
    eve.introduce()
    settle([ann, eve])
    bob.pull(ann, limit_bytes=2000)
    assert bob.catalogue.node_info(eve.id) is not None


# --- restart, crash, lost disk --------------------------------------------------------------------------------------


def test_a_restart_keeps_everything() -> None:
    ann, bob = Author("ann"), Author("bob")
    ann.introduce()
    for number in range(5):
        ann.add(number)
    ann.remove(3)
    bob.add(9)
    settle([ann, bob])
    before = (ann.catalogue.digest(), ann.catalogue.sources(), ann.catalogue.node_infos(), ann.catalogue.clock)
    ann.crash()
    after = (ann.catalogue.digest(), ann.catalogue.sources(), ann.catalogue.node_infos(), ann.catalogue.clock)
    assert after == before
    assert ann.catalogue.is_removed(make_source(3).root)


def test_numbers_that_a_crash_made_forget_are_never_used_for_other_bytes() -> None:
    """The last writes reached a peer but not the disk."""
    ann, bob = Author("ann"), Author("bob")
    ann.add(1)
    kept = dict(ann.disk)
    seen: dict[int, bytes] = {}
    for round_count in range(2500):
        ann.add(2, f"name {round_count}")
        if round_count == 400:
            kept = dict(ann.disk)
        entry = ann.catalogue.delta(bob.id, {ann.id: DigestEntry(1, 1, 0, 0)}, LIMIT_BYTES)[0].envelopes[-1]
        if round_count <= 500:
            seen[ann.catalogue.version(ann.id)] = entry
    ann.disk = kept
    ann.crash()
    ann.add(3)
    assert ann.catalogue.version(ann.id) not in seen
    assert ann.catalogue.version(ann.id) > max(seen)


def test_a_node_that_lost_its_disk_gets_its_own_records_back_and_goes_on_above_them() -> None:
    ann, bob, eve = Author("ann"), Author("bob"), Author("eve")
    ann.introduce(1000)
    for number in range(30):
        ann.add(number)
    settle([ann, bob, eve])
    old_version = ann.catalogue.version(ann.id)
    ann.crash(lose_disk=True)
    ann.introduce(2000)
    ann.add(99)
    settle([ann, bob, eve], limit_bytes=1500)
    for author in (ann, bob, eve):
        assert len(author.names()) == 31
        info = author.catalogue.node_info(ann.id)
        assert info is not None
        assert info.capacity_bytes == 2000
    assert ann.catalogue.version(ann.id) > old_version
    assert any(merged.own_number_jumped and merged.own_changed for merged in ann.merges)


def test_a_lost_disk_does_not_lose_what_only_one_peer_had_heard() -> None:
    ann, bob, eve = Author("ann"), Author("bob"), Author("eve")
    ann.add(1)
    settle([ann, bob, eve])
    ann.add(2)
    eve.pull(ann)
    ann.crash(lose_disk=True)
    ann.introduce()
    ann.pull(bob)  # who knows less than eve: the numbers are used a second time
    ann.add(3)
    settle([ann, bob, eve])
    assert ann.names() == bob.names() == eve.names() == ["source 1", "source 2", "source 3"]


def test_a_removal_survives_the_loss_of_the_disk_of_whoever_said_it() -> None:
    ann, bob = Author("ann"), Author("bob")
    bob.add(1)
    settle([ann, bob])
    ann.remove(1)
    settle([ann, bob])
    ann.crash(lose_disk=True)
    settle([ann, bob])
    assert ann.catalogue.is_removed(ROOT_1)
    assert bob.catalogue.is_removed(ROOT_1)


def test_rot_in_the_documents_is_noticed_and_healed_by_peers() -> None:
    ann, bob, eve = Author("ann"), Author("bob"), Author("eve")
    for number in range(6):
        ann.add(number)
    settle([ann, bob, eve])
    for victim in (bob, ann):
        name = next(name for name in sorted(victim.disk) if make_source(3).root in name and ann.id in name)
        for damage in (victim.disk[name][:40], b"", None):
            if damage is None:
                del victim.disk[name]
            else:
                victim.disk[name] = damage
            victim.crash()
            assert len(victim.catalogue.sources()) == 5
            settle([ann, bob, eve])
            assert len(victim.catalogue.sources()) == 6


def test_a_damaged_reserve_is_no_reason_to_guess() -> None:
    ann = Author("ann")
    ann.add(1)
    ann.disk[catalogue_state.RESERVED] = b"\x00"
    with pytest.raises(ValueError, match="reserved"):
        ann.crash()


def test_foreign_documents_are_left_alone() -> None:
    ann = Author("ann")
    ann.add(1)
    ann.disk |= {b"node/x": b"?", b"catalogue/later/x": b"?", b"ingest/y": b"?"}
    ann.crash()
    assert ann.names() == ["source 1"]


def test_two_nodes_with_one_key_are_noticed_and_do_not_hang() -> None:
    ann, clone, bob = Author("ann"), Author("ann"), Author("bob")
    ann.introduce(1)
    clone.introduce(2)
    for _ in range(20):
        for one, other in ((ann, bob), (bob, ann), (clone, bob), (bob, clone)):
            one.pull(other)
    assert any(merged.own_number_jumped for merged in ann.merges + clone.merges)
    assert bob.catalogue.node_info(ann.id) is not None


def test_equal_numbers_with_different_bytes_end_the_same_everywhere() -> None:
    ann, bob, eve = Author("ann"), Author("bob"), Author("eve")
    one = sign(ann.identity, 1, NodeRecord(NodeInfo(ann.id, "one", 1), 5)).envelope
    two = sign(ann.identity, 1, NodeRecord(NodeInfo(ann.id, "two", 1), 5)).envelope
    bob.save(bob.catalogue.merge(ann.id, [delta_of(ann, one)], bob.now).documents)
    eve.save(eve.catalogue.merge(ann.id, [delta_of(ann, two)], eve.now).documents)
    settle([bob, eve])
    assert bob.catalogue.node_infos() == eve.catalogue.node_infos()


def test_the_record_that_comes_back_is_what_was_sent_byte_for_byte() -> None:
    ann, bob, eve = Author("ann"), Author("bob"), Author("eve")
    items = dagcbor.decode(dagcbor.decode(signed(ann, 1, 1))[0])
    packed = dagcbor.encode([*items, "later"])
    envelope = dagcbor.encode([packed, ann.identity.sign(SIGNED_PREFIX + packed)])
    bob.save(bob.catalogue.merge(ann.id, [delta_of(ann, envelope)], bob.now).documents)
    bob.crash()
    assert bob.catalogue.delta(eve.id, {}, LIMIT_BYTES)[0].envelopes == (envelope,)


def test_a_catalogue_without_documents_is_empty() -> None:
    ann = Author("ann")
    fresh = Catalogue(ann.id, ann.identity)
    fresh.load({})
    assert (fresh.sources(), fresh.node_infos(), fresh.digest(), fresh.clock) == ((), (), {}, 0)
    assert fresh.added_unix_ms(ROOT_1) == 0


def test_when_a_source_was_added_is_known() -> None:
    ann = Author("ann")
    ann.add(1)
    assert ann.catalogue.added_unix_ms(ROOT_1) == ann.unix_ms


def test_changing_the_copies_of_a_source_is_a_change() -> None:
    ann, bob = Author("ann"), Author("bob")
    ann.add(1)
    settle([ann, bob])
    bob.save(bob.catalogue.put_source(replace(make_source(1), copies=3), bob.now))
    settle([ann, bob])
    assert ann.catalogue.sources()[0].copies == 3


def test_twenty_thousand_records_reach_a_new_node_in_linear_time() -> None:
    """Quadratic work anywhere (sorting per round, rescanning per record) would run into the test's time limit."""
    ann, bob = Author("ann"), Author("bob")
    for number in range(20_000):
        ann.add(number)
    rounds = 1
    while bob.pull(ann, limit_bytes=64 * 1024).more:
        rounds += 1
    assert rounds < 100
    assert bob.catalogue.digest()[ann.id] == ann.catalogue.digest()[ann.id]
    bob.crash()
    assert len(bob.catalogue.sources()) == 20_000


def test_equal_digests_of_catalogues_with_gaps_do_not_pass_for_equal_catalogues() -> None:
    """Both know the author up to 1, and each holds something else above a gap."""
    ann, bob, cat = Author("ann"), Author("bob"), Author("cat")
    for reader, number in ((ann, 3), (bob, 4)):
        reader.catalogue.merge(cat.id, [delta_of(cat, signed(cat, 1, 1))], reader.now)
        reader.catalogue.merge(cat.id, [delta_of(cat, signed(cat, number, number), from_seq=number - 1)], reader.now)
    assert ann.digest_of(bob) == ann.catalogue.digest(bob.id)
    bob.pull(ann)
    assert make_source(3) in bob.catalogue.sources()


def test_between_equal_catalogues_nothing_is_looked_at() -> None:
    ann, bob = Author("ann"), Author("bob")
    for author in (ann, bob):
        author.introduce()
    settle([ann, bob])
    assert ann.digest_of(bob) is ann.catalogue.digest(bob.id)
    assert ann.catalogue.delta(bob.id, ann.digest_of(bob), LIMIT_BYTES) == ()
    bob.add(1)
    assert ann.digest_of(bob) is not ann.catalogue.digest(bob.id)
