"""`make_lan(count)`: a LAN of real processes that is taken down after the test; skips with the reason where that is not allowed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from ralnode.testing.lan.lan import Lan, LanUnavailableError


@pytest.fixture
def make_lan() -> Iterator[Callable[..., Lan]]:
    lans: list[Lan] = []

    def make(count: int, seed: int = 0) -> Lan:
        try:
            lans.append(Lan(count, seed))
        except LanUnavailableError as reason:
            pytest.skip(f"network namespaces are not permitted here: {reason}")
        return lans[-1]

    yield make
    for lan in lans:
        lan.close()
