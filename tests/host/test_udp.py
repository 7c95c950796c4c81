"""The gossip socket: datagrams in as events, out as effects; nothing that arrives or fails there ends the node."""

import asyncio
import socket

import pytest

from ralnode.api import Address, LocalError, SendDatagram
from ralnode.api.limits import DATAGRAM_BYTES_MAX
from ralnode.core.events import DatagramReceived
from ralnode.host.inbox import Inbox
from ralnode.host.udp import UdpEndpoint


async def endpoint(inbox: Inbox) -> UdpEndpoint:
    made = UdpEndpoint(inbox)
    await made.open("127.0.0.1", 0)
    return made


async def test_datagrams_go_from_one_endpoint_to_the_other() -> None:
    one, two = Inbox(), Inbox()
    sender, receiver = await endpoint(one), await endpoint(two)
    sender.send(SendDatagram(Address("127.0.0.1", receiver.port), b"hello"))
    assert await two.take(5.0) == [DatagramReceived(b"hello", Address("127.0.0.1", sender.port))]
    await sender.close()
    await receiver.close()


async def test_too_long_a_datagram_is_dropped_and_counted() -> None:
    inbox = Inbox()
    made = await endpoint(inbox)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        out.sendto(bytes(DATAGRAM_BYTES_MAX + 1), ("127.0.0.1", made.port))
        out.sendto(bytes(DATAGRAM_BYTES_MAX), ("127.0.0.1", made.port))
    (event,) = await inbox.take(5.0)
    assert isinstance(event, DatagramReceived)
    assert (len(event.data), made.oversize_count, made.received_count) == (DATAGRAM_BYTES_MAX, 1, 2)
    await made.close()


@pytest.mark.parametrize("host", ["no.such.host", "", "fd00::1", "255.255.255.255", "127.0.0.1"])
async def test_what_cannot_be_sent_is_as_good_as_lost(host: str) -> None:
    """A host name would have to be looked up, which blocks; other families have no route; nobody listens on port 9."""
    made = await endpoint(Inbox())
    for _ in range(3):
        made.send(SendDatagram(Address(host, 9), b"x"))
        await asyncio.sleep(0)
    waiting = asyncio.ensure_future(made.wait())
    await asyncio.sleep(0.01)
    assert not waiting.done()
    waiting.cancel()
    await made.close()
    made.send(SendDatagram(Address("127.0.0.1", 9), b"after closing"))


async def test_a_taken_port_is_refused_with_what_to_do() -> None:
    first = await endpoint(Inbox())
    with pytest.raises(LocalError, match=rf"UDP 127.0.0.1:{first.port}: .*Choose another"):
        await UdpEndpoint(Inbox()).open("127.0.0.1", first.port)
    await first.close()
