"""Merging: any order, any repetition, any cut ends in the same catalogue, and what was removed stays removed."""

import random
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ralnode.core.clock import unix_ms_of
from ralnode.testing.authors import DAY_MS, LIMIT_BYTES, Author, make_source, settle

ROOT_1 = make_source(1).root
NAMES = ("ann", "bob", "eve")
SMALL_BYTES = 900
"""Three records: everything is cut."""


@dataclass
class History:
    """Three authors at work, and what the user's last word on each source is."""

    authors: list[Author] = field(default_factory=lambda: [Author(name) for name in NAMES])
    last_word: dict[int, tuple[int, bytes, bool]] = field(default_factory=dict)
    deltas: list[tuple[Author, bytes]] = field(default_factory=list)

    def act(self, who: int, what: str, number: int) -> None:
        author = self.authors[who]
        author.unix_ms += 1
        if what == "add":
            author.add(number, f"{author.name} {author.unix_ms}")
        elif what == "remove":
            author.remove(number)
        elif what == "introduce":
            author.introduce(author.unix_ms)
        elif what == "sync":
            author.pull(self.authors[number % 3], SMALL_BYTES)
        elif what == "crash":
            author.crash()
        elif what == "age":
            self.age()
        self._note(author, number)

    def age(self) -> None:
        """A month in which everybody meets everybody; then some forget their tombstones."""
        settle(self.authors, SMALL_BYTES)
        for author in self.authors:
            author.unix_ms += 31 * DAY_MS
        for author in self.authors[:2]:
            author.tend()

    def _note(self, author: Author, number: int) -> None:
        found = author.catalogue.source_record(make_source(number).root)
        if found is not None:
            word = (found[1].clock, found[0], found[1].deleted)
            self.last_word[number] = max(word, self.last_word.get(number, word))

    def live_roots(self) -> set[bytes]:
        return {make_source(number).root for number, (_, _, deleted) in self.last_word.items() if not deleted}

    def record_deltas(self, limit_bytes: int) -> None:
        """What the authors would answer to somebody who knows nothing, or something."""
        for author in self.authors:
            self.deltas.append((author, author.body_for(Author("new"), limit_bytes)))
            self.deltas.append((author, author.body_for(self.authors[0], limit_bytes)))


acts = st.tuples(
    st.integers(0, 2),
    st.sampled_from(["add", "add", "remove", "introduce", "sync", "sync", "crash"]),
    st.integers(0, 4),
)
acts_with_years = acts | st.tuples(st.just(0), st.just("age"), st.just(0))


def play(steps: list[tuple[int, str, int]], limit_bytes: int = LIMIT_BYTES) -> History:
    history = History()
    for step in steps:
        history.act(*step)
        history.record_deltas(limit_bytes)
    return history


def observe(history: History, name: str, order: random.Random, repeat: int = 1) -> Author:
    """Somebody who hears everything, in some order, parts of it several times."""
    observer = Author(name, unix_ms=max(author.unix_ms for author in history.authors))
    heard = history.deltas * repeat
    order.shuffle(heard)
    for sender, body in heard:
        observer.take(body, sender)
    return observer


def everything(author: Author) -> dict[bytes, bytes]:
    """All records held, whatever is known about how complete they are."""
    return {name: value for name, value in author.disk.items() if name.startswith(b"catalogue/record/")}


@given(st.lists(acts, max_size=25), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=40)
def test_any_order_and_any_repetition_give_the_same_records(
    steps: list[tuple[int, str, int]], order: random.Random
) -> None:
    history = play(steps)
    observers = [observe(history, f"observer {n}", order, repeat=1 + n) for n in range(3)]
    assert everything(observers[0]) == everything(observers[1]) == everything(observers[2])
    for observer in observers:
        assert observer.catalogue.sources() == observers[0].catalogue.sources()
        assert observer.catalogue.node_infos() == observers[0].catalogue.node_infos()


