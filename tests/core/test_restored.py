"""A catalogue that starts from an old backup: it agrees with everybody again, and no number is used for two records."""

from __future__ import annotations

from random import Random

import pytest

from ralnode.core import catalogue_state
from ralnode.core.records import trust
from ralnode.testing.authors import DAY_MS, Author, make_source, settle


class Numbers:
    """Every number of an author that anybody has ever seen, with its bytes."""

    def __init__(self, author: Author) -> None:
        self.author = author
        self.used: dict[int, bytes] = {}

    def note(self, *authors: Author) -> None:
        prefix = catalogue_state.PREFIX + b"record/" + self.author.id
        for each in authors:
            for name, envelope in each.disk.items():
                if name.startswith(prefix):
                    assert self.used.setdefault(trust(self.author.id, envelope).seq, envelope) == envelope


def restore(author: Author, backup: dict[bytes, bytes]) -> None:
    author.disk = catalogue_state.restored(backup, author.id)
    author.crash()


def test_an_old_backup_agrees_with_everybody_again() -> None:
    ann, bob = Author("ann"), Author("bob")
    ann.introduce()
    ann.add(1)
    ann.add(2)
    settle([ann, bob])
    backup, numbers = dict(ann.disk), Numbers(ann)
    for capacity_bytes in range(2000, 3500):  # beyond all that was reserved when the backup was made
        ann.introduce(capacity_bytes)
        numbers.note(ann)
    ann.add(3)
    ann.remove(1)
    settle([ann, bob])
    numbers.note(ann, bob)

    restore(ann, backup)
    ann.unix_ms += 60_000
    ann.introduce(9999)
    ann.add(4)
    numbers.note(ann)
    merges = settle([ann, bob])
    numbers.note(ann, bob)
    assert merges < 20
    assert ann.names() == bob.names() == ["source 2", "source 3", "source 4"]
    info = bob.catalogue.node_info(ann.id)
    assert info is not None and info.capacity_bytes == 9999
    assert ann.catalogue.digest() == bob.catalogue.digest()
    ann.add(5)
    settle([ann, bob])
    numbers.note(ann, bob)
    assert "source 5" in bob.names()


def test_the_only_node_of_a_cluster_goes_on_from_its_backup_and_others_may_join_it() -> None:
    ann, bob = Author("ann"), Author("bob")
    ann.introduce()
    ann.add(1)
    restore(ann, dict(ann.disk))
    assert ann.names() == ["source 1"]
    ann.add(2)
    bob.introduce()
    settle([ann, bob])
    assert bob.names() == ann.names() == ["source 1", "source 2"]


@pytest.mark.parametrize("seed", range(60))
def test_any_history_around_a_backup_ends_in_agreement(seed: int) -> None:
    dice = Random(seed)
    authors = [Author(name) for name in ("ann", "bob", "eve")]
    ann, numbers = authors[0], Numbers(authors[0])

    def live(steps: int) -> None:
        for _ in range(steps):
            who = dice.choice(authors)
            who.unix_ms += dice.randrange(1, 5000)
            (who.add if dice.random() < 0.6 else who.remove)(dice.randrange(6))
            if dice.random() < 0.3:
                who.introduce(dice.randrange(10_000))
            if dice.random() < 0.4:
                who.pull(dice.choice([each for each in authors if each is not who]))
            numbers.note(*authors)

    live(dice.randrange(1, 25))
    backup = dict(ann.disk)
    live(dice.randrange(1, 25))
    restore(ann, backup)
    ann.introduce(4321)
    live(dice.randrange(0, 10))
    settle(authors)
    numbers.note(*authors)
    assert ann.names() == authors[1].names() == authors[2].names()
    assert ann.catalogue.digest() == authors[1].catalogue.digest() == authors[2].catalogue.digest()


def test_a_source_removed_after_the_backup_stays_removed_while_its_tombstone_lives() -> None:
    ann, bob = Author("ann"), Author("bob")
    ann.introduce()
    bob.introduce()
    ann.add(1)
    settle([ann, bob])
    backup = dict(ann.disk)
    bob.remove(1)
    settle([ann, bob])
    for author in (ann, bob):
        author.unix_ms += 20 * DAY_MS
        author.tend()
    settle([ann, bob])
    restore(ann, backup)
    ann.introduce(4321)
    settle([ann, bob])
    assert ann.names() == bob.names() == []
    assert ann.catalogue.is_removed(make_source(1).root)
