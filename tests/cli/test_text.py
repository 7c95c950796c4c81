from __future__ import annotations

import pytest

from ralnode.cli.render.nodes import bar
from ralnode.cli.text import clean, count, duration, size


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain name", "plain name"),
        ("Grüße 海辺", "Grüße 海辺"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("two\nlines\ttab", r"two\nlines\ttab"),
        ("right\u202eto left", r"right\u202eto left"),
        ("not utf-8 \udcff", r"not utf-8 \udcff"),
    ],
)
def test_a_name_cannot_steer_the_terminal(text: str, shown: str) -> None:
    assert clean(text) == shown


@pytest.mark.parametrize(
    ("bytes_", "shown"),
    [
        (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (1234567, "1.2 MB"), (99_940_000, "99.9 MB"),
        (99_960_000, "100 MB"), (999_600_000, "1.0 GB"), (5 * 10**17, "500 PB"), (5 * 10**18, "5000 PB"),
    ],
)  # fmt: skip
def test_sizes_have_three_digits_and_decimal_units(bytes_: int, shown: str) -> None:
    assert size(bytes_) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.4, "0 s"), (59.4, "59 s"), (61, "1 min"), (7500, "2 h 5 min"), (90000, "1 d 1 h"), (-3, "0 s")],
)
def test_durations(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


def test_counts_have_the_right_number() -> None:
    assert (count(1, "file"), count(1204, "file"), count(2, "entry", "entries")) == (
        "1 file",
        "1,204 files",
        "2 entries",
    )


@pytest.mark.parametrize(("part", "shown"), [(0, "····"), (50, "██··"), (100, "████"), (200, "████"), (12.5, "▌···")])
def test_bars_never_leave_their_width(part: float, shown: str) -> None:
    assert bar(part, 100, cells=4) == shown
    assert bar(5, 0, cells=4) == "····"
