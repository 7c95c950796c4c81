"""What nodes say they have, and how copies are counted."""

from dataclasses import replace

import cbor2
import pytest

from ralnode.api import BlockSet, Holding, PeerError, Source
from ralnode.core.holdings import Holdings

ME, ANN, BOB = b"m" * 32, b"a" * 32, b"b" * 32
SOURCE = Source(b"root-1", "film", 100, 10, 100, 1, 50)
OTHER = Source(b"root-2", "book", 100, 4, 100, 1, 50)
CATALOGUE = {SOURCE.root: SOURCE, OTHER.root: OTHER}


def owned(*indexes: int) -> Holding:
    return Holding(True, BlockSet.of(indexes))


def test_copies_are_counted_exactly_by_level() -> None:
    holdings = Holdings(ME, 1)
    holdings.set_mine(SOURCE.root, owned(0, 1, 2))
    ann, bob = Holdings(ANN, 1), Holdings(BOB, 1)
    ann.set_mine(SOURCE.root, owned(1, 2, 3))
    bob.set_mine(SOURCE.root, owned(2))
    holdings.merge(ANN, ann.delta(0, CATALOGUE.get), CATALOGUE.get)
    holdings.merge(BOB, bob.delta(0, CATALOGUE.get), CATALOGUE.get)
    levels = holdings.copies(SOURCE, [ME, ANN, BOB], 2)
    assert [set(level) for level in levels] == [{4, 5, 6, 7, 8, 9}, {0, 3}, {1, 2}]


def test_linked_blocks_are_served_but_count_as_no_copy() -> None:
    holdings = Holdings(ME, 1)
    holdings.set_mine(SOURCE.root, Holding(True, BlockSet.of([1]), BlockSet.full(10) - BlockSet.of([1])))
    assert len(holdings.copies(SOURCE, [ME], 1)[1]) == 1
    assert holdings.servable(SOURCE, [ME]) == BlockSet.full(10)


def test_only_what_changed_since_is_sent() -> None:
    ann, mine = Holdings(ANN, 1), Holdings(ME, 1)
    ann.set_mine(SOURCE.root, owned(1))
    mine.merge(ANN, ann.delta(0, CATALOGUE.get), CATALOGUE.get)
    ann.set_mine(OTHER.root, owned(2))
    delta = ann.delta(mine.known_version(ANN), CATALOGUE.get)
    assert [item[0] for item in cbor2.loads(delta)[3]] == [OTHER.root]
    mine.merge(ANN, delta, CATALOGUE.get)
    assert mine.of(ANN, SOURCE.root) == owned(1)
    assert mine.of(ANN, OTHER.root) == owned(2)


def test_a_restarted_node_replaces_all_that_was_known_of_it() -> None:
    before, mine = Holdings(ANN, 1), Holdings(ME, 1)
    before.set_mine(SOURCE.root, owned(1, 2, 3))
    mine.merge(ANN, before.delta(0, CATALOGUE.get), CATALOGUE.get)
    after = Holdings(ANN, 1000)
    after.set_mine(OTHER.root, owned(0))
    mine.merge(ANN, after.delta(mine.known_version(ANN), CATALOGUE.get), CATALOGUE.get)
    assert not mine.of(ANN, SOURCE.root).owned
    assert mine.of(ANN, OTHER.root) == owned(0)


def test_a_removed_source_is_retracted() -> None:
    ann, mine = Holdings(ANN, 1), Holdings(ME, 1)
    ann.set_mine(SOURCE.root, owned(1))
    mine.merge(ANN, ann.delta(0, CATALOGUE.get), CATALOGUE.get)
    ann.drop_mine(SOURCE.root)
    mine.merge(ANN, ann.delta(mine.known_version(ANN), CATALOGUE.get), CATALOGUE.get)
    assert not mine.of(ANN, SOURCE.root).servable


def test_what_was_said_before_the_record_arrived_is_read_later() -> None:
    ann, mine = Holdings(ANN, 1), Holdings(ME, 1)
    ann.set_mine(SOURCE.root, owned(7))
    mine.merge(ANN, ann.delta(0, CATALOGUE.get), lambda root: None)
    assert not mine.of(ANN, SOURCE.root).owned
    mine.source_arrived(SOURCE)
    assert mine.of(ANN, SOURCE.root) == owned(7)


def test_an_old_answer_does_not_undo_a_newer_one() -> None:
    ann, mine = Holdings(ANN, 1), Holdings(ME, 1)
    ann.set_mine(SOURCE.root, owned(1))
    mine.merge(ANN, ann.delta(0, CATALOGUE.get), CATALOGUE.get)
    known = mine.known_version(ANN)
    ann.set_mine(SOURCE.root, owned(1, 2))
    old = ann.delta(known, CATALOGUE.get)
    ann.set_mine(SOURCE.root, owned(1, 2, 3))
    mine.merge(ANN, ann.delta(known, CATALOGUE.get), CATALOGUE.get)
    mine.merge(ANN, old, CATALOGUE.get)
    assert mine.of(ANN, SOURCE.root) == owned(1, 2, 3)


def test_news_after_something_never_heard_are_not_taken_for_all_there_is() -> None:
    ann, mine = Holdings(ANN, 1), Holdings(ME, 1)
    ann.set_mine(SOURCE.root, owned(1))
    between = ann.version
    ann.set_mine(OTHER.root, owned(2))
    mine.merge(ANN, ann.delta(between, CATALOGUE.get), CATALOGUE.get)
    assert mine.known_version(ANN) == 0
    assert not mine.of(ANN, OTHER.root).owned


