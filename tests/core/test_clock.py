"""The hybrid logical clock: always forward, near the wall time, deaf to clocks that are far ahead."""

from hypothesis import given
from hypothesis import strategies as st

from ralnode.api.limits import CLOCK_AHEAD_MS_MAX
from ralnode.core.clock import HybridClock, clock_at, is_too_far_ahead, unix_ms_of

NOW = 1_700_000_000_000


def test_a_tick_holds_the_wall_time() -> None:
    assert unix_ms_of(HybridClock().tick(NOW)) == NOW


def test_ticks_grow_when_the_wall_clock_stands_still_or_goes_back() -> None:
    clock = HybridClock()
    ticks = [clock.tick(now) for now in (NOW, NOW, NOW - 5_000, NOW, NOW + 1)]
    assert ticks == sorted(set(ticks))


def test_what_follows_an_observed_value_is_later_than_it() -> None:
    clock = HybridClock()
    remote = clock_at(NOW + 60_000) + 7
    assert clock.observe(remote, NOW)
    assert clock.tick(NOW) > remote


def test_a_full_counter_overflows_into_the_milliseconds() -> None:
    clock = HybridClock(clock_at(NOW) + 0xFFFF)
    assert clock.tick(NOW) == clock_at(NOW + 1)


def test_a_clock_more_than_ten_minutes_ahead_is_refused() -> None:
    clock = HybridClock()
    clock.tick(NOW)
    before = clock.last
    assert not clock.observe(clock_at(NOW + CLOCK_AHEAD_MS_MAX + 1), NOW)
    assert clock.last == before
    assert clock.observe(clock_at(NOW + CLOCK_AHEAD_MS_MAX), NOW)


def test_after_the_own_clock_was_set_back_by_a_year_ticks_are_credible_again() -> None:
    clock = HybridClock()
    clock.tick(NOW + 365 * 86_400_000)
    assert not is_too_far_ahead(clock.tick(NOW), NOW)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, CLOCK_AHEAD_MS_MAX)), max_size=50))
def test_ticks_are_strictly_ascending_whatever_is_heard(steps: list[tuple[bool, int]]) -> None:
    clock, last = HybridClock(), 0
    for is_remote, offset in steps:
        if is_remote:
            clock.observe(clock_at(NOW + offset), NOW)
        else:
            value = clock.tick(NOW + offset)
            assert value > last
            last = value
