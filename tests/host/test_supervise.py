"""Essential services end the node, optional ones are started again with growing delays."""

import asyncio
import logging

import pytest

from ralnode.api import LocalError, PeerError
from ralnode.host.closing import bounded
from ralnode.host.supervise import ServiceState, Supervised, guarded_start, run_essential
from ralnode.host.tasks import Tasks

LOG = logging.getLogger("ralnode.test")


class Flaky:
    """Fails as often as it is told to, then runs."""

    def __init__(self, failures: int, *, start_fails: bool = False) -> None:
        self.failures = failures
        self.start_fails = start_fails
        self.log: list[str] = []
        self.runs = asyncio.Event()

    async def start(self) -> None:
        self.log.append("start")
        if self.start_fails and self.failures:
            self.failures -= 1
            raise OSError("no multicast here")

    async def wait(self) -> None:
        self.log.append("wait")
        if self.failures:
            self.failures -= 1
            raise ValueError("it broke")
        self.runs.set()
        await asyncio.Event().wait()

    async def stop(self) -> None:
        self.log.append("stop")
        raise RuntimeError("stopping fails too")


async def supervise(service: Flaky, *, started: bool) -> ServiceState:
    state = ServiceState("ui test", is_running=started)
    task = asyncio.create_task(Supervised(service, service.start, state, LOG, delays_seconds=(0.0, 0.0, 0.0)).run())
    await asyncio.wait_for(service.runs.wait(), 5)
    task.cancel()
    await asyncio.wait([task])
    return state


async def test_an_optional_service_is_stopped_and_started_again_until_it_runs() -> None:
    service = Flaky(2)
    state = await supervise(service, started=True)
    assert service.log == ["wait", "stop", "start", "wait", "stop", "start", "wait"]
    assert (state.is_running, state.restart_count, state.reason) == (True, 2, "it broke")


async def test_a_service_whose_start_fails_is_tried_again_too() -> None:
    service = Flaky(3, start_fails=True)
    state = await supervise(service, started=False)
    assert service.log == ["start", "stop"] * 3 + ["start", "wait"]
    assert (state.restart_count, state.reason) == (3, "no multicast here")


async def test_delays_grow_and_stay_at_the_last() -> None:
    delays: list[float] = []

    async def sleep(seconds: float) -> None:
        delays.append(seconds)
        if len(delays) == 5:
            raise asyncio.CancelledError

    service = Flaky(99)
    state = ServiceState("discovery test")
    supervised = Supervised(service, service.start, state, LOG, delays_seconds=(1.0, 2.0, 4.0), sleep=sleep)
    with pytest.raises(asyncio.CancelledError):
        await supervised.run()
    assert delays == [1.0, 2.0, 4.0, 4.0, 4.0]


async def test_an_essential_service_that_fails_keeps_its_own_error_and_exit_code() -> None:
    async def fails() -> None:
        raise PeerError("mine")

    with pytest.raises(PeerError, match="mine"):
        await run_essential("transport", fails())


@pytest.mark.parametrize("error", [ValueError("odd"), None])
async def test_an_essential_service_that_breaks_or_ends_is_named(error: Exception | None) -> None:
    async def ends() -> None:
        if error:
            raise error

    with pytest.raises(LocalError, match="transport failed: ValueError: odd" if error else "transport ended by itself"):
        await run_essential("transport", ends())


async def test_a_start_that_fails_is_named() -> None:
    async def fails() -> None:
        raise OSError("in use")

    with pytest.raises(LocalError, match="cannot start the page: OSError: in use"):
        await guarded_start("the page", fails())


async def test_a_task_that_fails_is_told_and_all_end_at_closing() -> None:
    failures: list[BaseException] = []
    tasks = Tasks(failures.append)

    async def fails() -> None:
        raise ValueError("a fault of ours")

    async def waits() -> None:
        await asyncio.Event().wait()

    tasks.spawn("fails", fails())
    waiting = tasks.spawn("waits", waits())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert [str(error) for error in failures] == ["a fault of ours"]
    await tasks.close()
    assert waiting is not None
    assert waiting.cancelled()
    assert tasks.spawn("late", waits()) is None
    assert len(tasks) == 0


async def test_a_closing_step_that_hangs_or_fails_is_named_and_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    async def hangs() -> None:
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                if done:
                    raise

    async def fails() -> None:
        raise OSError("gone")

    done: list[int] = []
    await bounded("the page", hangs, 0.01, LOG)
    await bounded("the store", fails, 5.0, LOG)
    assert "the page did not stop within 0.0 s and is left behind" in caplog.text
    assert "the store failed while stopping: OSError: gone" in caplog.text
    done.append(1)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
