"""The last hour in a ring buffer of the page's own, and the sparkline drawn from it. Holds samples, asks nobody."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from ralnode.api import ClusterStatus
from ralnode_ui_web.words import size, span

SPAN_MS: Final = 3_600_000
SAMPLES_MAX: Final = 720
"""An hour at one in 5 s; of a quiet cluster one in 60 s is kept."""
_GAP_MS_MIN: Final = 5_000
_GAP_MS_QUIET: Final = 60_000
WIDTH: Final = 300
HEIGHT: Final = 48


@dataclass(frozen=True, slots=True)
class Sample:
    unix_ms: int
    deficit_bytes: int
    rate: float
    """Bytes per second that this node receives and sends."""


@dataclass(frozen=True, slots=True)
class Spark:
    """Paths in a box of WIDTH by HEIGHT."""

    area: str
    line: str
    label: str
    highest: str


class History:
    """`note` as often as you like; it keeps what is worth a point."""

    def __init__(self) -> None:
        self._samples: deque[Sample] = deque(maxlen=SAMPLES_MAX)

    def note(self, status: ClusterStatus) -> None:
        mine = [node for node in status.nodes if node.is_me]
        rate = sum(node.receive_bytes_per_second + node.send_bytes_per_second for node in mine)
        sample = Sample(status.unix_ms, status.deficit_bytes, rate)
        last = self._samples[-1] if self._samples else None
        if last is not None and sample.unix_ms < last.unix_ms:  # the clock was set back: what was kept has no place
            self._samples.clear()
            last = None
        changed = last is None or (last.deficit_bytes, last.rate) != (sample.deficit_bytes, sample.rate)
        gap = _GAP_MS_MIN if changed else _GAP_MS_QUIET
        if last is None or sample.unix_ms - last.unix_ms >= gap:
            self._samples.append(sample)
        while self._samples and self._samples[0].unix_ms < sample.unix_ms - SPAN_MS:
            self._samples.popleft()

    def samples(self) -> tuple[Sample, ...]:
        return tuple(self._samples)

    def deficit(self, now_ms: int) -> Spark | None:
        return self._spark([(s.unix_ms, float(s.deficit_bytes)) for s in self._samples], "to copy", "", now_ms)

    def traffic(self, now_ms: int) -> Spark | None:
        return self._spark([(s.unix_ms, s.rate) for s in self._samples], "in and out of this node", "/s", now_ms)

    def _spark(self, points: list[tuple[int, float]], what: str, per: str, now_ms: int) -> Spark | None:
        if not points:
            return None
        points = [*points, (max(now_ms, points[-1][0]), points[-1][1])]
        start, width_ms = points[0][0], max(1, points[-1][0] - points[0][0])
        top = max(value for _at, value in points)
        places = [
            (round(WIDTH * (at - start) / width_ms), round(HEIGHT - (HEIGHT - 3) * (value / top if top else 0) - 1))
            for at, value in points
        ]
        line = _steps(places)
        label = (
            f"{size(top)}{per} {what} at most in the last {span(width_ms / 1000)}, now {size(points[-1][1])}{per}"
            if top
            else f"nothing {what} in the last {span(width_ms / 1000)}"
        )
        area = f"{line}V{HEIGHT}H0z"
        return Spark(area, line, label, f"{size(top)}{per}" if top else "")


def _steps(places: list[tuple[int, int]]) -> str:
    """Straight lines; points on one pixel column are one."""
    parts = [f"M{places[0][0]} {places[0][1]}"]
    parts += [f"L{b[0]} {b[1]}" for a, b in pairwise(places) if a != b]
    return "".join(parts)
