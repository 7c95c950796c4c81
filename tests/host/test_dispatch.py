"""Effects are carried out in their order; bodies for peers wait for what is being saved; the core loop wakes in time."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import pytest

from ralnode.api import Address, Instant, RefusedError, SendDatagram
from ralnode.core import events as ev
from ralnode.host.dispatch import Dispatcher, Waiters
from ralnode.host.exchanges import Exchanges
from ralnode.host.fetches import Fetches
from ralnode.host.inbox import Inbox
from ralnode.host.keeping import Keeping
from ralnode.host.planning import Planning
from ralnode.host.saving import Saver
from ralnode.host.shell import Shell

HERE = Address("192.0.2.1", 1)


class Recorder:
    """Stands where datagrams and replies go out, and writes down their order."""

    def __init__(self, bench: Any) -> None:
        self.log: list[str] = []
        self.waiters = Waiters()
        self.saver = Saver(bench.storage, lambda level, text: self.log.append(text))
        self.exchanges = Exchanges(bench.transport, bench.inbox, bench.tasks)
        fetches = Fetches(bench.parts)
        self.dispatcher = Dispatcher(
            saver=self.saver,
            exchanges=self.exchanges,
            planning=Planning(None, bench.inbox, bench.tasks, bench.said.append),  # type: ignore[arg-type]
            fetches=fetches,
            keeping=Keeping(bench.parts, fetches, list),
            send=lambda effect: self.log.append(effect.data.decode()),
            waiters=self.waiters,
            log=logging.getLogger("ralnode.test"),
        )

    async def answer(self, number: int) -> asyncio.Task[bytes]:
        """A peer's request that the engine will answer."""
        task = asyncio.create_task(self.exchanges.answer(bytes(32), HERE, b""))
        await asyncio.sleep(0)
        task.add_done_callback(lambda done: self.log.append(f"reply {number}"))
        return task

    async def settle(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)


def datagram(text: str) -> SendDatagram:
    return SendDatagram(HERE, text.encode())


async def test_effects_are_carried_out_in_their_order(bench: Any) -> None:
    recorder = Recorder(bench)
    recorder.dispatcher.carry_out([datagram("a"), datagram("b"), ev.Report("info", "x"), datagram("c")])
    assert recorder.log == ["a", "b", "c"]


async def test_a_reply_waits_for_the_save_before_it_and_a_datagram_does_not(bench: Any) -> None:
    recorder = Recorder(bench)
    await recorder.answer(1)
    save = ev.SaveState({b"k": b"v"}, (datagram("after the save"),))
    recorder.dispatcher.carry_out([save, datagram("a"), ev.ReplySync(1, b"body"), datagram("b")])
    await recorder.settle()
    assert recorder.log == ["a", "b"]
    running = asyncio.create_task(recorder.saver.run(recorder.dispatcher.carry_out_saved))
    await recorder.settle()
    assert recorder.log == ["a", "b", "after the save", "reply 1"]
    assert await bench.storage.load_state(b"k") == {b"k": b"v"}
    running.cancel()


async def test_a_reply_without_a_save_goes_out_at_once(bench: Any) -> None:
    recorder = Recorder(bench)
    task = await recorder.answer(1)
    recorder.dispatcher.carry_out([ev.ReplySync(1, b"body")])
    assert await task == b"body"


async def test_whoever_waits_for_a_source_is_told_when_it_is_durable(bench: Any) -> None:
    recorder = Recorder(bench)
    first, second, other = (recorder.waiters.expect(root) for root in (b"r", b"r", b"other"))
    recorder.dispatcher.carry_out([ev.SaveState({b"k": b"v"}, (ev.SourceSettled(b"r"),))])
    await recorder.settle()
    assert not first.done()
    running = asyncio.create_task(recorder.saver.run(recorder.dispatcher.carry_out_saved))
    await asyncio.gather(first, second)
    assert not other.done()
    recorder.dispatcher.carry_out([ev.SourceSettled(b"other", refusal="no")])
    with pytest.raises(RefusedError, match="no"):
        await other
    running.cancel()


async def test_every_effect_of_the_engine_has_a_carrier(bench: Any) -> None:
    effects = set(ev.Effect.__args__)  # type: ignore[attr-defined]
    assert set(Recorder(bench).dispatcher._carriers) == effects


# --- the core loop ------------------------------------------------------------------------------------------------------


class Engine:
    """Writes down what it is given; the clock is the test's."""

    def __init__(self) -> None:
        self.wake_at = float("inf")
        self.batches: list[list[ev.Event]] = []
        self.ticks = asyncio.Event()

    def handle_all(self, batch: Sequence[ev.Event], now: Instant) -> list[ev.Effect]:
        self.batches.append(list(batch))
        if batch == [ev.Ticked()]:
            self.wake_at = float("inf")
            self.ticks.set()
        return [datagram(str(len(batch)))]


def shell(engine: Engine, inbox: Inbox, carried: list[ev.Effect]) -> Shell:
    loop = asyncio.get_running_loop()
    return Shell(engine, inbox, carried.extend, lambda: Instant(loop.time(), 0))  # type: ignore[arg-type]


async def test_events_of_one_moment_are_one_batch() -> None:
    engine, inbox, carried = Engine(), Inbox(), []  # type: ignore[var-annotated]
    events = [ev.PeerHinted(HERE, str(number)) for number in range(3)]
    for event in events:
        inbox.offer(event)
    made = shell(engine, inbox, carried)
    running = asyncio.create_task(made.run())
    await asyncio.sleep(0.01)
    assert engine.batches == [events]
    assert carried == [datagram("3")]
    assert made.change_count == 1
    running.cancel()


async def test_the_timer_comes_as_a_tick_when_it_is_due() -> None:
    engine, loop = Engine(), asyncio.get_running_loop()
    engine.wake_at = began = loop.time() + 0.03
    made = shell(engine, Inbox(), [])
    running = asyncio.create_task(made.run())
    await asyncio.wait_for(engine.ticks.wait(), 5)
    assert loop.time() >= began - 0.002
    assert engine.batches == [[ev.Ticked()]]
    assert made.change_count == 0, "idle chatter is no change for a page"
    running.cancel()


async def test_a_timer_that_stands_still_does_not_take_a_whole_core() -> None:
    class Stuck(Engine):
        def handle_all(self, batch: Sequence[ev.Event], now: Instant) -> list[ev.Effect]:
            self.batches.append(list(batch))
            return []

    engine = Stuck()
    engine.wake_at = 0.0
    running = asyncio.create_task(shell(engine, Inbox(), []).run())
    await asyncio.sleep(0.1)
    running.cancel()
    assert 5 < len(engine.batches) < 60


async def test_a_fault_of_the_engine_ends_the_loop() -> None:
    class Broken(Engine):
        def handle_all(self, batch: Sequence[ev.Event], now: Instant) -> list[ev.Effect]:
            raise AssertionError("an invariant is broken")

    inbox = Inbox()
    inbox.offer(ev.Ticked())
    with pytest.raises(AssertionError, match="an invariant is broken"):
        await shell(Broken(), inbox, []).run()
