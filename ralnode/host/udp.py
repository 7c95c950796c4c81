"""The UDP endpoint of the gossip: datagrams in as events, datagrams out as effects. Knows nothing of their contents."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import cast

from ralnode.api import Address, LocalError, SendDatagram
from ralnode.api.limits import DATAGRAM_BYTES_MAX
from ralnode.core.events import DatagramReceived
from ralnode.host.bounds import DATAGRAMS_PER_SOCKET_BYTES
from ralnode.host.inbox import Inbox


class UdpEndpoint(asyncio.DatagramProtocol):
    """Drops what does not fit: UDP may lose, and gossip reckons with it. `Counts` go to /metrics."""

    def __init__(self, inbox: Inbox) -> None:
        self.received_count = 0
        self.sent_count = 0
        self.oversize_count = 0
        self.send_error_count = 0
        self._inbox = inbox
        self._transport: asyncio.DatagramTransport | None = None
        self._ended: asyncio.Future[None] | None = None

    async def open(self, host: str, port: int) -> None:
        """Binds. Raises LocalError when the port is taken or the address is not ours."""
        loop = asyncio.get_running_loop()
        self._ended = loop.create_future()
        try:
            await loop.create_datagram_endpoint(lambda: self, local_addr=(host, port))
        except OSError as error:
            raise LocalError(
                f"cannot listen for gossip on UDP {Address(host, port)}: {error.strerror or error}. "
                "Choose another with [node] gossip_port or listen_host"
            ) from error

    @property
    def port(self) -> int:
        """The port really bound."""
        assert self._transport is not None
        return int(self._transport.get_extra_info("sockname")[1])

    def send(self, effect: SendDatagram) -> None:
        """Host names are not looked up here: that would block; gossip addresses are IP literals."""
        if self._transport is None or self._transport.is_closing() or not _is_ip(effect.address.host):
            self.send_error_count += 1
            return
        try:
            self._transport.sendto(effect.data, (effect.address.host, effect.address.port))
            self.sent_count += 1
        except (OSError, ValueError):  # no route, wrong family: as lost as any datagram
            self.send_error_count += 1

    async def wait(self) -> None:
        """Returns never; raises LocalError when the socket is lost."""
        assert self._ended is not None
        await asyncio.shield(self._ended)

    async def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)  # uvloop's own is no subclass of it
        found = transport.get_extra_info("socket")
        if found is not None:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, DATAGRAMS_PER_SOCKET_BYTES)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.received_count += 1
        if len(data) > DATAGRAM_BYTES_MAX:
            self.oversize_count += 1
            return
        self._inbox.offer(DatagramReceived(bytes(data), Address(addr[0], addr[1])))

    def error_received(self, exc: Exception) -> None:
        """An ICMP answer to an earlier datagram (nobody listens there); gossip finds out by itself."""
        self.send_error_count += 1

    def connection_lost(self, exc: Exception | None) -> None:
        if self._ended is not None and not self._ended.done() and exc is not None:
            self._ended.set_exception(LocalError(f"the gossip socket failed: {exc}"))


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
