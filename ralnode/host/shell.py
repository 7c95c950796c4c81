"""The core loop: takes a batch of events, asks the engine, hands its effects to the dispatcher. Knows nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from ralnode.api import Instant, SendDatagram
from ralnode.core.engine import Engine
from ralnode.core.events import DatagramReceived, Effect, Event, Ticked
from ralnode.host.bounds import TIMER_SECONDS_MAX, TIMER_SECONDS_MIN
from ralnode.host.inbox import Inbox


class Shell:
    """`run` is an essential service. `is_overdue` says that the disk is far behind: then events wait. `watch` is shown every turn."""

    def __init__(
        self,
        engine: Engine,
        inbox: Inbox,
        carry_out: Callable[[Sequence[Effect]], None],
        clock: Callable[[], Instant],
        is_overdue: Callable[[], bool] = lambda: False,
        watch: Callable[[Sequence[Event], Sequence[Effect]], None] = lambda events, effects: None,
    ) -> None:
        self.turn_count = 0
        self.change_count = 0
        """Turns that may have changed what a page shows: anything but the idle chatter of probes and timers."""
        self._engine = engine
        self._inbox = inbox
        self._carry_out = carry_out
        self._clock = clock
        self._is_overdue = is_overdue
        self._watch = watch

    async def run(self) -> None:
        """Returns never; raises what the engine or an effect's carrier raises, which is a mistake of ours."""
        least = 0.0
        while True:
            wait = min(TIMER_SECONDS_MAX, max(least, self._engine.wake_at - self._clock().seconds))
            batch = await self._inbox.take(wait)
            self.turn(batch)
            least = 0.0 if batch else TIMER_SECONDS_MIN
            await asyncio.sleep(TIMER_SECONDS_MIN if self._is_overdue() else 0)

    def turn(self, batch: Sequence[Event]) -> None:
        """One batch, or the timer when it is empty."""
        self.turn_count += 1
        effects = self._engine.handle_all(batch or [Ticked()], self._clock())
        is_idle = all(map(_is_chatter, batch)) and all(isinstance(effect, SendDatagram) for effect in effects)
        self.change_count += not is_idle
        self._watch(batch, effects)
        self._carry_out(effects)


def _is_chatter(event: Event) -> bool:
    return isinstance(event, DatagramReceived | Ticked)
