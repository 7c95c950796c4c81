"""The planner runs in a thread, and whatever it does the node lives on."""

import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from ralnode.api import BlockSet, Plan, View
from ralnode.core.events import ComputePlan, PlanComputed
from ralnode.host.planning import Planning

VIEW = View(bytes(32), (), ())
PLAN = Plan({b"root": BlockSet.full(3)}, digest=b"d" * 16)


class Planner:
    name = "test"
    version = 1
    needs_holdings = False

    def __init__(self, plan: Callable[[View], Any]) -> None:
        self.plan = plan


def planning(bench: Any, plan: Callable[[View], Any], **limits: float) -> Planning:
    return Planning(
        Planner(plan), bench.inbox, bench.tasks, lambda level, text: bench.said.append((level, text)), **limits
    )


async def computed(bench: Any, plan: Callable[[View], Any], **limits: float) -> PlanComputed:
    planning(bench, plan, **limits).begin(ComputePlan(4, VIEW))
    (found,) = await bench.until(PlanComputed)
    return found


async def test_a_plan_is_made_in_a_thread_of_its_own(bench: Any) -> None:
    threads = []

    def plan(view: View) -> Plan:
        threads.append(threading.current_thread())
        assert view is VIEW
        return PLAN

    found = await computed(bench, plan)
    assert (found.epoch, found.plan, found.reason) == (4, PLAN, "")
    assert threads[0] is not threading.main_thread()
    assert threads[0].daemon, "a planner that hangs must not keep the process alive"


FAULTS: list[tuple[Callable[[View], Any], str]] = [
    (lambda view: 1 / 0, "ZeroDivisionError: division by zero"),
    (lambda view: sys.exit(3), "SystemExit: 3"),
    (lambda view: None, "it returned a NoneType, not a Plan"),
    (lambda view: {}, "it returned a dict, not a Plan"),
    (lambda view: Plan({b"r": {1, 2}}), "its want does not map roots to BlockSets"),  # type: ignore[dict-item]
    (lambda view: Plan({"r": BlockSet()}), "its want does not map roots to BlockSets"),  # type: ignore[dict-item]
    (lambda view: Plan(None), "AttributeError"),  # type: ignore[arg-type]
    (lambda view: Plan({}, {b"r": 3}), "its urgent does not map"),  # type: ignore[dict-item]
    (lambda view: Plan({}, digest=b"x" * 17), "its digest is not at most 16 bytes"),
    (lambda view: Plan({}, digest="x"), "its digest is not at most 16 bytes"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("plan", "reason"), FAULTS)
async def test_a_planner_that_fails_is_told_with_a_reason(bench: Any, plan: Callable[[View], Any], reason: str) -> None:
    found = await computed(bench, plan)
    assert found.plan is None
    assert reason in found.reason


async def test_a_slow_planner_is_reported_and_its_plan_taken(bench: Any) -> None:
    found = await computed(bench, lambda view: time.sleep(0.02) or PLAN, budget_seconds=0.01)
    assert found.plan == PLAN
    assert found.seconds >= 0.02
    assert bench.said[0][0] == "warning"
    assert "the planner took 0.0 s of the 0 s it may take" in bench.said[0][1]


async def test_a_planner_that_hangs_is_given_up_and_not_called_again_meanwhile(bench: Any) -> None:
    go = threading.Event()
    slow = planning(bench, lambda view: go.wait(20) and PLAN, seconds_max=0.02)
    slow.begin(ComputePlan(1, VIEW))
    assert (await bench.until(PlanComputed))[0].reason.startswith("no plan within")
    slow.begin(ComputePlan(2, VIEW))
    assert (await bench.until(PlanComputed))[0] == PlanComputed(2, None, 0.0, "it is still busy with an earlier view")
    go.set()
    while slow._thread is not None and slow._thread.is_alive():
        time.sleep(0.001)
    slow.begin(ComputePlan(3, VIEW))
    assert (await bench.until(PlanComputed))[0].plan == PLAN
