"""Rates of traffic, and the use of the disk, as they change with time."""

import asyncio
from typing import Any

import pytest

from ralnode.core.events import UsageMeasured
from ralnode.host.rates import Rates
from ralnode.host.usagewatch import UsageWatch

ME, PEER, OTHER = b"me", b"peer", b"other"


def test_rates_follow_the_traffic_and_die_away() -> None:
    now, traffic = [0.0], {PEER: (0, 0)}
    rates = Rates(ME, lambda: traffic, lambda: now[0])
    for second in range(1, 9):
        now[0] = second
        traffic[PEER] = (1000 * second, 500 * second)
        rates.sample()
    received, sent = rates.per_node[PEER]
    assert (received, sent) == (pytest.approx(1000, rel=0.01), pytest.approx(500, rel=0.01))
    traffic[OTHER] = (0, 80)
    for second in range(9, 30):
        now[0] = second
        rates.sample()
    assert rates.per_node == {PEER: (0.0, 0.0), OTHER: (0.0, 0.0), ME: (0.0, 0.0)}


def test_my_own_rate_is_the_sum_of_all() -> None:
    now, traffic = [0.0], {PEER: (0, 0), OTHER: (0, 0)}
    rates = Rates(ME, lambda: traffic, lambda: now[0])
    rates.sample()
    now[0] = 1.0
    traffic.update({PEER: (100, 10), OTHER: (300, 30)})
    rates.sample()
    assert rates.per_node[ME] == tuple(map(sum, zip(rates.per_node[PEER], rates.per_node[OTHER], strict=True)))
    assert rates.per_node[ME][0] > 0


async def test_usage_is_measured_soon_after_a_change_and_now_and_then(bench: Any) -> None:
    rests: list[int] = []

    async def at_rest() -> None:
        rests.append(len(rests))

    watch = UsageWatch(bench.storage, bench.inbox, at_rest)
    running = asyncio.create_task(watch.run(seconds_min=0.02, seconds_max=0.06))
    for _ in range(50):
        watch.changed()
    assert await bench.until(UsageMeasured) == [UsageMeasured(bench.storage.usage())]
    assert len(bench.inbox) == 0, "a burst of changes is measured once"
    assert not rests, "it was not at rest"
    await bench.until(UsageMeasured)
    await bench.until(UsageMeasured)
    running.cancel()
    assert rests
