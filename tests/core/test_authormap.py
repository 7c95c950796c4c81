"""What is known of one author: when it is read from the start again. Merging is in test_catalogue and test_catalogue_laws."""

from ralnode.core.authormap import AuthorMap
from ralnode.core.deltas import DigestEntry


def test_a_reading_from_the_start_that_stood_still_begins_again_with_another_peer() -> None:
    """Found by seed 752141143: a node that had lost its disk never got its own records back."""
    ann = AuthorMap(b"a" * 32)
    ann.known = ann.top_seq = 5
    theirs = DigestEntry(5, 5, 0, 77)
    ann.study(b"b" * 32, theirs)
    assert ann.walk is not None and ann.walk.peer == b"b" * 32
    for _ in range(3):
        ann.study(b"c" * 32, theirs)
    assert ann.walk is not None and ann.walk.peer == b"c" * 32