def test_who_has_nothing_tells_nothing() -> None:
    ann = Holdings(ANN, 100)
    assert not ann.set_mine(SOURCE.root, Holding())
    assert ann.told_version == 0
    assert not ann.known_versions()
    assert ann.set_mine(SOURCE.root, owned(1))
    assert ann.told_version == ann.known_versions()[ANN] == 101


@pytest.mark.parametrize("first_version", [1000, 5])
def test_who_has_lost_everything_tells_so_once_it_hears_that_others_remember(first_version: int) -> None:
    """Also when its clock has gone back since."""
    before, mine = Holdings(ANN, 100), Holdings(ME, 1)
    before.set_mine(SOURCE.root, owned(1, 2))
    mine.merge(ANN, before.delta(0, CATALOGUE.get), CATALOGUE.get)
    after = Holdings(ANN, first_version)
    assert after.told_version == 0
    assert not after.remembered(0)
    assert after.remembered(mine.known_version(ANN))
    assert after.told_version == first_version
    assert not after.remembered(mine.known_version(ANN))
    mine.merge(ANN, after.delta(mine.known_version(ANN), CATALOGUE.get), CATALOGUE.get)
    assert not mine.of(ANN, SOURCE.root).owned
    assert mine.known_version(ANN) == after.told_version


def test_a_distrusted_block_is_believed_again_when_said_anew() -> None:
    ann, mine = Holdings(ANN, 1), Holdings(ME, 1)
    ann.set_mine(SOURCE.root, owned(1, 2))
    mine.merge(ANN, ann.delta(0, CATALOGUE.get), CATALOGUE.get)
    mine.distrust(ANN, SOURCE.root, BlockSet.of([2]))
    assert set(mine.of(ANN, SOURCE.root).owned) == {1}
    ann.set_mine(SOURCE.root, owned(1, 2, 3))
    mine.merge(ANN, ann.delta(mine.known_version(ANN), CATALOGUE.get), CATALOGUE.get)
    assert set(mine.of(ANN, SOURCE.root).owned) == {1, 2, 3}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        cbor2.dumps({}),
        cbor2.dumps([2, False, 1, []]),
        cbor2.dumps([1, False, -1, []]),
        cbor2.dumps([1, False, 1, [[SOURCE.root, True, b"\x02\xff\xff", b"\x00"]]]),
        cbor2.dumps([1, False, 1, [["text", True, b"\x00", b"\x00"]]]),
        cbor2.dumps([1, False, 1, [[b"r" * 200, True, b"\x00", b"\x00"]]]),
        cbor2.dumps([1, False, 1, [[SOURCE.root]]]),
    ],
)
def test_malformed_holdings_are_refused_whole(data: bytes) -> None:
    mine = Holdings(ME, 1)
    with pytest.raises(PeerError):
        mine.merge(ANN, data, CATALOGUE.get)
    assert mine.known_version(ANN) == 0
    assert not mine.of(ANN, SOURCE.root).owned


def test_what_was_said_of_a_removed_source_does_not_outlive_what_is_said_when_it_comes_back() -> None:
    ann, mine = Holdings(ANN, 1), Holdings(ME, 1)
    ann.set_mine(SOURCE.root, owned(1))
    ann.drop_mine(SOURCE.root)
    mine.merge(ANN, ann.delta(0, {}.get), {}.get)
    ann.set_mine(SOURCE.root, owned(2))
    mine.merge(ANN, ann.delta(mine.known_version(ANN), CATALOGUE.get), CATALOGUE.get)
    mine.source_arrived(SOURCE)
    assert set(mine.of(ANN, SOURCE.root).owned) == {2}


def test_what_a_peer_has_of_a_removed_source_is_remembered_for_when_it_comes_back() -> None:
    """The peer may never hear of the removal, and then has nothing new to say."""
    ann, mine = Holdings(ANN, 1), Holdings(ME, 1)
    ann.set_mine(SOURCE.root, owned(1))
    mine.merge(ANN, ann.delta(0, CATALOGUE.get), CATALOGUE.get)
    mine.source_removed(SOURCE.root)
    assert not mine.of(ANN, SOURCE.root).owned
    mine.source_arrived(SOURCE)
    assert set(mine.of(ANN, SOURCE.root).owned) == {1}
    mine.source_removed(SOURCE.root)
    ann.drop_mine(SOURCE.root)
    mine.merge(ANN, ann.delta(mine.known_version(ANN), CATALOGUE.get), {}.get)
    mine.source_arrived(SOURCE)
    assert not mine.of(ANN, SOURCE.root).owned


def test_what_is_remembered_of_a_removed_source_must_fit_the_source_that_comes_back() -> None:
    ann, mine = Holdings(ANN, 1), Holdings(ME, 1)
    ann.set_mine(SOURCE.root, owned(1, 9))
    mine.merge(ANN, ann.delta(0, CATALOGUE.get), CATALOGUE.get)
    mine.source_removed(SOURCE.root)
    mine.source_arrived(replace(SOURCE, leaf_count=5))
    assert not mine.of(ANN, SOURCE.root).owned


def test_a_word_that_comes_together_with_the_removal_outlives_the_older_one() -> None:
    """The catalogue takes the removal out of a message first, then its holdings are read, then the removal is acted on."""
    ann, mine = Holdings(ANN, 1), Holdings(ME, 1)
    ann.set_mine(SOURCE.root, owned(1))
    mine.merge(ANN, ann.delta(0, CATALOGUE.get), CATALOGUE.get)
    ann.drop_mine(SOURCE.root)
    mine.merge(ANN, ann.delta(mine.known_version(ANN), {}.get), {}.get)
    assert not mine.of(ANN, SOURCE.root).owned
    mine.source_removed(SOURCE.root)
    mine.source_arrived(SOURCE)
    assert not mine.of(ANN, SOURCE.root).owned
    assert mine.known_version(ANN) == ann.version