@given(st.lists(acts, max_size=25), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=30)
def test_grouping_does_not_matter(steps: list[tuple[int, str, int]], order: random.Random) -> None:
    """(a with b) with c = a with (b with c): hearing it from somebody who has merged is hearing it."""
    history = play(steps)
    direct = observe(history, "direct", order)
    between = observe(history, "between", order)
    relayed = Author("relayed", unix_ms=between.unix_ms)
    while relayed.pull(between).more:
        pass
    assert everything(relayed) == everything(between) == everything(direct)


@given(st.lists(acts_with_years, max_size=30), st.randoms(use_true_random=False))
@example([(1, "add", 1), (1, "remove", 1), (1, "introduce", 0), (0, "age", 0)], random.Random(0))
@example([(0, "add", 0), (0, "add", 0), (0, "remove", 0), (0, "introduce", 0), (0, "age", 0)], random.Random(1))
@settings(deadline=None, max_examples=50)
def test_all_agree_in_the_end_and_nothing_removed_comes_back(
    steps: list[tuple[int, str, int]], order: random.Random
) -> None:
    """Whatever cut, stale or repeated deltas somebody has heard, years of tombstone collection between them."""
    history = play(steps, SMALL_BYTES)
    observers = [observe(history, f"observer {n}", order) for n in range(2)]
    together = [*history.authors, *observers]
    settle(together, SMALL_BYTES)
    for author in together:
        assert author.catalogue.digest() == together[0].catalogue.digest()
        assert {source.root for source in author.catalogue.sources()} == history.live_roots()
        author.crash()
        assert author.catalogue.digest() == together[0].catalogue.digest()


@given(st.lists(acts_with_years, max_size=30), st.integers(0, 29), st.integers(0, 2))
@settings(deadline=None, max_examples=40)
def test_a_lost_disk_in_the_middle_changes_no_users_word(steps: list[tuple[int, str, int]], at: int, who: int) -> None:
    history = History()
    for index, step in enumerate(steps):
        if index == at:
            settle(history.authors, SMALL_BYTES)
            history.authors[who].crash(lose_disk=True)
            history.authors[who].introduce(index)
            settle(history.authors, SMALL_BYTES)
        history.act(*step)
    settle(history.authors, SMALL_BYTES)
    for author in history.authors:
        assert author.catalogue.digest() == history.authors[0].catalogue.digest()
        assert {source.root for source in author.catalogue.sources()} == history.live_roots()


# --- tombstones -----------------------------------------------------------------------------------------------------


def aged(*authors: Author, days: int = 31) -> None:
    for author in authors:
        author.unix_ms += days * DAY_MS


def held(author: Author, number: int) -> int:
    """How many records about a source are on this author's disk."""
    return sum(make_source(number).root in name for name in everything(author))


def test_a_tombstone_is_forgotten_after_thirty_days_by_everybody() -> None:
    ann, bob = Author("ann"), Author("bob")
    ann.introduce()
    ann.add(1)
    settle([ann, bob])
    ann.remove(1)
    settle([ann, bob])
    aged(ann, bob, days=29)
    ann.tend()
    settle([ann, bob])
    assert held(ann, 1) == held(bob, 1) == 1
    aged(ann, bob, days=2)
    ann.tend()
    settle([ann, bob])
    assert held(ann, 1) == held(bob, 1) == 0
    assert ann.catalogue.sources() == bob.catalogue.sources() == ()


def test_whoever_was_away_while_a_tombstone_came_and_went_loses_the_source_too() -> None:
    ann, bob, eve = Author("ann"), Author("bob"), Author("eve")
    ann.introduce()
    for number in range(5):
        ann.add(number)
    settle([ann, bob, eve])
    ann.remove(1)
    settle([ann, bob])
    aged(ann, bob, eve)
    ann.tend()
    ann.add(7)
    settle([ann, bob])
    assert len(eve.names()) == 5
    settle([eve, bob], SMALL_BYTES)
    assert eve.names() == bob.names() == ["source 0", "source 2", "source 3", "source 4", "source 7"]
    assert eve.catalogue.digest()[ann.id] == bob.catalogue.digest()[ann.id]


