"""The queue in front of the engine is bounded, ordered, and wakes the loop."""

import asyncio

from ralnode.api import Address
from ralnode.core.events import DatagramReceived, Event, PeerHinted
from ralnode.host.bounds import BATCH_EVENTS_MAX
from ralnode.host.inbox import Inbox


def event(number: int) -> Event:
    return PeerHinted(Address("192.0.2.1", number), "test")


def datagram() -> Event:
    return DatagramReceived(b"", Address("192.0.2.1", 1))


async def test_events_come_out_in_their_order_and_in_batches() -> None:
    inbox = Inbox()
    for number in range(BATCH_EVENTS_MAX + 5):
        await inbox.put(event(number))
    assert await inbox.take(0) == [event(number) for number in range(BATCH_EVENTS_MAX)]
    assert len(await inbox.take(0)) == 5
    assert await inbox.take(0.001) == []


async def test_datagrams_are_dropped_when_it_is_full_and_others_wait_for_room() -> None:
    inbox = Inbox(size_max=2)
    assert inbox.offer(datagram())
    assert inbox.offer(datagram())
    assert not inbox.offer(datagram())
    assert inbox.dropped_count == 1
    waiting = [asyncio.create_task(inbox.put(event(number))) for number in range(3)]
    await asyncio.sleep(0)
    assert len(inbox) == 2
    await inbox.take(0)
    await asyncio.sleep(0)
    assert len(inbox) == 2, "only as many come in as there is room for"
    assert await inbox.take(0) == [event(0), event(1)]
    await asyncio.wait(waiting)
    assert await inbox.take(0) == [event(2)]


async def test_a_waiting_loop_is_woken_by_the_first_event() -> None:
    inbox = Inbox()
    taking = asyncio.create_task(inbox.take(60.0))
    await asyncio.sleep(0)
    inbox.offer(event(1))
    assert await asyncio.wait_for(taking, 30) == [event(1)]


async def test_it_wakes_without_an_event_when_the_time_has_come() -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert await Inbox().take(0.02) == []
    assert loop.time() - began >= 0.015
