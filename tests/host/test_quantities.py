"""Sizes and durations as people write them."""

import pytest

from ralnode.host.quantities import parse_duration, parse_size

SIZES = {
    "500 GB": 500 * 10**9,
    "500gb": 500 * 10**9,
    "1.5 TiB": 3 * 2**39,
    "10 B": 10,
    "64 KiB": 65536,
    "1kB": 1000,
    " 2 PB ": 2 * 10**15,
}
DURATIONS = {"10min": 600.0, "90s": 90.0, "1h 30min": 5400.0, "500 ms": 0.5, "2d": 172800.0, "1.5h": 5400.0}


@pytest.mark.parametrize(("text", "size_bytes"), SIZES.items())
def test_sizes_are_read_with_decimal_and_binary_units(text: str, size_bytes: int) -> None:
    assert parse_size(text) == size_bytes


@pytest.mark.parametrize(
    "text", ["", "500", "GB", "-1 GB", "5 G", "1e3 B", "1,5 TB", "1 GB 2 MB", "５ GB", "9" * 50 + " GB"]
)
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        parse_size(text)


@pytest.mark.parametrize(("text", "seconds"), DURATIONS.items())
def test_durations_are_read_in_one_or_several_parts(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "10", "10 m", "min", "-5s", "5s!", "1h30"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)