def test_whoever_was_away_brings_nothing_back() -> None:
    ann, bob, eve = Author("ann"), Author("bob"), Author("eve")
    ann.introduce()
    ann.add(1)
    settle([ann, bob, eve])
    ann.remove(1)
    settle([ann, bob])
    aged(ann, bob, eve)
    ann.tend()
    settle([ann, bob])
    bob.pull(eve)
    ann.pull(eve)
    settle([ann, bob, eve])
    assert ann.names() == bob.names() == eve.names() == []


def test_a_tombstone_stays_while_an_older_word_of_another_author_would_bring_the_source_back() -> None:
    ann, bob = Author("ann"), Author("bob")
    bob.introduce()
    ann.add(1)
    bob.pull(ann)
    bob.unix_ms += 1000
    bob.remove(1)
    aged(bob)
    bob.tend()
    assert bob.catalogue.is_removed(ROOT_1)
    assert held(bob, 1) == 2
    ann.unix_ms = bob.unix_ms
    ann.introduce()
    settle([ann, bob])  # now ann has said it herself
    aged(ann, bob)
    bob.tend()
    ann.tend()
    settle([ann, bob])
    assert held(ann, 1) == held(bob, 1) == 0
    assert ann.names() == bob.names() == []


def test_a_younger_tombstone_below_an_old_one_is_not_lost() -> None:
    ann, bob = Author("ann"), Author("bob")
    bob.introduce()
    ann.add(1)
    ann.add(2)
    bob.pull(ann)
    bob.remove(1)  # must stay: ann's word is live
    bob.add(3)
    bob.remove(3)  # may go
    aged(bob)
    bob.tend()
    assert held(bob, 3) == 0
    assert bob.catalogue.is_removed(ROOT_1)
    assert bob.names() == ["source 2"]


def test_a_retraction_takes_the_clock_of_the_removal() -> None:
    ann, bob = Author("ann"), Author("bob")
    ann.add(1)
    bob.pull(ann)
    bob.unix_ms += 1000
    bob.remove(1)
    ann.unix_ms += 500_000
    assert ann.pull(bob).own_changed
    found = ann.catalogue.source_record(ROOT_1)
    assert found is not None
    assert unix_ms_of(found[1].clock) == bob.unix_ms


@pytest.mark.parametrize("limit_bytes", [SMALL_BYTES, LIMIT_BYTES])
def test_reading_an_author_again_hides_nothing_meanwhile(limit_bytes: int) -> None:
    ann, bob, eve = Author("ann"), Author("bob"), Author("eve")
    ann.introduce()
    for number in range(20):
        ann.add(number)
    settle([ann, bob, eve])
    ann.remove(5)
    aged(ann, bob, eve)
    ann.tend()
    settle([ann, bob])
    for _ in range(20):
        eve.pull(bob, limit_bytes)
        assert set(eve.names()) >= {f"source {n}" for n in range(20) if n != 5}
    assert "source 5" not in eve.names()


def test_a_liar_cannot_forget_for_the_author() -> None:
    """Only the author's signed number forgets tombstones, and only what is below it."""
    ann, bob, liar = Author("ann"), Author("bob"), Author("liar")
    ann.introduce()
    for number in range(3):
        ann.add(number)
    settle([ann, bob, liar])
    maps = liar.catalogue._maps  # the liar's own program: he may do with it what he likes
    maps[ann.id].gc_seq = 1 << 40
    maps[ann.id].drop(b"source/" + ROOT_1)
    for _ in range(10):
        bob.pull(liar)
        bob.pull(ann)
    assert bob.names() == ["source 0", "source 1", "source 2"]


