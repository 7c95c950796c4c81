"""Runs the planner in a thread and guards the node against it: its time, its exceptions, its answer's type."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

from ralnode.api import BlockSet, Plan, Planner
from ralnode.core.events import ComputePlan, PlanComputed
from ralnode.host.bounds import PLAN_SECONDS_BUDGET, PLAN_SECONDS_MAX
from ralnode.host.inbox import Inbox
from ralnode.host.tasks import Tasks


class Planning:
    """One plan at a time; a thread that does not end is left behind and no second one is begun beside it."""

    def __init__(
        self,
        planner: Planner,
        inbox: Inbox,
        tasks: Tasks,
        say: Callable[[str, str], None],
        *,
        budget_seconds: float = PLAN_SECONDS_BUDGET,
        seconds_max: float = PLAN_SECONDS_MAX,
    ) -> None:
        self._planner = planner
        self._inbox = inbox
        self._tasks = tasks
        self._say = say
        self._budget_seconds = budget_seconds
        self._seconds_max = seconds_max
        self._thread: threading.Thread | None = None

    def begin(self, effect: ComputePlan) -> None:
        self._tasks.spawn("plan", self._plan(effect))

    async def _plan(self, effect: ComputePlan) -> None:
        if self._thread is not None and self._thread.is_alive():
            reason = "it is still busy with an earlier view"
            await self._inbox.put(PlanComputed(effect.epoch, None, 0.0, reason))
            return
        try:
            async with asyncio.timeout(self._seconds_max):
                outcome = await self._in_thread(effect)
        except TimeoutError:
            outcome = PlanComputed(effect.epoch, None, self._seconds_max, f"no plan within {self._seconds_max:.0f} s")
        if outcome.plan is not None and outcome.seconds > self._budget_seconds:
            self._say(
                "warning", f"the planner took {outcome.seconds:.1f} s of the {self._budget_seconds:.0f} s it may take"
            )
        await self._inbox.put(outcome)

    def _in_thread(self, effect: ComputePlan) -> asyncio.Future[PlanComputed]:
        """A daemon thread of its own: one from a pool would keep the process from ending when a planner hangs."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[PlanComputed] = loop.create_future()

        def work() -> None:
            outcome = _call(self._planner, effect)
            try:
                loop.call_soon_threadsafe(_settle, done, outcome)
            except RuntimeError:  # the loop is closed: the node has stopped without us
                return

        self._thread = threading.Thread(target=work, name="planner", daemon=True)
        self._thread.start()
        return done


def _settle(done: asyncio.Future[PlanComputed], outcome: PlanComputed) -> None:
    if not done.done():
        done.set_result(outcome)


def _call(planner: Planner, effect: ComputePlan) -> PlanComputed:
    began = time.monotonic()
    try:
        plan = planner.plan(effect.view)
        reason = _fault(plan)
    except BaseException as error:  # a planner may call sys.exit(); the node lives on
        plan, reason = None, f"{type(error).__name__}: {error}"
    seconds = time.monotonic() - began
    return PlanComputed(effect.epoch, None if reason else plan, seconds, reason)


def _fault(plan: object) -> str:
    """What is wrong with a planner's answer; empty when it can be used."""
    if not isinstance(plan, Plan):
        return f"it returned a {type(plan).__name__}, not a Plan"
    for name in ("want", "urgent"):
        blocks = getattr(plan, name)
        if not all(isinstance(root, bytes) and isinstance(each, BlockSet) for root, each in blocks.items()):
            return f"its {name} does not map roots to BlockSets"
    return "" if isinstance(plan.digest, bytes) and len(plan.digest) <= 16 else "its digest is not at most 16 bytes"
