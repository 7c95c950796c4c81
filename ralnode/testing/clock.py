"""A virtual clock: callbacks run in the order of their time, then of their scheduling; nothing ever sleeps.

One clock drives a whole simulated cluster in one thread. It knows nothing of networks or nodes.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any, Final

from ralnode.api import Instant

START_SECONDS: Final = 1_000.0
START_UNIX_MS: Final = 1_700_000_000_000


class VirtualClock:
    """Monotonic and wall time that move only when `step` or one of the `run` methods is called."""

    __slots__ = ("_actions", "_count", "seconds")

    seconds: float
    """Monotonic time now."""

    def __init__(self, start_seconds: float = START_SECONDS) -> None:
        self.seconds = start_seconds
        self._count = 0
        self._actions: list[tuple[float, int, Callable[..., object], tuple[Any, ...]]] = []

    def now(self, skew_ms: int = 0) -> Instant:
        """The time as a node sees it; `skew_ms` shifts its wall clock, never its monotonic one."""
        return Instant(self.seconds, START_UNIX_MS + round((self.seconds - START_SECONDS) * 1000) + skew_ms)

    def call_at(self, seconds: float, action: Callable[..., object], *args: Any) -> None:
        """Runs `action(*args)` at that time, or next if it has passed. There is no cancelling: let the action look."""
        self._count += 1
        heappush(self._actions, (max(seconds, self.seconds), self._count, action, args))

    def call_later(self, delay_seconds: float, action: Callable[..., object], *args: Any) -> None:
        self.call_at(self.seconds + delay_seconds, action, *args)

    def step(self) -> bool:
        """Runs the next action; False when there is none."""
        if not self._actions:
            return False
        self.seconds, _, action, args = heappop(self._actions)
        action(*args)
        return True

    def run_until(self, seconds: float) -> None:
        """Runs everything due up to and at that time, and ends there."""
        while self._actions and self._actions[0][0] <= seconds:
            self.step()
        self.seconds = max(self.seconds, seconds)

    def run_for(self, seconds: float) -> None:
        self.run_until(self.seconds + seconds)

    def run_until_true(
        self, condition: Callable[[], bool], within_seconds: float, look_every_seconds: float = 0.1
    ) -> bool:
        """Runs until `condition()` holds, looked at in steps; False if it never did. The time is then that of the look."""
        end = self.seconds + within_seconds
        while not condition():
            if self.seconds >= end:
                return False
            self.run_until(min(end, self.seconds + look_every_seconds))
        return True