def after_a_forgotten_removal() -> tuple[Author, Author, Author, bytes, bytes]:
    """Ann removed source 1 and forgot it, bob knows, eve was away; and two deltas of ann's from before."""
    ann, bob, eve = Author("ann"), Author("bob"), Author("eve")
    ann.introduce()
    for number in range(4):
        ann.add(number)
    all_live = ann.body_for(eve)
    settle([ann, bob, eve])
    ann.add(4)
    one_more = ann.body_for(eve)
    ann.remove(1)
    aged(ann, bob, eve)
    ann.tend()
    settle([ann, bob])
    return ann, bob, eve, all_live, one_more


def test_a_stale_record_told_again_brings_nothing_back() -> None:
    _ann, bob, eve, all_live, one_more = after_a_forgotten_removal()
    for body in (all_live, one_more):
        bob.take(body, eve)
        assert "source 1" not in bob.names()
    fresh = Author("fresh", unix_ms=bob.unix_ms)
    settle([fresh, bob])
    fresh.take(all_live, eve)
    assert "source 1" not in fresh.names()


def test_news_above_a_forgotten_tombstone_does_not_hide_that_one_was_missed() -> None:
    _ann, bob, eve, _all_live, one_more = after_a_forgotten_removal()
    version = eve.catalogue.version(_ann.id)
    eve.take(bob.body_for(eve), bob)
    assert eve.catalogue.version(_ann.id) == version
    eve.take(one_more, _ann)
    eve.crash()
    settle([eve, bob])
    assert eve.names() == bob.names()
    assert "source 1" not in eve.names()


def test_a_cut_catalogue_is_not_compared() -> None:
    ann, bob = Author("ann"), Author("bob")
    for number in range(20):
        ann.add(number)
    bob.pull(ann, SMALL_BYTES)
    assert bob.catalogue.digest()[ann.id].fingerprint == 0
    while bob.pull(ann, SMALL_BYTES).more:
        pass
    assert bob.catalogue.digest()[ann.id].fingerprint != 0


def test_rot_below_the_forgotten_tombstones_heals_without_the_author() -> None:
    _ann, bob, eve, _all_live, _one_more = after_a_forgotten_removal()
    settle([bob, eve])
    del eve.disk[next(name for name in everything(eve) if make_source(0).root in name)]
    eve.crash()
    assert "source 0" not in eve.names()
    settle([bob, eve])
    assert eve.names() == bob.names()
    assert "source 0" in eve.names()


def test_an_old_delta_does_not_make_a_cut_catalogue_look_whole() -> None:
    ann, bob = Author("ann"), Author("bob")
    ann.add(0)
    old = ann.body_for(bob)
    for number in range(1, 20):
        ann.add(number)
    bob.pull(ann, SMALL_BYTES)
    bob.take(old, ann)
    assert bob.catalogue.digest()[ann.id].fingerprint == 0


def test_who_heard_the_last_records_from_somebody_incomplete_is_compared_all_the_same() -> None:
    ann, bob, eve = Author("ann"), Author("bob"), Author("eve")
    for number in range(5):
        ann.add(number)
    bob.pull(ann)
    (delta,) = ann.catalogue.delta(eve.id, {}, LIMIT_BYTES)
    lacking = replace(delta, envelopes=(delta.envelopes[0], delta.envelopes[4]), complete=False)
    eve.catalogue.merge(ann.id, [lacking], eve.now)
    assert len(eve.names()) == 2
    eve.pull(bob)
    eve.pull(bob)
    assert eve.names() == ann.names()


def test_a_late_answer_from_before_is_no_part_of_reading_again() -> None:
    """The peer that eve reads from the start had answered her before the removal was forgotten, and that comes late."""
    ann, bob, eve, all_live, _one_more = after_a_forgotten_removal()
    eve.catalogue.delta(ann.id, ann.catalogue.digest(eve.id), 0)
    eve.take(all_live, ann)
    settle([eve, bob])
    assert eve.names() == bob.names()
    assert "source 1" not in eve.names()
