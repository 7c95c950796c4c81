"""When a node brings its record up to date and tells how far it has got."""

import pytest

from ralnode.api import Instant, Versions
from ralnode.core.announcing import Announcing


@pytest.mark.parametrize(("node_count", "factor"), [(1, 1.0), (50, 1.0), (200, 4.0), (1000, 20.0)])
def test_in_a_large_cluster_news_are_rarer(node_count: int, factor: float) -> None:
    announcing = Announcing(5.0, 1.0, lambda: node_count)
    announcing.record_soon(Instant(100.0, 0))
    announcing.announce_soon(Instant(100.0, 0))
    assert announcing.record_at == 100.0 + 5.0 * factor
    assert announcing.wake_at == 100.0 + factor


def test_what_a_user_did_is_told_at_once_however_large_the_cluster_is() -> None:
    announcing = Announcing(5.0, 1.0, lambda: 1000)
    announcing.announce_soon(Instant(100.0, 0))
    announcing.announce_soon(Instant(100.0, 0), 0.0)
    assert announcing.is_due(Versions(1, 0), Instant(100.0, 0))
    assert not announcing.is_due(Versions(2, 0), Instant(101.0, 0))
